//! AMF0 both ways: each marker, each limit, and round trips.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn field(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

fn encoded(values: &[Value]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(&mut out, values);
    out.to_vec()
}

#[test]
fn every_marker_is_read() {
    let x = || vec![field("x", Value::Null)];
    let table: [(&[u8], Value); 19] = [
        (b"\x00\x3F\xF0\0\0\0\0\0\0", Value::Number(1.0)),
        (b"\x01\x00", Value::Boolean(false)),
        (b"\x01\x07", Value::Boolean(true)),
        (b"\x02\0\x02hi", text("hi")),
        (b"\x02\0\x02h\xFF", text("h\u{FFFD}")),
        (b"\x03\0\x01x\x05\0\0\x09", Value::Object(x())),
        (b"\x03\0\0\x09", Value::Object(Vec::new())),
        (b"\x04", Value::Unsupported),
        (b"\x05", Value::Null),
        (b"\x06", Value::Undefined),
        (b"\x07\0\x01", Value::Undefined),
        (b"\x08\xFF\xFF\xFF\xFF\0\x01x\x05\0\0\x09", Value::EcmaArray(x())),
        (b"\x0A\0\0\0\x02\x05\x06", Value::StrictArray(vec![Value::Null, Value::Undefined])),
        (b"\x0B\x3F\xF0\0\0\0\0\0\0\xFF\xFF", Value::Date(1.0)),
        (b"\x0C\0\0\0\x02hi", text("hi")),
        (b"\x0D", Value::Unsupported),
        (b"\x0E", Value::Unsupported),
        (b"\x0F\0\0\0\x03<a>", text("<a>")),
        (b"\x10\0\x01C\0\x01x\x05\0\0\x09", Value::TypedObject { class: "C".to_owned(), fields: x() }),
    ];
    for (bytes, expected) in table {
        assert_eq!(decode_all(bytes), Ok(vec![expected]), "{bytes:02x?}");
    }
}

#[test]
fn what_is_cut_short_is_an_error_whole_values_before_it_or_not() {
    let whole: [&[u8]; 8] = [
        b"\x00\x3F\xF0\0\0\0\0\0\0",
        b"\x01\x00",
        b"\x02\0\x02hi",
        b"\x07\0\x01",
        b"\x0A\0\0\0\x02\x05\x06",
        b"\x0B\x3F\xF0\0\0\0\0\0\0\xFF\xFF",
        b"\x0C\0\0\0\x02hi",
        b"\x10\0\x01C",
    ];
    for bytes in whole {
        for cut in 1..bytes.len() {
            assert_eq!(decode_all(&bytes[..cut]), Err(AmfError::Truncated), "{:02x?}", &bytes[..cut]);
            let after_null = [&[0x05], &bytes[..cut]].concat();
            assert_eq!(decode_all(&after_null), Err(AmfError::Truncated), "{after_null:02x?}");
        }
    }
    assert_eq!(decode_all(b""), Ok(Vec::new()));
}

#[test]
fn object_ends_may_be_missing_at_the_very_end_only() {
    let inner = Value::Object(vec![field("b", Value::Null)]);
    let nested = Value::Object(vec![field("a", inner)]);
    let whole = encoded(std::slice::from_ref(&nested));
    for left_out in 0..=6 {
        assert_eq!(decode_all(&whole[..whole.len() - left_out]), Ok(vec![nested.clone()]), "{left_out} left out");
    }
    assert_eq!(decode_all(&whole[..whole.len() - 7]), Err(AmfError::Truncated), "a field without its value");
    assert_eq!(decode_all(b"\x03\0\x01x"), Err(AmfError::Truncated));
}

#[test]
fn unknown_markers_are_refused() {
    for byte in [0x09, 0x11, 0x12, 0xFF] {
        assert_eq!(decode_all(&[byte]), Err(AmfError::UnknownMarker(byte)));
    }
}

#[test]
fn depth_is_limited() {
    let strict = |levels: usize| b"\x0A\0\0\0\x01".repeat(levels).into_iter().chain([5]).collect::<Vec<u8>>();
    assert!(decode_all(&strict(DEPTH_MAX)).is_ok());
    assert_eq!(decode_all(&strict(DEPTH_MAX + 1)), Err(AmfError::TooDeep));
    // This attack is from the report: 50 KB that overflow the stack of a decoder without a limit.
    assert_eq!(decode_all(&strict(10_000)), Err(AmfError::TooDeep));
    for opening in [&b"\x03\0\x01a"[..], b"\x08\0\0\0\x01\0\x01a", b"\x10\0\x01C\0\x01a"] {
        assert!(decode_all(&[&opening.repeat(DEPTH_MAX)[..], &[5]].concat()).is_ok());
        assert_eq!(decode_all(&opening.repeat(10_000)), Err(AmfError::TooDeep), "{opening:02x?}");
    }
}

#[test]
fn the_number_of_values_is_limited() {
    assert_eq!(decode_all(&[5; VALUES_MAX]).unwrap().len(), VALUES_MAX);
    assert_eq!(decode_all(&[5; VALUES_MAX + 1]), Err(AmfError::TooManyValues));
    let in_array = [&b"\x0A\0\0\xFF\xFF"[..], &[5; VALUES_MAX]].concat();
    assert_eq!(decode_all(&in_array), Err(AmfError::TooManyValues));
}

#[test]
fn a_declared_count_or_length_reserves_nothing() {
    for bytes in [&b"\x0A\xFF\xFF\xFF\xFF"[..], b"\x0C\xFF\xFF\xFF\xFF", b"\x0F\xFF\xFF\xFF\xFFab"] {
        assert_eq!(decode_all(bytes), Err(AmfError::Truncated));
    }
}

#[test]
fn fields_keep_order_and_repetition_and_the_first_is_got() {
    let fields = vec![field("b", Value::Number(1.0)), field("a", Value::Null), field("b", Value::Number(2.0))];
    let read = decode_all(&encoded(&[Value::Object(fields.clone())])).unwrap();
    assert_eq!(read[0].fields(), fields);
    assert_eq!(read[0].get("b").and_then(Value::as_f64), Some(1.0));
    assert_eq!(read[0].get("c"), None);
}

#[test]
fn getters_answer_for_their_own_type_only() {
    assert_eq!(text("a").as_str(), Some("a"));
    assert_eq!(Value::Null.as_str(), None);
    assert_eq!(Value::Boolean(true).as_bool(), Some(true));
    assert_eq!(text("a").as_bool(), None);
    assert_eq!(text("a").as_f64(), None);
    assert_eq!(Value::StrictArray(vec![Value::Null]).fields(), []);
}

#[test]
fn long_texts_are_long_strings_and_long_names_are_cut_at_a_character() {
    let long = text(&"x".repeat(65_536));
    assert_eq!(encoded(std::slice::from_ref(&long))[0], marker::LONG_STRING);
    assert_eq!(decode_all(&encoded(std::slice::from_ref(&long))), Ok(vec![long]));
    let name = "é".repeat(40_000);
    let read = decode_all(&encoded(&[Value::Object(vec![(name, Value::Null)])])).unwrap();
    assert_eq!(read[0].fields()[0].0, "é".repeat(32_767));
}

#[test]
fn debug_output_shows_no_text() {
    let fields = vec![field("tcUrl", text("rtmp://h/secret"))];
    let shown = format!("{:?}", [Value::Object(fields), text("secret")]);
    assert_eq!(shown, r#"[Object {"tcUrl": String(15 bytes)}, String(6 bytes)]"#);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-1e15..1e15f64).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,12}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        Just(Value::Unsupported),
        (0.0..1e13f64).prop_map(Value::Date),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let fields = prop::collection::vec((".{0,8}", inner.clone()), 0..6);
        prop_oneof![
            fields.clone().prop_map(Value::Object),
            fields.clone().prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
            (".{0,8}", fields).prop_map(|(class, fields)| Value::TypedObject { class, fields }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(values in prop::collection::vec(values(), 0..5)) {
        prop_assert_eq!(decode_all(&encoded(&values)), Ok(values));
    }

    #[test]
    fn what_is_decoded_encodes_to_the_same_values(bytes in prop::collection::vec(0u8..18, 0..64)) {
        if let Ok(values) = decode_all(&bytes) {
            let again = encoded(&values);
            // The values are not compared: a number may be NaN, which equals nothing, but its bytes do.
            prop_assert_eq!(encoded(&decode_all(&again).unwrap()), again);
        }
    }
}
