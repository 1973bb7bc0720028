//! Viewers over HTTP/1.1 keep-alive: as many requests as go through, or as many viewers as are asked for, each at its own pace.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// No answer of a live server may take longer than this.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A player of 2 s segments looks at its playlist this often.
const POLL_EVERY: Duration = Duration::from_secs(2);
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Reads of this size take a megabyte in few of them; the buffers of 2,000 viewers are 128 MB.
const READ_BYTES: usize = 64 * 1024;

/// One keep-alive connection.
struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Client {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: vec![0; READ_BYTES], filled: 0 })
    }

    /// Sends a request that is written out already, and reads its whole answer. Returns the length of the body, which `keep` receives.
    async fn exchange(&mut self, request: &[u8], mut keep: Option<&mut Vec<u8>>) -> anyhow::Result<usize> {
        self.socket.write_all(request).await?;
        self.filled = 0;
        let body_at = loop {
            let head = &self.buffer[..self.filled];
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.filled < HEAD_BYTES_MAX, "no end of the headers");
            let count = self.socket.read(&mut self.buffer[self.filled..]).await?;
            ensure!(count > 0, "the server hung up");
            self.filled += count;
        };
        let head = std::str::from_utf8(&self.buffer[..body_at]).context("headers are text")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .context("no length")?;
        let mut have = self.filled - body_at;
        if let Some(keep) = &mut keep {
            keep.clear();
            keep.extend_from_slice(&self.buffer[body_at..self.filled]);
        }
        while have < length {
            let count = self.socket.read(&mut self.buffer).await?;
            ensure!(count > 0, "the server hung up in a body");
            have += count;
            if let Some(keep) = &mut keep {
                keep.extend_from_slice(&self.buffer[..count]);
            }
        }
        ensure!(have == length, "more came than the length said");
        Ok(length)
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: weir-benches\r\nAccept: */*\r\n\r\n").into_bytes()
}

/// Counts the answers that come in `seconds` over this many connections, each of which asks again after its answer.
pub(crate) fn blast(address: SocketAddr, path: &str, connections: usize, seconds: u64) -> anyhow::Result<()> {
    run(async {
        let request: &'static [u8] = request(path).leak();
        let mut running = JoinSet::new();
        let end = Instant::now() + Duration::from_secs(seconds);
        for _ in 0..connections {
            running.spawn(async move {
                let mut client = Client::connect(address).await?;
                let (mut answers, mut bytes) = (0_u64, 0_u64);
                while Instant::now() < end {
                    bytes += timeout(ANSWER_LIMIT, client.exchange(request, None)).await?? as u64;
                    answers += 1;
                }
                anyhow::Ok((answers, bytes))
            });
        }
        let (mut answers, mut bytes) = (0, 0);
        while let Some(ended) = running.join_next().await {
            let (more_answers, more_bytes) = ended??;
            answers += more_answers;
            bytes += more_bytes;
        }
        println!("{}", json!({ "answers": answers, "bytes": bytes }));
        Ok(())
    })
}

/// Viewers that follow a playlist and fetch each new segment.
pub(crate) fn view(address: SocketAddr, playlist: &str, viewers: usize, seconds: u64) -> anyhow::Result<()> {
    run(async {
        let mut running = JoinSet::new();
        let start = tokio::time::Instant::now() + Duration::from_secs(2);
        for viewer in 0..viewers {
            let playlist = playlist.to_owned();
            // The viewers are spread over the time between two polls, as they would come.
            let first = start + POLL_EVERY * viewer as u32 / viewers as u32;
            running.spawn(async move {
                sleep_until(first).await;
                let mut errors = Vec::new();
                let mut taken = Vec::new();
                if let Err(error) = follow(address, &playlist, seconds, &mut taken).await {
                    errors.push(error.to_string());
                }
                (taken, errors)
            });
        }
        let (mut times, mut errors) = (Vec::new(), Vec::new());
        while let Some(ended) = running.join_next().await {
            let (taken, failed) = ended?;
            times.extend(taken);
            errors.extend(failed);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        println!(
            "{}",
            json!({ "segments": times.len(), "errors": errors.len(), "first_error": errors.first(),
                "segment_p50_ms": at(0.5), "segment_p99_ms": at(0.99), "segment_max_ms": times.last() })
        );
        Ok(())
    })
}

async fn follow(address: SocketAddr, playlist: &str, seconds: u64, times_ms: &mut Vec<f64>) -> anyhow::Result<()> {
    let mut client = Client::connect(address).await?;
    let ask = request(playlist);
    let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (mut text, mut known) = (Vec::new(), String::new());
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let next = tokio::time::Instant::now() + POLL_EVERY;
        timeout(ANSWER_LIMIT, client.exchange(&ask, Some(&mut text))).await??;
        let playlist = std::str::from_utf8(&text)?;
        let newest = playlist.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#'));
        let Some(newest) = newest else { bail!("a playlist without segments") };
        if known != newest {
            let start = Instant::now();
            timeout(ANSWER_LIMIT, client.exchange(&request(&format!("{folder}/{newest}")), None)).await??;
            times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
            newest.clone_into(&mut known);
        }
        sleep_until(next).await;
    }
    Ok(())
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
