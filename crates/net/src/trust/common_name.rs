//! Finds the common name that a certificate was made for, with as much of DER as that takes.

/// OID 2.5.4.3, with its tag and length.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The tag `[0]`, which holds the version where there is one.
const VERSION: u8 = 0xA0;
/// The tags of the types that common names are written in: UTF8String, PrintableString and IA5String.
const TEXTS: [u8; 3] = [0x0C, 0x13, 0x16];

/// The last common name of the certificate's subject.
pub(super) fn common_name(certificate: &[u8]) -> Option<&str> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    if let Some((VERSION, _, behind)) = element(rest) {
        rest = behind;
    }
    // Serial number, algorithm, issuer and validity are skipped.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (_, mut subject, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let mut found = None;
    while let Some((SET, attributes, behind)) = element(subject) {
        subject = behind;
        let (_, attribute, _) = element(attributes)?;
        if let Some(value) = attribute.strip_prefix(COMMON_NAME) {
            let (_, text, _) = element(value).filter(|(tag, ..)| TEXTS.contains(tag))?;
            found = std::str::from_utf8(text).ok();
        }
    }
    found
}

/// Reads an element: its tag, its contents and what is behind them. None where the bytes end early.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // The length has one to three bytes: certificates are no longer.
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    Some((tag, contents, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn named(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn of_the_subject_wherever_it_stands() {
        let long = "x".repeat(300);
        for (names, expected) in [
            (vec![(DnType::CommonName, "a.example")], Some("a.example")),
            (vec![(DnType::OrganizationName, "Weir"), (DnType::CommonName, "b.example")], Some("b.example")),
            (vec![(DnType::CommonName, "c.example"), (DnType::OrganizationName, &long)], Some("c.example")),
            (vec![(DnType::OrganizationName, "Weir")], None),
            (vec![], None),
        ] {
            assert_eq!(common_name(&named(&names)), expected, "{names:?}");
        }
    }

    #[test]
    fn bytes_cut_or_changed_are_borne() {
        let certificate = named(&[(DnType::CommonName, "a.example")]);
        for end in 0..certificate.len() {
            let _ = common_name(&certificate[..end]);
            let mut changed = certificate.clone();
            changed[end] ^= 0xFF;
            let _ = common_name(&changed);
        }
    }
}
