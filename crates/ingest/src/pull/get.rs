//! The HTTP client of pulls: a GET by HTTP/1.1 through the dialer, with redirects followed and everything bounded.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;
use weir_model::{Fault, Reason, ReasonCode, percent_decoded};
use weir_mux::chunked::Chunked;
use weir_net::{Dialer, TcpOptions};

use super::machine::source_reason;
use super::reasons::of_dial;

/// The time from the name to the head of the answer, for each address of a chain of redirects.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The longest silence within an answer.
const BYTES_WITHIN: Duration = Duration::from_secs(10);
const REDIRECTS_MAX: usize = 5;
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
/// At 10 Mbps 64 KiB are 50 ms.
const READ_BYTES: usize = 64 << 10;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// An answer whose head was read. Its body is read piece by piece.
pub(super) struct Answer {
    /// Where the answer came from, behind all redirects.
    pub(super) url: Url,
    socket: Box<dyn Socket>,
    input: BytesMut,
    length: Length,
}

enum Length {
    Known(u64),
    Chunked(Chunked),
    /// The body ends with the connection.
    Unknown,
}

/// Gets an address, or a range of what it holds: the first byte and the number of bytes.
pub(super) async fn get(url: &Url, range: Option<(u64, u64)>, dialer: &Dialer) -> Result<Answer, Reason> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let deadline = Instant::now() + HEAD_WITHIN;
        let asked = timeout_at(deadline, ask(&url, range, dialer, deadline)).await;
        let (head, socket, input) = asked.unwrap_or_else(|_| {
            let message = format!("the server did not answer within {} s", HEAD_WITHIN.as_secs());
            Err(source_reason(ReasonCode::Timeout, message))
        })?;
        if let (300..400, Some(location)) = (head.status, &head.location) {
            url = redirected(&url, location)?;
            continue;
        }
        refuse(head.status)?;
        if range.is_some() && head.status != 206 {
            return Err(source_reason(ReasonCode::Malformed, "the server does not serve ranges of its segments"));
        }
        let length = match head.length {
            _ if head.chunked => Length::Chunked(Chunked::default()),
            Some(length) => Length::Known(length),
            None => Length::Unknown,
        };
        return Ok(Answer { url, socket, input, length });
    }
    Err(source_reason(ReasonCode::Refused, format!("the server redirects more than {REDIRECTS_MAX} times")))
}

/// Gets a whole body of at most so many bytes.
pub(super) async fn get_all(url: &Url, bytes_max: usize, dialer: &Dialer) -> Result<(Url, Bytes), Reason> {
    let mut answer = get(url, None, dialer).await?;
    let bytes = answer.rest(BytesMut::new(), bytes_max).await?;
    Ok((answer.url, bytes))
}

impl Answer {
    /// Whether the body has an end that is known, as that of a file.
    pub(super) fn is_finite(&self) -> bool {
        matches!(self.length, Length::Known(_))
    }

    /// The next piece of the body; None at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Reason> {
        loop {
            if let Some(piece) = self.take()? {
                return Ok(Some(piece));
            }
            if self.is_whole() {
                return Ok(None);
            }
            self.input.reserve(READ_BYTES);
            let read = timeout(BYTES_WITHIN, self.socket.read_buf(&mut self.input)).await;
            let read =
                read.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(|error| broken(&error))?;
            if read == 0 {
                return match self.length {
                    Length::Unknown => Ok(None),
                    _ => Err(source_reason(ReasonCode::Ended, "the server closed the connection within its answer")),
                };
            }
        }
    }

    /// What is left of the body, behind what was read of it.
    pub(super) async fn rest(&mut self, mut read: BytesMut, bytes_max: usize) -> Result<Bytes, Reason> {
        while let Some(piece) = self.piece().await? {
            if read.len() + piece.len() > bytes_max {
                let message = format!("the answer is longer than {bytes_max} bytes");
                return Err(source_reason(ReasonCode::Malformed, message));
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    }

    fn take(&mut self) -> Result<Option<Bytes>, Reason> {
        let piece = match &mut self.length {
            Length::Unknown => self.input.split().freeze(),
            Length::Known(left) => {
                let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= bytes as u64;
                self.input.split_to(bytes).freeze()
            }
            Length::Chunked(chunked) => chunked
                .take(&mut self.input)
                .map_err(|fault| source_reason(ReasonCode::Malformed, fault.to_string()))?,
        };
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn is_whole(&self) -> bool {
        match &self.length {
            Length::Known(left) => *left == 0,
            Length::Chunked(chunked) => chunked.is_whole(),
            Length::Unknown => false,
        }
    }
}

/// What a head says that we need.
struct Head {
    status: u16,
    location: Option<String>,
    length: Option<u64>,
    chunked: bool,
}

async fn ask(
    url: &Url,
    range: Option<(u64, u64)>,
    dialer: &Dialer,
    deadline: Instant,
) -> Result<(Head, Box<dyn Socket>, BytesMut), Reason> {
    let unusable = || Reason::new(ReasonCode::Malformed, "the address can't be used").with_fault(Fault::Config);
    let host = url.host_str().ok_or_else(unusable)?.trim_matches(['[', ']']);
    let port = url.port_or_known_default().ok_or_else(unusable)?;
    let options = TcpOptions { timeout: HEAD_WITHIN, send_buffer_bytes: None };
    let tcp = dialer.tcp(host, port, options, deadline).await.map_err(|fault| of_dial(&fault))?;
    let mut socket: Box<dyn Socket> = match url.scheme() {
        "https" => Box::new(dialer.tls(host, tcp, deadline).await.map_err(|fault| of_dial(&fault))?),
        _ => Box::new(tcp),
    };
    let written = async {
        socket.write_all(request(url, range).as_bytes()).await?;
        socket.flush().await
    };
    written.await.map_err(|error| broken(&error))?;
    let mut input = BytesMut::with_capacity(4 << 10);
    loop {
        if let Some((head, bytes)) = head(&input)? {
            let _ = input.split_to(bytes);
            return Ok((head, socket, input));
        }
        if input.len() >= HEAD_BYTES_MAX {
            return Err(source_reason(ReasonCode::Malformed, "the head of the answer is too long"));
        }
        input.reserve(4 << 10);
        if socket.read_buf(&mut input).await.map_err(|error| broken(&error))? == 0 {
            return Err(source_reason(ReasonCode::Ended, "the server closed the connection without an answer"));
        }
    }
}

fn request(url: &Url, range: Option<(u64, u64)>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut text = format!(
        "GET {}{query} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: weir/{version}\r\nAccept: */*\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n",
        url.path()
    );
    if !url.username().is_empty() || url.password().is_some() {
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        let login = format!("{}:{}", percent_decoded(user), percent_decoded(password));
        let _ = write!(text, "Authorization: Basic {}\r\n", STANDARD.encode(login));
    }
    if let Some((from, bytes)) = range {
        let _ = write!(text, "Range: bytes={from}-{}\r\n", from.saturating_add(bytes).saturating_sub(1));
    }
    text + "\r\n"
}

/// The head and its length, once it is whole.
fn head(input: &[u8]) -> Result<Option<(Head, usize)>, Reason> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let malformed = || source_reason(ReasonCode::Malformed, "the server does not answer in HTTP");
    let httparse::Status::Complete(bytes) = response.parse(input).map_err(|_| malformed())? else { return Ok(None) };
    let mut head = Head { status: response.code.ok_or_else(malformed)?, location: None, length: None, chunked: false };
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("location") {
            head.location = Some(value.to_owned());
        } else if header.name.eq_ignore_ascii_case("content-length") {
            head.length = Some(value.parse().map_err(|_| malformed())?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = value.to_ascii_lowercase().ends_with("chunked");
        }
    }
    Ok(Some((head, bytes)))
}

/// The address that a redirect leads to. Credentials go to nobody else, and nothing goes from TLS into the open.
fn redirected(from: &Url, location: &str) -> Result<Url, Reason> {
    let refused = |message: &str| source_reason(ReasonCode::Refused, message);
    let mut to = from.join(location).map_err(|_| refused("the server redirects to an unusable address"))?;
    match (from.scheme(), to.scheme()) {
        ("https", "http") => return Err(refused("the server redirects from https to http")),
        (_, "http" | "https") => {}
        _ => return Err(refused("the server redirects to what is not HTTP")),
    }
    if from.origin() == to.origin() && to.username().is_empty() {
        let _ = to.set_username(from.username());
        let _ = to.set_password(from.password());
    }
    Ok(to)
}

fn refuse(status: u16) -> Result<(), Reason> {
    let code = match status {
        200..300 => return Ok(()),
        401 | 403 | 407 => ReasonCode::AuthRejected,
        404 | 410 => ReasonCode::NotFound,
        _ => ReasonCode::Refused,
    };
    Err(source_reason(code, format!("the server answered {status}")))
}

fn broken(error: &std::io::Error) -> Reason {
    match error.kind() {
        std::io::ErrorKind::TimedOut => {
            let message = format!("nothing has come for {} s", BYTES_WITHIN.as_secs());
            source_reason(ReasonCode::Stalled, message)
        }
        _ => source_reason(ReasonCode::Ended, "the connection broke"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_request_says_what_it_must_and_no_more() {
        let text = request(&url("http://u%40x:p@h:81/a b.ts?c=d#e"), Some((100, 50)));
        for line in ["GET /a%20b.ts?c=d HTTP/1.1\r\n", "\r\nHost: h:81\r\n", "\r\nRange: bytes=100-149\r\n\r\n"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.contains("Authorization: Basic dUB4OnA=\r\n"), "{text}");
        assert!(request(&url("https://[::1]/"), None).contains("GET / HTTP/1.1\r\nHost: [::1]\r\n"));
    }

    #[test]
    fn redirects_keep_secrets() {
        for (from, location, expected) in [
            ("http://u:p@h/a/b", "c", Some("http://u:p@h/a/c")),
            ("http://u:p@h/a", "http://other/a", Some("http://other/a")),
            ("http://h/a", "https://h/a", Some("https://h/a")),
            ("https://h/a", "http://h/a", None),
            ("http://h/a", "file:///etc/passwd", None),
            ("http://h/a", "http://", None),
        ] {
            let to = redirected(&url(from), location).ok();
            assert_eq!(to.as_ref().map(Url::as_str), expected, "{from} {location}");
        }
    }

    #[test]
    fn heads_are_read_or_refused() {
        let read = |text: &str| {
            head(text.as_bytes()).map(|head| head.map(|(head, _)| (head.status, head.length, head.chunked)))
        };
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nx"), Ok(Some((200, Some(7), false))));
        assert_eq!(read("HTTP/1.0 302 x\r\nTransfer-Encoding: Chunked\r\n\r\n"), Ok(Some((302, None, true))));
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-"), Ok(None));
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n"] {
            assert_eq!(read(text).unwrap_err().code, ReasonCode::Malformed, "{text}");
        }
        for (status, code) in [(403, ReasonCode::AuthRejected), (404, ReasonCode::NotFound), (503, ReasonCode::Refused)]
        {
            assert_eq!(refuse(status).unwrap_err().code, code);
        }
    }
}
