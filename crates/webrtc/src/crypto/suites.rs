//! The cipher suites of DTLS that we speak: AES-GCM with an elliptic curve, which every browser offers first.

use aes::cipher::{BlockEncrypt, KeyInit};
use dimpl::CryptoError;
use dimpl::CryptoOperation::CreateCipher;
use dimpl::crypto::{
    Cipher, Dtls12CipherSuite, Dtls13CipherSuite, HashAlgorithm, SupportedDtls12CipherSuite, SupportedDtls13CipherSuite,
};

use super::aead::{Gcm, TAG_BYTES};

pub(super) static DTLS_1_2: &[&dyn SupportedDtls12CipherSuite] = &[
    &Suite12(Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256, HashAlgorithm::SHA256, 16),
    &Suite12(Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384, HashAlgorithm::SHA384, 32),
];

/// DTLS 1.3 is not offered (`crypto::dtls`), but `dimpl` wants to know a suite of it in any case.
pub(super) static DTLS_1_3: &[&dyn SupportedDtls13CipherSuite] = &[&Aes128Gcm13];

/// A suite of DTLS 1.2, its hash, and the length of its key in bytes.
#[derive(Debug)]
struct Suite12(Dtls12CipherSuite, HashAlgorithm, usize);

impl SupportedDtls12CipherSuite for Suite12 {
    fn suite(&self) -> Dtls12CipherSuite {
        self.0
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.1
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        // AES-GCM needs no key for a separate hash, then comes the cipher's key, and 4 bytes are the part of the nonce that stays the same.
        (0, self.2, 4)
    }

    fn explicit_nonce_len(&self) -> usize {
        8
    }

    fn tag_len(&self) -> usize {
        TAG_BYTES
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        cipher(key)
    }
}

#[derive(Debug)]
struct Aes128Gcm13;

impl SupportedDtls13CipherSuite for Aes128Gcm13 {
    fn suite(&self) -> Dtls13CipherSuite {
        Dtls13CipherSuite::AES_128_GCM_SHA256
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn key_len(&self) -> usize {
        16
    }

    fn iv_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        TAG_BYTES
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        cipher(key)
    }

    fn encrypt_sn(&self, sn_key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let mut block = (*sample).into();
        if let Ok(aes) = aes::Aes128::new_from_slice(sn_key) {
            aes.encrypt_block(&mut block);
        }
        block.into()
    }
}

fn cipher(key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
    match Gcm::new(key) {
        Some(gcm) => Ok(Box::new(gcm)),
        None => Err(CryptoError::OperationFailed(CreateCipher)),
    }
}
