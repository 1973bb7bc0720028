//! AES-GCM as DTLS records and SRTP packets want it.

use dimpl::crypto::{Aad, Buf, Cipher, Nonce, TmpBuf};
use dimpl::{CryptoError, CryptoOperation};
use ring::aead::{self, AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};

pub(super) const TAG_BYTES: usize = 16;

/// AES-GCM with a key of 16 or 32 bytes.
pub(super) struct Gcm(LessSafeKey);

impl std::fmt::Debug for Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm")
    }
}

impl Gcm {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        UnboundKey::new(algorithm, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Encrypts in place, and returns the tag. Nonces are counters of the protocol above, which never uses one twice with a key.
    pub(super) fn seal(&self, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), data).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts in place, where the data ends in its tag, and returns the length of the plain text.
    pub(super) fn open(&self, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> Option<usize> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, aead::Aad::from(aad), data).ok().map(|plain| plain.len())
    }
}

impl Cipher for Gcm {
    fn encrypt(&mut self, plaintext: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let tag = self.seal(nonce.0, &aad, plaintext);
        let tag = tag.ok_or(CryptoError::OperationFailed(CryptoOperation::Encrypt))?;
        plaintext.extend_from_slice(&tag);
        Ok(())
    }

    fn decrypt(&mut self, ciphertext: &mut TmpBuf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let length = self.open(nonce.0, &aad, ciphertext.as_mut());
        ciphertext.truncate(length.ok_or(CryptoError::OperationFailed(CryptoOperation::Decrypt))?);
        Ok(())
    }
}
