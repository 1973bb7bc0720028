//! The cryptography that WebRTC needs, made of ring. It is the one stack that the server has, so that no second one is compiled, linked and
//! watched for holes. `str0m` and its DTLS (`dimpl`) bring none of their own; both take what is made here.

mod aead;
mod certificate;
mod certificate_fault;
mod dtls;
mod groups;
mod hashes;
mod identity;
mod sealer;
mod srtp;
mod suites;

use std::sync::Arc;

use str0m::crypto::CryptoProvider;

pub use certificate_fault::CertificateFault;
pub(crate) use certificate_fault::certificate_fault;
pub(crate) use dtls::check;
pub(crate) use identity::Identity;
pub(crate) use sealer::{Exported, HEADER_BYTES, Sealer, exported};

/// The cryptography that `str0m` asks for.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        srtp_provider: &srtp::Srtp,
        sha1_hmac_provider: &hashes::Hashes,
        sha1_provider: &hashes::Hashes,
        sha256_provider: &hashes::Hashes,
        dtls_provider: &dtls::Dtls,
    })
}

/// Whether the certificate has a key that we can use.
pub(crate) fn has_key(certificate: &[u8]) -> bool {
    certificate::ec_key(certificate).is_ok()
}

/// The cryptography that `dimpl` asks for.
fn for_dtls() -> dimpl::crypto::CryptoProvider {
    dimpl::crypto::CryptoProvider {
        kx_groups: groups::ALL,
        signature_verification: &identity::Signatures,
        key_provider: &identity::Keys,
        secure_random: &hashes::Random,
        hash_provider: &hashes::Hashes,
        hmac_provider: &hashes::Hashes,
        cipher_suites: suites::DTLS_1_2,
        dtls13_cipher_suites: suites::DTLS_1_3,
    }
}
