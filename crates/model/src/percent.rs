//! Percent escapes of URLs (RFC 3986, 2.1). A `+` stays a `+`, as in FFmpeg.

use std::borrow::Cow;

/// The text with its escapes decoded. A text that has a broken escape, or whose escapes make no text, is taken as it stands: a password or
/// a key that was pasted may have a `%` that is no escape.
pub fn percent_decoded(text: &str) -> Cow<'_, str> {
    let decoded = text.contains('%').then(|| decoded(text)).flatten();
    decoded.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (&[high, low], tail) = tail.split_first_chunk()?;
        let nibble = |byte: u8| char::from(byte).to_digit(16);
        bytes.push((nibble(high)? * 16 + nibble(low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_has_a_broken_one_stands() {
        for (text, expected) in [
            ("plain+text", "plain+text"),
            ("me%40corp", "me@corp"),
            ("%C3%bc%25", "ü%"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%40%zz", "%40%zz"),
            ("%FF", "%FF"),
        ] {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }
}
