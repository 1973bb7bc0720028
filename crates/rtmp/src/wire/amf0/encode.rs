//! Values to bytes.

use bytes::{BufMut, BytesMut};

use super::{Value, marker};

/// The names of fields and classes have 16-bit lengths, and so have texts that are not marked as long.
const SHORT_TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// Appends the values one after another. Texts above 64 KiB become long strings; names above it are cut.
pub fn encode(out: &mut BytesMut, values: &[Value]) {
    for value in values {
        encode_value(out, value);
    }
}

fn encode_value(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(number) => {
            out.put_u8(marker::NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(boolean) => out.put_slice(&[marker::BOOLEAN, u8::from(*boolean)]),
        Value::String(text) if text.len() <= SHORT_TEXT_BYTES_MAX => {
            out.put_u8(marker::STRING);
            put_name(out, text);
        }
        Value::String(text) => {
            let text = cut(text, u32::MAX as usize);
            out.put_u8(marker::LONG_STRING);
            out.put_u32(text.len() as u32);
            out.put_slice(text.as_bytes());
        }
        Value::Object(fields) => {
            out.put_u8(marker::OBJECT);
            put_fields(out, fields);
        }
        Value::EcmaArray(fields) => {
            out.put_u8(marker::ECMA_ARRAY);
            out.put_u32(fields.len() as u32);
            put_fields(out, fields);
        }
        Value::StrictArray(elements) => {
            out.put_u8(marker::STRICT_ARRAY);
            out.put_u32(elements.len() as u32);
            encode(out, elements);
        }
        Value::TypedObject { class, fields } => {
            out.put_u8(marker::TYPED_OBJECT);
            put_name(out, class);
            put_fields(out, fields);
        }
        Value::Null => out.put_u8(marker::NULL),
        Value::Undefined => out.put_u8(marker::UNDEFINED),
        Value::Unsupported => out.put_u8(marker::UNSUPPORTED),
        Value::Date(time_ms) => {
            out.put_u8(marker::DATE);
            out.put_f64(*time_ms);
            out.put_u16(0);
        }
    }
}

fn put_fields(out: &mut BytesMut, fields: &[(String, Value)]) {
    for (name, value) in fields {
        put_name(out, name);
        encode_value(out, value);
    }
    out.put_slice(&[0, 0, marker::OBJECT_END]);
}

fn put_name(out: &mut BytesMut, name: &str) {
    let name = cut(name, SHORT_TEXT_BYTES_MAX);
    out.put_u16(name.len() as u16);
    out.put_slice(name.as_bytes());
}

/// The longest prefix that fits into `bytes_max` and ends with a whole character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
