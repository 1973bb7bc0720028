//! Reads what comes in: bodies, ids, pages and preconditions. Each is refused in words that name the field.

use crate::later;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

/// The most bytes of a body. No configuration is larger; a playlist of a thousand long paths is a quarter of it.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

const DEFAULT_PAGE_ROWS: u32 = 100;

/// A JSON body. An empty body counts as `{}`, so that `POST .../rotate-key` needs none.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
            _ => Problem::malformed("the body could not be read"),
        })?;
        if !bytes.is_empty() && kind.is_some_and(|kind| !is_json(&kind)) {
            return Err(Problem::unsupported_media_type("a body is JSON: send it with Content-Type: application/json"));
        }
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        parse(text).map(Self)
    }
}

/// Whether the type is `application/json` or `application/<something>+json`, with parameters or without. Pages of other sites can send text
/// without being asked whether they may, so text is not taken for JSON.
fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    // serde takes a list for an object, field by field, and nobody means that.
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid("body", "must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|fault| {
        let path = fault.path().to_string();
        json_problem(&path, fault.inner())
    })?;
    deserializer.end().map_err(|_| Problem::malformed("the body goes on after its JSON"))?;
    Ok(value)
}

/// The problem that a fault of serde's is. serde's messages repeat the value at fault, which may be a key, so the problem says what was
/// expected instead.
pub(crate) fn json_problem(path: &str, fault: &serde_json::Error) -> Problem {
    if !fault.is_data() {
        return Problem::malformed(format!("the body is not JSON: line {}, column {}", fault.line(), fault.column()));
    }
    let message = fault.to_string();
    let parent = path.trim_end_matches('?').trim_end_matches('.');
    let quoted = || message.split('`').nth(1).unwrap_or_default().to_owned();
    let child = || {
        let name = quoted();
        // In some shapes the path of an unknown field ends in that field already, and in others it doesn't.
        if parent.is_empty() {
            name
        } else if parent == name || parent.ends_with(&format!(".{name}")) {
            parent.to_owned()
        } else {
            format!("{parent}.{name}")
        }
    };
    if message.starts_with("unknown field") {
        let field = child();
        return match later::names_field(&field) {
            true => Problem::not_available(field),
            false => Problem::invalid(field, "is not a known field"),
        };
    }
    if message.starts_with("missing field") {
        return Problem::invalid(child(), "is required");
    }
    if message.starts_with("duplicate field") {
        return Problem::invalid(child(), "is given twice");
    }
    let expected = message.split(", expected ").nth(1).and_then(|rest| rest.split(" at line ").next());
    let field = if parent.is_empty() { "body" } else { parent };
    match expected {
        Some(expected) => Problem::invalid(field, format!("must be {expected}")),
        None => Problem::invalid(field, "has a value that can't be used"),
    }
}

/// Reads a field of a PATCH: an absent field is None, a present one is Some, and null is taken only if T takes it.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The id in the path. What is no number names nothing, so it is not found.
pub(crate) struct Id(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<i64>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        Ok(Self(id))
    }
}

/// The query. If it can't be read, the refusal is a problem.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(query) = Query::<T>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::malformed("the query has a value that can't be"))?;
        Ok(Self(query))
    }
}

/// Says which part of a list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// How many entries the answer may have: 1 to 500; 100 when absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

impl PageParams {
    /// The id after which the page begins, and how many rows it may have.
    pub(crate) fn read(&self) -> Result<(i64, u32), Problem> {
        let limit = match &self.limit {
            None => DEFAULT_PAGE_ROWS,
            Some(text) => match text.parse() {
                Ok(limit) if (1..=weir_store::MAX_PAGE_ROWS).contains(&limit) => limit,
                _ => return Err(Problem::invalid("limit", "must be a number from 1 to 500")),
            },
        };
        let after = match &self.cursor {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|after| *after >= 0)
                .ok_or_else(|| Problem::invalid("cursor", "must be the next_cursor of a page"))?,
        };
        Ok((after, limit))
    }
}

/// Says whether secrets are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevealParams {
    /// Shows keys and passphrases. This needs the role operator, and is audited.
    #[serde(default)]
    pub(crate) reveal: bool,
}

/// The version that a change was meant for, from the header `If-Match`.
pub(crate) struct IfMatch(pub(crate) Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        // A tag that is not one of ours matches nothing, like any other stale one.
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
        version.map(|version| Self(Some(version))).ok_or_else(|| weir_store::StoreError::Stale.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
        #[serde(default, deserialize_with = "present")]
        patch: Option<Option<u8>>,
        #[serde(default, deserialize_with = "present")]
        strict: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        size: u8,
    }

    #[test]
    fn problems_name_the_field_and_not_the_value() {
        for (body, status, field) in [
            (r#"{"name":"a","nmae":1}"#, 422, Some("nmae")),
            (r"{}", 422, Some("name")),
            (r"", 400, None),
            (r#"{"name":"#, 400, None),
            (r#"{"name":"a"} x"#, 400, None),
            (r"[1]", 422, Some("body")),
            (r#""planted""#, 422, Some("body")),
            (r#"{"name":["planted"]}"#, 422, Some("name")),
            (r#"{"name":"a","inner":[{"size":"planted"}]}"#, 422, Some("inner[0].size")),
            (r#"{"name":"a","inner":[{"size":1,"x":1}]}"#, 422, Some("inner[0].x")),
            (r#"{"name":"a","inner":[{"size":1},{}]}"#, 422, Some("inner[1].size")),
            (r#"{"name":"a","strict":null}"#, 422, Some("strict")),
            (r#"{"name":"a","name":"b"}"#, 422, Some("name")),
        ] {
            let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (status, field), "{body}: {}", problem.detail);
            assert!(!problem.detail.contains("planted"), "{}", problem.detail);
        }
    }

    #[test]
    fn only_json_is_json() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/merge-patch+json", true),
            ("text/plain", false),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(is_json(&HeaderValue::from_static(kind)), expected, "{kind}");
        }
    }

    #[test]
    fn null_is_not_absence() {
        assert_eq!(parse::<Outer>(br#"{"name":"a"}"#).unwrap().patch, None);
        assert_eq!(parse::<Outer>(br#"{"name":"a","patch":null}"#).unwrap().patch, Some(None));
        assert_eq!(parse::<Outer>(br#"{"name":"a","patch":1}"#).unwrap().patch, Some(Some(1)));
    }
}
