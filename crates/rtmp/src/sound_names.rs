//! The names that an encoder's metadata gives its sounds: `audioTrackIdInfoMap` of Enhanced RTMP v2.

use std::collections::BTreeMap;

use weir_media::{Language, label_of};

use crate::wire::{Value, decode_all};

const MAP: &str = "audioTrackIdInfoMap";

/// The language and the label of each sound, by the number of its track.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SoundNames {
    names: BTreeMap<u8, (Option<Language>, Option<String>)>,
}

impl SoundNames {
    /// Reads an `onMetaData` message. Returns `None` for any other message, and for metadata that names no sounds.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        // Encoders of one sound send no map, and nothing else in the metadata is needed, so it is not decoded.
        if !payload.windows(MAP.len()).any(|window| window == MAP.as_bytes()) {
            return None;
        }
        let values = decode_all(payload).ok()?;
        let map = values.iter().find_map(|value| value.get(MAP))?;
        let name = |(number, facts): &(String, Value)| {
            let text = |key: &str| facts.get(key)?.as_str();
            let language = text("language").or(text("lang")).and_then(Language::parse);
            let label = text("label").or(text("title")).or(text("name")).and_then(label_of);
            Some((number.parse().ok()?, (language, label)))
        };
        Some(Self { names: map.fields().iter().filter_map(name).collect() })
    }

    pub(crate) fn of(&self, number: u8) -> (Option<Language>, Option<String>) {
        self.names.get(&number).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::wire::encode;

    fn object(fields: &[(&str, Value)]) -> Value {
        Value::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn sounds_are_named_by_metadata() {
        let metadata = |map: Value| {
            let mut out = BytesMut::new();
            encode(&mut out, &[text("onMetaData"), object(&[("width", Value::Number(1920.0)), (MAP, map)])]);
            out
        };
        let map = object(&[
            ("0", object(&[("language", text("ger"))])),
            ("1", object(&[("lang", text("en")), ("title", text("Comm\"entary\n"))])),
            ("x", object(&[("language", text("fra"))])),
            ("2", text("fra")),
            ("300", object(&[])),
        ]);
        let names = SoundNames::parse(&metadata(map)).unwrap();
        assert_eq!(names.of(0), (Language::parse("deu"), None));
        assert_eq!(names.of(1), (Language::parse("eng"), Some("Commentary".to_owned())));
        assert_eq!((names.of(2), names.of(7)), ((None, None), (None, None)));
        assert_eq!(SoundNames::parse(&metadata(Value::Null)), Some(SoundNames::default()));
        assert_eq!(SoundNames::parse(b"onMetaData"), None);
        assert_eq!(SoundNames::parse(&metadata(object(&[]))[..40]), None);
    }
}
