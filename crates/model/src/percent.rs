//! Percent escapes of URLs (RFC 3986, 2.1). A `+` stays a `+`, as in FFmpeg.

/// The text with its escapes decoded. None where an escape is broken, or what they say is no text.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (hex, tail) = tail.split_at_checked(2)?;
        let nibble = |byte: u8| char::from(byte).to_digit(16);
        bytes.push((nibble(hex[0])? * 16 + nibble(hex[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_told() {
        for (text, expected) in [
            ("plain+text", Some("plain+text")),
            ("me%40corp", Some("me@corp")),
            ("%C3%bc%25", Some("ü%")),
            ("100%", None),
            ("%4", None),
            ("%zz", None),
            ("%FF", None),
        ] {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
        }
    }
}
