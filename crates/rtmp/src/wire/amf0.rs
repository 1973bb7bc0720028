//! AMF0 values: what commands and metadata are made of (AMF0 specification, 2007).

mod decode;
mod encode;

use std::fmt;

use thiserror::Error;

pub use decode::decode_all;
pub use encode::encode;

/// How deep objects and arrays may be nested. Real commands nest 2 to 3 deep. Each level costs stack, and 10,000 levels are 50 KB on the
/// wire.
pub const DEPTH_MAX: usize = 32;
/// The most values in one message, those inside others included. As numbers (9 bytes each) 64 KiB hold 7,281; as nulls (1 byte, but 56 in
/// memory) they would hold 65,536.
pub const VALUES_MAX: usize = 8192;

/// One value. Fields keep their order and their repetitions. Text that is not UTF-8 is repaired rather than refused.
#[derive(Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    /// A string, a long string or an XML document.
    String(String),
    Object(Vec<(String, Value)>),
    EcmaArray(Vec<(String, Value)>),
    StrictArray(Vec<Value>),
    Null,
    /// An undefined value, or a reference. No encoder is known to send a reference, and following one would let 3 bytes stand for 64 KiB.
    Undefined,
    /// Milliseconds since 1970, UTC. The time zone is a reserved field and is not kept.
    Date(f64),
    TypedObject {
        class: String,
        fields: Vec<(String, Value)>,
    },
    /// An unsupported value, or one of the types that were reserved and never defined (movie clip, record set).
    Unsupported,
}

/// What is wrong with the bytes of a value. The error holds none of them but a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmfError {
    #[error("an AMF0 value is cut short")]
    Truncated,
    #[error("AMF0 values are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("there are more than {VALUES_MAX} AMF0 values in one message")]
    TooManyValues,
    #[error("AMF0 has no values that begin with {0:#04x}")]
    UnknownMarker(u8),
}

impl Value {
    /// The first field of that name, if this is an object or an array with names.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.fields().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    /// The fields of an object, ECMA array or typed object in the order sent; empty for any other value.
    pub fn fields(&self) -> &[(String, Value)] {
        match self {
            Self::Object(fields) | Self::EcmaArray(fields) | Self::TypedObject { fields, .. } => fields,
            _ => &[],
        }
    }
}

/// Shows the shape of a value, and of a text only its length: the text of a `publish` command is the stream key.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "Number({number})"),
            Self::Boolean(boolean) => write!(f, "Boolean({boolean})"),
            Self::String(text) => write!(f, "String({} bytes)", text.len()),
            Self::Object(fields) => fields_debug(f, "Object", fields),
            Self::EcmaArray(fields) => fields_debug(f, "EcmaArray", fields),
            Self::StrictArray(values) => f.debug_tuple("StrictArray").field(values).finish(),
            Self::Null => f.write_str("Null"),
            Self::Undefined => f.write_str("Undefined"),
            Self::Date(time_ms) => write!(f, "Date({time_ms})"),
            Self::TypedObject { class, fields } => fields_debug(f, &format!("TypedObject {class:?}"), fields),
            Self::Unsupported => f.write_str("Unsupported"),
        }
    }
}

fn fields_debug(f: &mut fmt::Formatter<'_>, kind: &str, fields: &[(String, Value)]) -> fmt::Result {
    f.write_str(kind)?;
    f.write_str(" ")?;
    f.debug_map().entries(fields.iter().map(|(name, value)| (name, value))).finish()
}

/// The first byte of each value.
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const MOVIE_CLIP: u8 = 0x04;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0A;
    pub(super) const DATE: u8 = 0x0B;
    pub(super) const LONG_STRING: u8 = 0x0C;
    pub(super) const UNSUPPORTED: u8 = 0x0D;
    pub(super) const RECORD_SET: u8 = 0x0E;
    pub(super) const XML_DOCUMENT: u8 = 0x0F;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
}

#[cfg(test)]
#[path = "amf0/tests.rs"]
mod tests;
