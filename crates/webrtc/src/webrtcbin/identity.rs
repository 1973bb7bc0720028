//! Who the process of `webrtcbin` is, and who a far end is that shows a certificate as text (PEM).

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::sdp::Fingerprint;

/// The key and certificate of one process. GStreamer 1.22 would make an RSA key at its first viewer, which takes up to a second; this one is
/// of the curve P-256, takes no time, and is what browsers have themselves.
pub struct Passport {
    /// The certificate, and behind it the key.
    pub pem: String,
    pub fingerprint: Fingerprint,
}

impl std::fmt::Debug for Passport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passport").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Passport {
    pub fn make() -> Result<Self, String> {
        let make = || {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "WebRTC");
            let certificate = params.self_signed(&key)?;
            let fingerprint = of(certificate.der());
            Ok(Self { pem: format!("{}{}", certificate.pem(), key.serialize_pem()), fingerprint })
        };
        make().map_err(|error: rcgen::Error| error.to_string())
    }
}

/// The fingerprint of a certificate that is written as PEM; none if it is no certificate.
pub fn fingerprint_of_pem(text: &str) -> Option<Fingerprint> {
    CertificateDer::from_pem_slice(text.as_bytes()).ok().map(|certificate| of(&certificate))
}

fn of(certificate: &[u8]) -> Fingerprint {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    // SHA-256 has 32 bytes.
    Fingerprint(digest.as_ref().try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_text() {
        let (one, other) = (Passport::make().unwrap(), Passport::make().unwrap());
        assert_eq!(fingerprint_of_pem(&one.pem), Some(one.fingerprint));
        assert_ne!(one.fingerprint, other.fingerprint);
        assert_eq!(fingerprint_of_pem("-----BEGIN CERTIFICATE-----\n"), None);
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
