//! Knows where the secrets stand in a document, and seals and opens them there.

use super::PortableError;
use serde_json::{Value, json};
use weir_model::Secret;
use weir_store::Store;

/// The paths of secrets, by list. `*` is every field of an object or every item of a list.
const SECRETS: [(&str, &[&str]); 4] = [
    ("destinations", &["body.url", "body.backup_url"]),
    ("streams", &["stream_keys.*", "body.srt_passphrase", "body.sources.*.uri"]),
    ("restreams", &["body.uri", "body.stream_key", "body.backup_uri"]),
    ("webhooks", &["body.url", "body.secret"]),
];

/// A sealed secret stands in the document as `{"sealed": "..."}`.
const SEALED: &str = "sealed";

/// Where a secret stands. People are told its place in the list; sealing goes by the id, which stays when the list changes.
pub(super) struct SecretPlace {
    pub(super) path: String,
    pub(super) sealing: String,
}

/// Calls `visit` with each secret and its place.
pub(super) fn each(
    document: &mut Value,
    visit: &mut dyn FnMut(&SecretPlace, &mut Value) -> Result<(), PortableError>,
) -> Result<(), PortableError> {
    for (list, paths) in SECRETS {
        let Some(Value::Array(items)) = document.get_mut(list) else { continue };
        for (number, item) in items.iter_mut().enumerate() {
            let id = item.get("id").and_then(Value::as_i64).unwrap_or_default();
            for path in paths {
                let place = SecretPlace { path: format!("{list}[{number}]"), sealing: format!("export/{list}/{id}") };
                walk(item, path, &place, visit)?;
            }
        }
    }
    Ok(())
}

fn walk(
    value: &mut Value,
    path: &str,
    place: &SecretPlace,
    visit: &mut dyn FnMut(&SecretPlace, &mut Value) -> Result<(), PortableError>,
) -> Result<(), PortableError> {
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    let mut go = |value: &mut Value, shown: String, name: &str| {
        let place = SecretPlace { path: place.path.clone() + &shown, sealing: format!("{}/{name}", place.sealing) };
        match rest {
            Some(rest) => walk(value, rest, &place, visit),
            None => visit(&place, value),
        }
    };
    match (value, step) {
        (Value::Array(items), "*") => {
            for (number, item) in items.iter_mut().enumerate() {
                go(item, format!("[{number}]"), &number.to_string())?;
            }
        }
        (Value::Object(fields), "*") => {
            for (name, field) in fields {
                go(field, format!(".{name}"), name)?;
            }
        }
        (Value::Object(fields), step) => {
            if let Some(field) = fields.get_mut(step) {
                go(field, format!(".{step}"), step)?;
            }
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn seal(document: &mut Value, store: &Store) -> Result<(), PortableError> {
    each(document, &mut |place, value| {
        if let Value::String(text) = value {
            *value = json!({ SEALED: store.seal_for_export(&place.sealing, text)? });
        }
        Ok(())
    })
}

pub(super) fn open(document: &mut Value, open: &dyn Fn(&str, &str) -> Option<Secret>) -> Result<(), PortableError> {
    each(document, &mut |place, value| {
        if let Some(sealed) = sealed_text(value) {
            let opened = open(&place.sealing, sealed).ok_or_else(|| {
                PortableError::at(
                    &place.path,
                    "was sealed with another secret.key: put that file into the data directory first, or export with \
                     --with-secrets",
                )
            })?;
            *value = Value::String(opened.expose().to_owned());
        }
        Ok(())
    })
}

pub(super) fn sealed_text(value: &Value) -> Option<&str> {
    let fields = value.as_object()?;
    fields.get(SEALED)?.as_str().filter(|_| fields.len() == 1)
}
