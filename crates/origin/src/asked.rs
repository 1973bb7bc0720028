//! The parts of a request that an answer depends on, whoever read the request.

use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Head,
    Options,
    Other,
}

/// A request as its answer sees it. A header that is no text counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: Verb,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) user_agent: Option<&'a [u8]>,
    pub(crate) accept_encoding: Option<&'a str>,
    pub(crate) if_none_match: Option<&'a str>,
    pub(crate) range: Option<&'a str>,
    /// A pass which shows that this request comes from the dashboard's preview.
    pub(crate) preview: Option<&'a str>,
}

/// The header that holds the preview's pass. Pages of other sites can't send it, because it is not among the headers that a preflight
/// allows them.
pub(crate) const PREVIEW: &str = "weir-preview";

impl<'a> Asked<'a> {
    pub(crate) fn new(verb: Verb, path: &'a str, query: Option<&'a str>) -> Self {
        Self {
            verb,
            path,
            query,
            user_agent: None,
            accept_encoding: None,
            if_none_match: None,
            range: None,
            preview: None,
        }
    }
}

impl<'a> From<&'a Parts> for Asked<'a> {
    fn from(parts: &'a Parts) -> Self {
        let verb = match parts.method {
            Method::GET => Verb::Get,
            Method::HEAD => Verb::Head,
            Method::OPTIONS => Verb::Options,
            _ => Verb::Other,
        };
        let headers = &parts.headers;
        Self {
            user_agent: headers.get(header::USER_AGENT).map(header::HeaderValue::as_bytes),
            accept_encoding: text(headers, &header::ACCEPT_ENCODING),
            if_none_match: text(headers, &header::IF_NONE_MATCH),
            range: text(headers, &header::RANGE),
            preview: text(headers, &HeaderName::from_static(PREVIEW)),
            ..Self::new(verb, parts.uri.path(), parts.uri.query())
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
