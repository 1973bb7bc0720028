//! The ciphers of SRTP. Browsers choose AES-GCM, which ring has. Old ones have only AES in counter mode, which ring lacks, so that is made
//! of single blocks of the `aes` crate.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, SrtpProvider, SupportedAeadAes128Gcm,
    SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
};

use super::aead::{Gcm, TAG_BYTES};

#[derive(Debug)]
pub(super) struct Srtp;

impl SrtpProvider for Srtp {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &Self
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &Self
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &Self
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        if let Ok(aes) = Aes128::new_from_slice(key) {
            one_block(&aes, input, output);
        }
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        if let Ok(aes) = Aes256::new_from_slice(key) {
            one_block(&aes, input, output);
        }
    }
}

/// Encrypts one block, by which keys are derived at the start of a connection. `str0m` gives 16 bytes and takes as many.
fn one_block(aes: &impl BlockEncrypt<BlockSize = aes::cipher::consts::U16>, input: &[u8], output: &mut [u8]) {
    let mut block = Block::default();
    block.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
    aes.encrypt_block(&mut block);
    output.iter_mut().zip(block).for_each(|(to, from)| *to = from);
}

impl SupportedAes128CmSha1_80 for Srtp {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        Box::new(Counter(Aes128::new(&key.into())))
    }
}

impl SupportedAeadAes128Gcm for Srtp {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(SrtpGcm::new(&key))
    }
}

impl SupportedAeadAes256Gcm for Srtp {
    fn create_cipher(&self, key: [u8; 32], _encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(SrtpGcm::new(&key))
    }
}

#[derive(Debug)]
struct SrtpGcm(Gcm);

impl SrtpGcm {
    #[expect(clippy::expect_used, reason = "both callers have an array of the length that the cipher takes")]
    fn new(key: &[u8]) -> Self {
        Self(Gcm::new(key).expect("16 or 32 bytes"))
    }

    fn seal(&self, iv: [u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let failed = || CryptoError::Other("a packet can't be encrypted".to_owned());
        let (data, tag) = output.split_at_mut_checked(input.len()).ok_or_else(failed)?;
        data.copy_from_slice(input);
        let made = self.0.seal(iv, aad, data).ok_or_else(failed)?;
        tag.get_mut(..TAG_BYTES).ok_or_else(failed)?.copy_from_slice(&made);
        Ok(())
    }

    fn open(&self, iv: [u8; 12], aads: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        let failed = || CryptoError::Other("a packet is not from whom it says".to_owned());
        // The tag is decrypted along with the data, and the output has no room for it, so a copy is decrypted. Only reports come this way,
        // about one a second, so the copy is cheap.
        let mut data = input.to_vec();
        let length = self.0.open(iv, &aads.concat(), &mut data).ok_or_else(failed)?;
        let plain = data.get(..length).ok_or_else(failed)?;
        output.get_mut(..length).ok_or_else(failed)?.copy_from_slice(plain);
        Ok(length)
    }
}

impl AeadAes128GcmCipher for SrtpGcm {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.seal(*iv, aad, input, output)
    }

    fn decrypt(
        &mut self,
        iv: &[u8; 12],
        aads: &[&[u8]],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptoError> {
        self.open(*iv, aads, input, output)
    }
}

impl AeadAes256GcmCipher for SrtpGcm {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.seal(*iv, aad, input, output)
    }

    fn decrypt(
        &mut self,
        iv: &[u8; 12],
        aads: &[&[u8]],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptoError> {
        self.open(*iv, aads, input, output)
    }
}

/// AES-128 in counter mode (RFC 3711, 4.1.1). Encrypting twice gives back the plain text.
#[derive(Debug)]
pub(super) struct Counter(pub(super) Aes128);

impl Counter {
    pub(super) fn apply(&self, iv: [u8; 16], data: &mut [u8]) {
        let mut counter = u128::from_be_bytes(iv);
        for chunk in data.chunks_mut(16) {
            let mut block = Block::from(counter.to_be_bytes());
            self.0.encrypt_block(&mut block);
            chunk.iter_mut().zip(block).for_each(|(byte, key)| *byte ^= key);
            counter = counter.wrapping_add(1);
        }
    }

    fn copied(&self, iv: [u8; 16], input: &[u8], output: &mut [u8]) {
        output.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        let length = input.len().min(output.len());
        self.apply(iv, output.get_mut(..length).unwrap_or_default());
    }
}

impl Aes128CmSha1_80Cipher for Counter {
    fn encrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.copied(*iv, input, output);
        Ok(())
    }

    fn decrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.copied(*iv, input, output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn counter_mode_is_that_of_rfc_3711_b_2() {
        let key: [u8; 16] = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
        let iv: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = [0; 40];
        Counter(Aes128::new(&key.into())).apply(iv, &mut stream);
        assert_eq!(stream[..32], hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB")[..]);
        assert_eq!(stream[32..], hex("41E95B3BB0A2E8DD")[..]);
    }

    #[test]
    fn what_is_sealed_can_be_opened_and_nothing_else() {
        for cipher in [SrtpGcm::new(&[1; 16]), SrtpGcm::new(&[1; 32])] {
            let (iv, aad, data) = ([7; 12], [9; 12], b"a packet's payload");
            let mut sealed = vec![0; data.len() + TAG_BYTES];
            cipher.seal(iv, &aad, data, &mut sealed).unwrap();
            let mut opened = vec![0; data.len()];
            assert_eq!(cipher.open(iv, &[&aad[..5], &aad[5..]], &sealed, &mut opened).unwrap(), data.len());
            assert_eq!(opened, data);
            sealed[3] ^= 1;
            assert!(cipher.open(iv, &[&aad], &sealed, &mut opened).is_err());
            assert!(cipher.open(iv, &[&aad], &sealed[..7], &mut opened).is_err());
            assert!(cipher.seal(iv, &aad, data, &mut [0; 5]).is_err());
        }
    }

    #[test]
    fn keys_are_derived_by_one_block() {
        let mut out = [0; 16];
        // The keys and blocks are those of FIPS 197, C.1 and C.3.
        let plain = hex("00112233445566778899AABBCCDDEEFF");
        Srtp.srtp_aes_128_ecb_round(&hex("000102030405060708090A0B0C0D0E0F"), &plain, &mut out);
        assert_eq!(out[..], hex("69C4E0D86A7B0430D8CDB78070B4C55A")[..]);
        let key = hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
        Srtp.srtp_aes_256_ecb_round(&key, &plain, &mut out);
        assert_eq!(out[..], hex("8EA2B7CA516745BFEAFC49904B496089")[..]);
    }
}
