//! AES-128 in CBC mode with PKCS #7 padding, decrypted as it comes: how HLS encrypts segments (RFC 8216, 5.2).

use aes::Aes128;
use aes::cipher::{BlockDecrypt as _, KeyInit as _};
use bytes::{Bytes, BytesMut};

pub(super) const KEY_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;

pub(super) struct Unsealing {
    cipher: Aes128,
    /// The block of ciphertext before the next one, or the vector.
    before: [u8; BLOCK_BYTES],
    /// What has come and was not decrypted yet: less than a block, or the block that may be the last.
    waiting: BytesMut,
}

impl Unsealing {
    pub(super) fn new(key: &[u8; KEY_BYTES], iv: [u8; BLOCK_BYTES]) -> Self {
        Self { cipher: Aes128::new(key.into()), before: iv, waiting: BytesMut::new() }
    }

    /// Decrypts what can't be the last block.
    pub(super) fn take(&mut self, sealed: &[u8]) -> Bytes {
        self.waiting.extend_from_slice(sealed);
        let whole = self.waiting.len().saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
        let blocks = self.waiting.split_to(whole);
        self.decrypted(blocks).freeze()
    }

    /// Decrypts the last block and takes off its padding. None where it is not whole or has none.
    pub(super) fn finish(mut self) -> Option<Bytes> {
        if self.waiting.len() != BLOCK_BYTES {
            return None;
        }
        let last = std::mem::take(&mut self.waiting);
        let mut plain = self.decrypted(last);
        let padding = usize::from(*plain.last()?);
        let is_right = (1..=BLOCK_BYTES).contains(&padding)
            && plain.iter().rev().take(padding).all(|byte| usize::from(*byte) == padding);
        plain.truncate(BLOCK_BYTES.checked_sub(padding)?);
        is_right.then(|| plain.freeze())
    }

    fn decrypted(&mut self, mut blocks: BytesMut) -> BytesMut {
        for block in blocks.as_chunks_mut::<BLOCK_BYTES>().0 {
            let sealed = *block;
            self.cipher.decrypt_block(block.into());
            block.iter_mut().zip(self.before).for_each(|(byte, before)| *byte ^= before);
            self.before = sealed;
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.2.1, and a last block of padding alone, which `openssl enc -aes-128-cbc` made.
    #[test]
    fn it_decrypts_what_others_encrypted() {
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let iv = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
        let plain = [0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128, 0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51];
        let sealed = [
            0x7649_abac_8119_b246_cee9_8e9b_12e9_197d_u128,
            0x5086_cb9b_5072_19ee_95db_113a_9176_78b2,
            0x55e2_1d71_00b9_88ff_ec32_feea_faf2_3538,
        ];
        let bytes = |blocks: &[u128]| blocks.iter().flat_map(|block| block.to_be_bytes()).collect::<Vec<u8>>();
        let sealed = bytes(&sealed);
        for step in [1, 15, 16, 17, 48] {
            let mut unsealing = Unsealing::new(&key, iv);
            let out: Vec<u8> = sealed.chunks(step).flat_map(|piece| unsealing.take(piece)).collect();
            assert_eq!(out, bytes(&plain), "by {step}: the last block waits");
            assert_eq!(unsealing.finish().as_deref(), Some(&b""[..]), "it was padding alone");
        }
        let mut hello = Unsealing::new(&key, iv);
        assert!(hello.take(&0xd866_6ea8_aad6_5cc0_8354_b4bc_43d4_ff56_u128.to_be_bytes()).is_empty());
        assert_eq!(hello.finish().as_deref(), Some(&b"hello"[..]));
        assert_eq!(Unsealing::new(&[0; 16], iv).finish(), None);
        let mut short = Unsealing::new(&key, iv);
        short.take(&sealed[..40]);
        assert_eq!(short.finish(), None);
    }
}
