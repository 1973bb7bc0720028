//! AMF0: whatever decodes must encode, and decode again to the same values.

use bytes::BytesMut;
use weir_rtmp::wire::{Value, decode_all, encode};

use crate::random::Random;

/// How deep generated values may be nested: deeper than the decoder allows, so that the limit is met from both sides.
const DEPTH_MAX: usize = 40;

pub fn fuzz_amf0(data: &[u8]) {
    let Ok(values) = decode_all(data) else { return };
    let again = encoded(&values);
    // A second round must change nothing. Values are compared as bytes, because NaN is not equal to itself.
    let reread = decode_all(&again).unwrap_or_default();
    assert!(encoded(&reread) == again, "encoding is not stable");
}

fn encoded(values: &[Value]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(&mut out, values);
    out.to_vec()
}

/// Makes some valid values, as a command or metadata has them.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut budget = 40;
    let values: Vec<Value> = (0..1 + random.below(5)).map(|_| value(random, 0, &mut budget)).collect();
    let mut bytes = encoded(&values);
    // Our encoder never writes these: references, reserved types, XML and an AMF3 switch.
    if random.one_in(4) {
        let extra: &[u8] =
            random.pick(&[b"\x07\0\0".as_slice(), b"\x04", b"\x0E", b"\x0F\0\0\0\x03<a>", b"\x11\x01", b"\x0D"]);
        bytes.extend_from_slice(extra);
    }
    bytes
}

fn value(random: &mut Random, depth: usize, budget: &mut usize) -> Value {
    *budget = budget.saturating_sub(1);
    let containers = if *budget == 0 || depth > DEPTH_MAX { 0 } else { 5 };
    match random.below(7 + containers) {
        0 => Value::Number(f64::from_bits(random.number())),
        1 => Value::Boolean(random.one_in(2)),
        2 => Value::Null,
        3 => Value::Undefined,
        4 => Value::Date(random.below(1 << 40) as f64),
        5 => Value::Unsupported,
        6 => Value::String(text(random)),
        7 | 8 => Value::Object(fields(random, depth, budget)),
        9 => Value::EcmaArray(fields(random, depth, budget)),
        10 => Value::TypedObject { class: text(random), fields: fields(random, depth, budget) },
        _ => Value::StrictArray((0..random.below(4)).map(|_| value(random, depth + 1, budget)).collect()),
    }
}

fn fields(random: &mut Random, depth: usize, budget: &mut usize) -> Vec<(String, Value)> {
    (0..random.below(4)).map(|_| (text(random), value(random, depth + 1, budget))).collect()
}

fn text(random: &mut Random) -> String {
    let word = random.pick(&["", "app", "live", "tcUrl", "videocodecid", "é\u{1F3A5}"]);
    if random.one_in(50) { word.repeat(random.length(9000)) } else { word.to_owned() }
}
