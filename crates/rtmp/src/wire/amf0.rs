//! AMF0.

use bytes::BytesMut;
use thiserror::Error;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    Object(Vec<(String, Value)>),
    EcmaArray(Vec<(String, Value)>),
    StrictArray(Vec<Value>),
    Null,
    Undefined,
    Date(f64),
    TypedObject { class: String, fields: Vec<(String, Value)> },
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmfError {
    #[error("an AMF0 value ends in the middle")]
    Truncated,
}

impl Value {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.fields().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }
    pub fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Boolean(boolean) = self { Some(*boolean) } else { None }
    }
    pub fn fields(&self) -> &[(String, Value)] {
        match self {
            Self::Object(fields) | Self::EcmaArray(fields) | Self::TypedObject { fields, .. } => fields,
            _ => &[],
        }
    }
}

pub fn decode_all(_bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    Err(AmfError::Truncated)
}

pub fn encode(_out: &mut BytesMut, _values: &[Value]) {}
