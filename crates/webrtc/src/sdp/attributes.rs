//! Reads single attributes of SDP into values.

use super::offer::Fingerprint;

/// The longest ufrag or password of ICE (RFC 8839, 5.4).
const ICE_CHARS_MAX: usize = 256;

/// A name that the far end chose and that goes into our answer. It has letters, digits and a few signs only, so that it can't break a line.
pub(super) fn token(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+".contains(&byte);
    (!text.is_empty() && text.len() <= 32 && text.bytes().all(plain)).then_some(text)
}

/// The name of a layer of simulcast, as long as `str0m` finds it in packets.
pub(super) fn layer(text: &str) -> Option<&str> {
    const CHARS_MAX: usize = 8;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && (1..=CHARS_MAX).contains(&text.len())).then_some(text)
}

/// A ufrag, which has `at_least` 4 characters, or a password, which has 22.
pub(super) fn ice(text: &str, at_least: usize) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    ((at_least..=ICE_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain)).then_some(text)
}

/// The fingerprint in `sha-256 AB:CD:...`. The other hashes that a browser could name (SHA-1, MD5) prove too little, and no browser names
/// them.
pub(super) fn fingerprint(text: &str) -> Option<Fingerprint> {
    let (algorithm, digits) = text.trim().split_once(' ')?;
    if !algorithm.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut bytes = [0; 32];
    let mut pairs = digits.trim().split(':');
    for byte in &mut bytes {
        let pair =
            pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(Fingerprint(bytes))
}

/// A payload type, if it can't be mistaken for the type of an RTCP packet (RFC 5761, 4).
pub(super) fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| matches!(number, 0..=63 | 96..=127))
}

/// The value of one parameter of `a=fmtp`.
pub(super) fn parameter<'a>(format: &'a str, name: &str) -> Option<&'a str> {
    let pairs = format.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Those of these parameters that the format has, written anew. What is longer than any value of theirs, or could break a line, is left out.
pub(super) fn parameters(format: &str, names: &[&str]) -> String {
    const VALUE_CHARS_MAX: usize = 8;
    let plain = |value: &&str| {
        value.len() <= VALUE_CHARS_MAX && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let found = names.iter().filter_map(|name| Some((name, parameter(format, name).filter(plain)?)));
    found.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_one_of_sha_256_and_nothing_else() {
        let pairs = ["AB"; 32].join(":");
        assert_eq!(fingerprint(&format!("sha-256 {pairs}")), Some(Fingerprint([0xAB; 32])));
        assert_eq!(fingerprint(&format!("SHA-256 {}", pairs.to_lowercase())), Some(Fingerprint([0xAB; 32])));
        for text in [
            format!("sha-1 {pairs}"),
            format!("sha-256 {pairs}:AB"),
            format!("sha-256 {}", &pairs[3..]),
            format!("sha-256 {}", pairs.replace("AB:AB", "+B:AB")),
            "sha-256".to_owned(),
            String::new(),
        ] {
            assert_eq!(fingerprint(&text), None, "{text}");
        }
    }

    #[test]
    fn what_goes_into_the_answer_can_not_break_it() {
        for (text, good) in
            [("0", true), ("video-1", true), ("", false), ("a b", false), ("a\ra=x", false), ("é", false)]
        {
            assert_eq!(token(text).is_some(), good, "{text:?}");
        }
        assert!(token(&"a".repeat(33)).is_none() && ice(&"a".repeat(257), 4).is_none() && ice("abc", 4).is_none());
        assert_eq!(ice("ab/+", 4), Some("ab/+"));
        assert_eq!(
            ["h", "12345678", "", "123456789", "h;l", "é"].map(|text| layer(text).is_some()),
            [true, true, false, false, false, false]
        );
    }

    #[test]
    fn parameters_are_found_whatever_their_order_and_case() {
        let format = "level-asymmetry-allowed=1; Packetization-Mode=1;profile-level-id=42e01f";
        assert_eq!(parameter(format, "packetization-mode"), Some("1"));
        assert_eq!(parameter(format, "profile-level-id"), Some("42e01f"));
        assert_eq!(parameter(format, "apt"), None);
        let av1 = "level-idx=5;tier=0;profile=0;profile-id=a b;tx-mode=SRST12345";
        assert_eq!(parameters(av1, &["profile-id", "level-idx", "profile", "tx-mode"]), "level-idx=5;profile=0");
        assert_eq!(payload_type("96"), Some(96));
        assert_eq!(["64", "95", "128", "-1", "", "x"].map(payload_type), [None; 6]);
    }
}
