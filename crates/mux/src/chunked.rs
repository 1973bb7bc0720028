//! The body of an HTTP/1.1 answer that comes in chunks (RFC 9112, 7.1), unpacked.

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest line that says the size of a chunk, or stands behind the last one.
const LINE_BYTES_MAX: usize = 1_024;
/// Behind the last chunk so many lines may stand.
const TRAILERS_MAX: usize = 32;

/// Unpacks chunks as they come.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The line with the size of a chunk comes next.
    #[default]
    Size,
    /// So many bytes of the chunk are still to come.
    Data(u64),
    /// The line break behind a chunk comes next.
    Break,
    /// What stands behind the last chunk.
    Trailer,
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of the answer can't be read")]
pub struct ChunkFault;

impl Chunked {
    /// Takes from `input` what has come of the body. Nothing comes out where more input is needed, and at the end.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<Bytes, ChunkFault> {
        loop {
            match self.state {
                State::Data(left) => {
                    let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let left = left - bytes as u64;
                    self.state = if left == 0 { State::Break } else { State::Data(left) };
                    if bytes > 0 || left > 0 {
                        return Ok(input.split_to(bytes).freeze());
                    }
                }
                State::Whole => return Ok(Bytes::new()),
                State::Size | State::Break | State::Trailer => {
                    let Some(line) = line(input)? else { return Ok(Bytes::new()) };
                    self.state = self.behind(&line)?;
                }
            }
        }
    }

    /// Whether the last chunk has come, and what stands behind it.
    pub fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    fn behind(&mut self, line: &[u8]) -> Result<State, ChunkFault> {
        match self.state {
            State::Size => {
                // Extensions behind a semicolon mean nothing to us.
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                let text =
                    std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let bytes = u64::from_str_radix(text.ok_or(ChunkFault)?, 16).map_err(|_| ChunkFault)?;
                Ok(if bytes == 0 { State::Trailer } else { State::Data(bytes) })
            }
            State::Break if line.is_empty() => Ok(State::Size),
            State::Trailer if line.is_empty() => Ok(State::Whole),
            State::Trailer if self.trailers < TRAILERS_MAX => {
                self.trailers += 1;
                Ok(State::Trailer)
            }
            _ => Err(ChunkFault),
        }
    }
}

/// Takes a whole line from the front, without its break.
fn line(input: &mut BytesMut) -> Result<Option<BytesMut>, ChunkFault> {
    let Some(at) = input.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if input.len() >= LINE_BYTES_MAX { Err(ChunkFault) } else { Ok(None) };
    };
    let mut line = input.split_to(at);
    input.advance(1);
    if line.ends_with(b"\r") {
        line.truncate(line.len() - 1);
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(text: &[u8], step: usize) -> Result<(Vec<u8>, bool), ChunkFault> {
        let (mut chunked, mut input, mut out) = (Chunked::default(), BytesMut::new(), Vec::new());
        for piece in text.chunks(step) {
            input.extend_from_slice(piece);
            loop {
                let taken = chunked.take(&mut input)?;
                if taken.is_empty() {
                    break;
                }
                out.extend_from_slice(&taken);
            }
        }
        Ok((out, chunked.is_whole()))
    }

    #[test]
    fn chunks_are_unpacked_however_they_come() {
        for (text, expected) in [
            (&b"3\r\nabc\r\n00A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"[..], Ok((&b"abc0123456789"[..], true))),
            (b"2\nab\n0\n\n", Ok((b"ab", true))),
            (b"2\r\na", Ok((b"a", false))),
            (b"", Ok((b"", false))),
            (b"x\r\n", Err(ChunkFault)),
            (b"-1\r\n", Err(ChunkFault)),
            (b"\r\n", Err(ChunkFault)),
            (b"1\r\nabc\r\n", Err(ChunkFault)),
            (b"fffffffffffffffff\r\n", Err(ChunkFault)),
            (&[b'1'; LINE_BYTES_MAX + 1], Err(ChunkFault)),
        ] {
            for step in [1, 2, 7, 4_096] {
                let got = unpacked(text, step);
                let got = got.as_ref().map(|(bytes, whole)| (&**bytes, *whole)).map_err(|fault| *fault);
                assert_eq!(got, expected, "{:?} by {step}", String::from_utf8_lossy(text));
            }
        }
    }

    #[test]
    fn trailers_end() {
        let text = format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_MAX + 1));
        assert_eq!(unpacked(text.as_bytes(), 64), Err(ChunkFault));
    }
}
