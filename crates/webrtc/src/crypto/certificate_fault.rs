//! Finds out from a handshake of DTLS that the far end's certificate is none that we take. The library tells no more than that a handshake
//! failed, and the far end only waits.

/// What is wrong with the far end's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its key is RSA.
    Rsa,
    /// The far end shows no certificate, or ends the handshake, because it has none with a key on an elliptic curve.
    NoneThatFits,
}

impl CertificateFault {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Rsa => {
                "the far end's DTLS certificate has an RSA key, which this server can't check: have it use a certificate with an ECDSA key (P-256), which browsers, OBS and ffmpeg make by themselves, or publish by RTMP or SRT"
            }
            Self::NoneThatFits => {
                "the far end has no DTLS certificate that this server can check, mostly because its key is RSA: have it use a certificate with an ECDSA key (P-256), which browsers, OBS and ffmpeg make by themselves, or publish by RTMP or SRT"
            }
        }
    }
}

/// The first bytes of records of DTLS (RFC 7983): STUN, RTP and others have other ones.
const DTLS: std::ops::RangeInclusive<u8> = 20..=63;
const RECORD_HEAD_BYTES: usize = 13;
const MESSAGE_HEAD_BYTES: usize = 12;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;
const FATAL: u8 = 2;
/// The alerts of who has no certificate that we asked for: handshake_failure, unsupported_certificate, insufficient_security.
const NO_CERTIFICATE: [u8; 3] = [40, 43, 71];
/// A list of certificates begins with its length. An empty one has no more than that.
const EMPTY_LIST_BYTES: u32 = 3;
/// 1.2.840.113549.1.1.1 with its tag and length, which stands in a certificate in front of an RSA key, and nowhere in others. It is looked for
/// in the bytes rather than at its place, because a certificate may come in pieces.
const RSA_KEY: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

/// What a datagram says of the far end's certificate. Only what is not yet encrypted can be read, which is all before the handshake's end.
pub(crate) fn certificate_fault(datagram: &[u8]) -> Option<CertificateFault> {
    if !datagram.first().is_some_and(|first| DTLS.contains(first)) {
        return None;
    }
    let mut rest = datagram;
    while let Some((head, behind)) = rest.split_first_chunk::<RECORD_HEAD_BYTES>() {
        let (record, behind) = behind.split_at_checked(u16::from_be_bytes([head[11], head[12]]).into())?;
        rest = behind;
        let is_plain = head[3..5] == [0, 0];
        let fault = match head[0] {
            ALERT if is_plain => of_alert(record),
            HANDSHAKE if is_plain => of_handshake(record),
            _ => None,
        };
        if fault.is_some() {
            return fault;
        }
    }
    None
}

fn of_alert(record: &[u8]) -> Option<CertificateFault> {
    match record {
        [FATAL, why] if NO_CERTIFICATE.contains(why) => Some(CertificateFault::NoneThatFits),
        _ => None,
    }
}

fn of_handshake(record: &[u8]) -> Option<CertificateFault> {
    let mut rest = record;
    while let Some((head, behind)) = rest.split_first_chunk::<MESSAGE_HEAD_BYTES>() {
        let number = |at: usize| u32::from_be_bytes([0, head[at], head[at + 1], head[at + 2]]);
        let (whole_bytes, piece_bytes) = (number(1), number(9));
        let (piece, behind) = behind.split_at_checked(usize::try_from(piece_bytes).ok()?)?;
        rest = behind;
        if head[0] != CERTIFICATE {
            continue;
        }
        if whole_bytes == EMPTY_LIST_BYTES {
            return Some(CertificateFault::NoneThatFits);
        }
        if piece.windows(RSA_KEY.len()).any(|bytes| bytes == RSA_KEY) {
            return Some(CertificateFault::Rsa);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

    use super::*;

    /// Self-signed by OpenSSL, with an RSA key of 2048 bits.
    const RSA: &[u8] = include_bytes!("../../tests/rsa.der");

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 7], &length[..], body].concat()
    }

    fn message(kind: u8, whole: usize, offset: usize, piece: &[u8]) -> Vec<u8> {
        let three = |number: usize| u32::try_from(number).unwrap().to_be_bytes()[1..].to_vec();
        [&[kind][..], &three(whole), &[0, 1], &three(offset), &three(piece.len()), piece].concat()
    }

    #[test]
    fn a_certificate_that_can_not_be_checked_is_known_by_what_comes_in() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let ecdsa = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().der().to_vec();
        let whole = |certificate: &[u8]| message(CERTIFICATE, certificate.len(), 0, certificate);
        let hello = message(2, 40, 0, &[0; 40]);
        let rsa = Some(CertificateFault::Rsa);
        let none = Some(CertificateFault::NoneThatFits);
        for (name, datagram, expected) in [
            ("RSA", record(HANDSHAKE, 0, &whole(RSA)), rsa),
            ("behind another message", record(HANDSHAKE, 0, &[hello.clone(), whole(RSA)].concat()), rsa),
            ("in another record", [record(HANDSHAKE, 0, &hello), record(HANDSHAKE, 0, &whole(RSA))].concat(), rsa),
            ("a piece", record(HANDSHAKE, 0, &message(CERTIFICATE, RSA.len(), 0, &RSA[..400])), rsa),
            ("ECDSA", record(HANDSHAKE, 0, &whole(&ecdsa)), None),
            ("no certificate", record(HANDSHAKE, 0, &message(CERTIFICATE, 3, 0, &[0; 3])), none),
            ("handshake_failure", record(ALERT, 0, &[2, 40]), none),
            ("decode_error", record(ALERT, 0, &[2, 50]), None),
            ("a warning", record(ALERT, 0, &[1, 40]), None),
            ("encrypted", record(HANDSHAKE, 1, &whole(RSA)), None),
            ("RTP", [&[0x80][..], &record(HANDSHAKE, 0, &whole(RSA))[1..]].concat(), None),
            ("nothing", Vec::new(), None),
        ] {
            assert_eq!(certificate_fault(&datagram), expected, "{name}");
            for length in 0..datagram.len() {
                let _ = certificate_fault(&datagram[..length]);
            }
        }
    }
}
