//! Reads the one thing that DTLS needs of the far end's certificate: its public key. Who the certificate belongs to is proven by its
//! fingerprint.

/// The curve that a key is a point on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EcKey<'a> {
    pub(super) curve: Curve,
    pub(super) point: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    Malformed,
    /// The key is mostly RSA, which old versions of GStreamer make. `dimpl` speaks no suites for it.
    NotElliptic,
    OtherCurve,
}

mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const BIT_STRING: u8 = 0x03;
    pub(super) const OBJECT_ID: u8 = 0x06;
    pub(super) const SEQUENCE: u8 = 0x30;
    /// The tag of the version, which the oldest certificates leave out.
    pub(super) const EXPLICIT_0: u8 = 0xA0;
}

/// 1.2.840.10045.2.1 is the key of an elliptic curve.
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// 1.2.840.10045.3.1.7 is the curve P-256.
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
/// 1.3.132.0.34 is the curve P-384.
const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];

/// Reads a certificate (RFC 5280, 4.1) as far as its key.
pub(super) fn ec_key(der: &[u8]) -> Result<EcKey<'_>, NoKey> {
    let mut certificate = Der(Der(der).expect(tag::SEQUENCE)?);
    let mut signed = Der(certificate.expect(tag::SEQUENCE)?);
    if signed.peek() == Some(tag::EXPLICIT_0) {
        signed.next()?;
    }
    signed.expect(tag::INTEGER)?;
    // These four say how the certificate is signed, by whom, from when to when it is valid, and for whom it is.
    for _ in 0..4 {
        signed.expect(tag::SEQUENCE)?;
    }
    let mut key = Der(signed.expect(tag::SEQUENCE)?);
    let mut algorithm = Der(key.expect(tag::SEQUENCE)?);
    if algorithm.expect(tag::OBJECT_ID)? != EC_PUBLIC_KEY {
        return Err(NoKey::NotElliptic);
    }
    let curve = match algorithm.expect(tag::OBJECT_ID)? {
        P256 => Curve::P256,
        P384 => Curve::P384,
        _ => return Err(NoKey::OtherCurve),
    };
    // The first byte of a string of bits says how many bits of the last byte are not part of it.
    match key.expect(tag::BIT_STRING)?.split_first() {
        Some((0, point)) => Ok(EcKey { curve, point }),
        _ => Err(NoKey::Malformed),
    }
}

/// Reads values of DER one after the other; this holds the bytes that are still to be read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn expect(&mut self, wanted: u8) -> Result<&'a [u8], NoKey> {
        match self.next()? {
            (tag, content) if tag == wanted => Ok(content),
            _ => Err(NoKey::Malformed),
        }
    }

    /// The next value: a tag of one byte, a length of one to three bytes, and as many bytes as the length says.
    fn next(&mut self) -> Result<(u8, &'a [u8]), NoKey> {
        let (&tag, rest) = self.0.split_first().ok_or(NoKey::Malformed)?;
        let (length, rest) = match rest {
            [length @ 0..=0x7F, rest @ ..] => (usize::from(*length), rest),
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return Err(NoKey::Malformed),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(NoKey::Malformed)?;
        self.0 = rest;
        Ok((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData,
    };

    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(vec!["peer".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.der().to_vec(), key.der_bytes().to_vec())
    }

    #[test]
    fn the_key_of_a_certificate_is_found() {
        for (algorithm, curve) in [(&PKCS_ECDSA_P256_SHA256, Curve::P256), (&PKCS_ECDSA_P384_SHA384, Curve::P384)] {
            let (der, point) = certificate(algorithm);
            assert_eq!(ec_key(&der), Ok(EcKey { curve, point: &point }));
        }
        assert_eq!(ec_key(&certificate(&PKCS_ED25519).0), Err(NoKey::NotElliptic));
    }

    #[test]
    fn whatever_is_cut_or_changed_is_an_error_or_a_key() {
        let (der, _) = certificate(&PKCS_ECDSA_P256_SHA256);
        for length in 0..der.len() - 1 {
            assert_eq!(ec_key(&der[..length]), Err(NoKey::Malformed), "{length}");
        }
        for at in 0..der.len() {
            for value in [0, 1, 0x7F, 0x80, 0x82, 0xFF] {
                let mut changed = der.clone();
                changed[at] = value;
                let _ = ec_key(&changed);
            }
        }
    }
}
