//! Stream ids: what a caller wants, in each of the ways that people write it.

use std::borrow::Cow;
use std::fmt;

use weir_model::percent_decoded;

/// libsrt cuts off ids that are longer.
pub const STREAM_ID_BYTES_MAX: usize = 512;

/// The beginning of a stream id of SRT's access control.
const ACCESS_CONTROL: &str = "#!::";
const PUBLISH: &str = "publish:";
const REQUEST: &str = "request:";
/// The application of an RTMP address. People put it before the key here, too.
const LIVE: &str = "live/";

/// What a caller wants. `Debug` shows neither key nor token.
#[derive(Clone, PartialEq, Eq)]
pub enum SrtStreamId<'a> {
    /// `program` is the programme of the transport stream that is wanted. Without it the first one is taken.
    Publish {
        stream_key: Cow<'a, str>,
        program: Option<u16>,
    },
    Request {
        name: Cow<'a, str>,
        rendition: Option<Cow<'a, str>>,
        token: Option<Cow<'a, str>>,
    },
}

/// Why we can't understand a stream id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdFault {
    #[error("the stream id is empty: use streamid=publish:<stream key>")]
    Empty,
    #[error("the stream id is longer than 512 bytes")]
    TooLong,
    #[error("the stream id has no resource (r=), an unknown mode (m=) or a programme that is no number")]
    Malformed,
}

impl<'a> SrtStreamId<'a> {
    /// Reads `publish:<key>[?program=<number>]`, `request:<name>[/<rendition>][?token=<token>]`, `#!::m=publish,r=<key>` and its like, or
    /// a bare key.
    pub fn parse(text: &'a str) -> Result<Self, StreamIdFault> {
        if text.len() > STREAM_ID_BYTES_MAX {
            return Err(StreamIdFault::TooLong);
        }
        // ffmpeg 5.1 sends `streamid=%23!::...` as it is written; others decode it first.
        match percent_decoded(text) {
            Cow::Owned(decoded) => SrtStreamId::of_decoded(&decoded).map(SrtStreamId::into_owned),
            Cow::Borrowed(text) => Self::of_decoded(text),
        }
    }

    fn of_decoded(text: &'a str) -> Result<Self, StreamIdFault> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(ACCESS_CONTROL) {
            return Self::of_pairs(rest);
        }
        if let Some(name) = text.strip_prefix(REQUEST) {
            let (name, query) = name.split_once('?').unwrap_or((name, ""));
            let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
            return Self::request(name, token);
        }
        let key = text.strip_prefix(PUBLISH).unwrap_or(text);
        let (key, query) = key.split_once('?').unwrap_or((key, ""));
        Self::publish(key, query.split('&').find_map(|pair| pair.strip_prefix("program=")))
    }

    /// Reads the pairs of access control, in any order. If a key comes twice, the last one counts; unknown keys are for others.
    fn of_pairs(pairs: &'a str) -> Result<Self, StreamIdFault> {
        let (mut mode, mut resource, mut token, mut program) = ("request", "", None, None);
        for (key, value) in pairs.split(',').filter_map(|pair| pair.split_once('=')) {
            match key.trim() {
                "m" => mode = value.trim(),
                "r" => resource = value.trim(),
                "token" => token = Some(value.trim()),
                "program" => program = Some(value.trim()),
                _ => {}
            }
        }
        match mode {
            _ if resource.is_empty() => Err(StreamIdFault::Malformed),
            "publish" => Self::publish(resource, program),
            "request" => Self::request(resource, token),
            _ => Err(StreamIdFault::Malformed),
        }
    }

    fn publish(key: &'a str, program: Option<&'a str>) -> Result<Self, StreamIdFault> {
        let key = key.strip_prefix(LIVE).unwrap_or(key);
        if key.is_empty() {
            return Err(StreamIdFault::Empty);
        }
        let program = program.map(|number| number.parse().map_err(|_| StreamIdFault::Malformed)).transpose()?;
        Ok(Self::Publish { stream_key: key.into(), program })
    }

    fn request(path: &'a str, token: Option<&'a str>) -> Result<Self, StreamIdFault> {
        let (name, rendition) = path.split_once('/').map_or((path, None), |(name, rendition)| (name, Some(rendition)));
        if name.is_empty() {
            return Err(StreamIdFault::Empty);
        }
        let filled = |text: &&str| !text.is_empty();
        Ok(Self::Request {
            name: name.into(),
            rendition: rendition.filter(filled).map(Into::into),
            token: token.filter(filled).map(Into::into),
        })
    }

    fn into_owned<'b>(self) -> SrtStreamId<'b> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Publish { stream_key, program } => SrtStreamId::Publish { stream_key: owned(stream_key), program },
            Self::Request { name, rendition, token } => {
                SrtStreamId::Request { name: owned(name), rendition: rendition.map(owned), token: token.map(owned) }
            }
        }
    }
}

impl fmt::Debug for SrtStreamId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { .. } => f.debug_struct("Publish").finish_non_exhaustive(),
            Self::Request { name, rendition, .. } => {
                f.debug_struct("Request").field("name", name).field("rendition", rendition).finish_non_exhaustive()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing() {
        let of_program = |key: &'static str, program| Ok(SrtStreamId::Publish { stream_key: key.into(), program });
        let publish = |key| of_program(key, None);
        let request = |name: &'static str, rendition: Option<&'static str>, token: Option<&'static str>| {
            let (rendition, token) = (rendition.map(Cow::from), token.map(Cow::from));
            Ok(SrtStreamId::Request { name: name.into(), rendition, token })
        };
        for (text, expected) in [
            ("publish:abc", publish("abc")),
            ("abc", publish("abc")),
            ("live/abc", publish("abc")),
            ("publish:live/abc", publish("abc")),
            ("#!::m=publish,r=abc", publish("abc")),
            ("#!::r=live/abc,m=publish", publish("abc")),
            ("#!::u=me,r=abc,s=7,m=publish", publish("abc")),
            ("%23!::m=publish,r=abc", publish("abc")),
            ("%23%21%3A%3Ar%3Dabc%2Cm%3Dpublish", publish("abc")),
            ("publish%3Aabc", publish("abc")),
            ("50%", publish("50%")),
            ("publish:abc?program=2", of_program("abc", Some(2))),
            ("#!::m=publish,r=abc,program=7", of_program("abc", Some(7))),
            ("publish:abc?program=x", Err(StreamIdFault::Malformed)),
            ("request:cam1", request("cam1", None, None)),
            ("request:cam1/720p", request("cam1", Some("720p"), None)),
            ("request:cam1/", request("cam1", None, None)),
            ("request:cam1/720p?token=t", request("cam1", Some("720p"), Some("t"))),
            ("#!::r=cam1", request("cam1", None, None)),
            ("#!::m=request,r=cam1/720p,token=t", request("cam1", Some("720p"), Some("t"))),
            ("", Err(StreamIdFault::Empty)),
            ("publish:", Err(StreamIdFault::Empty)),
            ("request:", Err(StreamIdFault::Empty)),
            ("#!::m=publish", Err(StreamIdFault::Malformed)),
            ("#!::m=bidirectional,r=abc", Err(StreamIdFault::Malformed)),
        ] {
            assert_eq!(SrtStreamId::parse(text), expected, "{text}");
        }
        assert_eq!(SrtStreamId::parse(&"x".repeat(513)), Err(StreamIdFault::TooLong));
    }

    #[test]
    fn secrets_are_not_shown() {
        for text in ["publish:sesame", "request:cam1?token=sesame"] {
            assert!(!format!("{:?}", SrtStreamId::parse(text)).contains("sesame"), "{text}");
        }
    }
}
