//! Bytes to values, in bounded depth, count and memory.

use super::{AmfError, DEPTH_MAX, VALUES_MAX, Value, marker};

/// All values of one message. An object whose end marker is missing at the very end of the bytes is taken as ended, because some encoders
/// leave it out. Anything else that is cut short is an error.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut decoder = Decoder { rest: bytes, values_left: VALUES_MAX };
    let mut values = Vec::new();
    while !decoder.rest.is_empty() {
        values.push(decoder.value(0)?);
    }
    Ok(values)
}

struct Decoder<'a> {
    rest: &'a [u8],
    values_left: usize,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(AmfError::TooManyValues)?;
        let [kind] = self.array()?;
        Ok(match kind {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            marker::BOOLEAN => Value::Boolean(self.array()? != [0]),
            marker::STRING => Value::String(self.short_text()?),
            marker::LONG_STRING | marker::XML_DOCUMENT => Value::String(self.long_text()?),
            marker::OBJECT => Value::Object(self.fields(depth)?),
            marker::ECMA_ARRAY => {
                // The count is a hint that encoders get wrong; the end marker decides.
                self.array::<4>()?;
                Value::EcmaArray(self.fields(depth)?)
            }
            marker::STRICT_ARRAY => Value::StrictArray(self.elements(depth)?),
            marker::TYPED_OBJECT => Value::TypedObject { class: self.short_text()?, fields: self.fields(depth)? },
            marker::DATE => {
                let time_ms = f64::from_be_bytes(self.array()?);
                self.array::<2>()?;
                Value::Date(time_ms)
            }
            marker::NULL => Value::Null,
            marker::UNDEFINED => Value::Undefined,
            marker::REFERENCE => {
                self.array::<2>()?;
                Value::Undefined
            }
            marker::UNSUPPORTED | marker::MOVIE_CLIP | marker::RECORD_SET => Value::Unsupported,
            // These are the end of an object outside of one, the switch to AMF3 (0x11), and markers that nobody defined.
            unknown => return Err(AmfError::UnknownMarker(unknown)),
        })
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
        if depth >= DEPTH_MAX {
            return Err(AmfError::TooDeep);
        }
        let mut fields = Vec::new();
        loop {
            if let [0, 0, marker::OBJECT_END, rest @ ..] = self.rest {
                self.rest = rest;
                return Ok(fields);
            }
            if matches!(self.rest, [] | [0] | [0, 0]) {
                self.rest = &[];
                return Ok(fields);
            }
            fields.push((self.short_text()?, self.value(depth + 1)?));
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Value>, AmfError> {
        if depth >= DEPTH_MAX {
            return Err(AmfError::TooDeep);
        }
        let count = u32::from_be_bytes(self.array()?);
        // Nothing is reserved for the announced count: each element has to be there first.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        let length = u32::from_be_bytes(self.array()?);
        self.text(length as usize)
    }

    fn text(&mut self, length: usize) -> Result<String, AmfError> {
        let (text, rest) = self.rest.split_at_checked(length).ok_or(AmfError::Truncated)?;
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (array, rest): (&'a [u8; N], _) = self.rest.split_first_chunk().ok_or(AmfError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }
}
