//! Seals what is sent to viewers: SRTP and SRTCP (RFC 3711, RFC 7714), in place. `str0m` can do that as well, but it makes each packet thrice and
//! looks at all else that it does between two of them: with it, packets cost more than their encryption and their way through the kernel.

use std::cell::Cell;

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use ring::hmac;
use str0m::crypto::dtls::SrtpProfile;

use super::aead::{Gcm, TAG_BYTES};
use super::srtp::Counter;

/// The bytes of RTP's header, where it has no extension.
pub(crate) const HEADER_BYTES: usize = 12;

/// The bytes of RTCP that stay readable.
const REPORT_HEAD_BYTES: usize = 8;

/// The bytes that are left of SHA-1.
const HASH_BYTES: usize = 10;

/// The bytes of a salt. That of AES-GCM has two less, and zeros in their place.
const SALT_BYTES: usize = 14;

/// Before a report's number, it says that the report is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// What each key is for (RFC 3711, 4.3.2).
#[derive(Clone, Copy)]
enum Purpose {
    Media = 0,
    Reports = 3,
}

/// What a DTLS handshake leaves for SRTP (RFC 5764, 4.2): the master keys and salts of both sides.
pub(crate) struct Exported {
    pub(super) profile: SrtpProfile,
    pub(super) material: Vec<u8>,
    /// We are the side that began the handshake.
    pub(super) is_client: bool,
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").field("profile", &self.profile).finish_non_exhaustive()
    }
}

thread_local! {
    /// `str0m` keeps to itself what the handshake exports. The DTLS below it is ours, and leaves it here for whoever polls.
    static EXPORTED: Cell<Option<Exported>> = const { Cell::new(None) };
}

/// Leaves what a handshake exported.
pub(super) fn leave(exported: Exported) {
    EXPORTED.set(Some(exported));
}

/// What was exported on this thread since the last call.
pub(crate) fn exported() -> Option<Exported> {
    EXPORTED.take()
}

/// Seals what one connection sends. The keys of media and of reports differ, and `str0m` sends neither to a viewer, so that no nonce comes twice.
#[derive(Debug)]
pub(crate) struct Sealer {
    media: Session,
    reports: Session,
    next_report: u32,
}

#[derive(Debug)]
struct Session {
    cipher: Cipher,
    salt: [u8; SALT_BYTES],
}

enum Cipher {
    Gcm(Box<Gcm>),
    Counter(Box<Hashed>),
}

/// Counter mode and the hash over it, of browsers that have no AES-GCM.
struct Hashed {
    counter: Counter,
    hash: hmac::Key,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gcm(_) => "Gcm",
            Self::Counter(_) => "Counter",
        })
    }
}

impl Sealer {
    /// None where the material is not what the profile says, or the profile is a new one, which is a fault of ours.
    pub(crate) fn new(exported: &Exported) -> Option<Self> {
        let (key_bytes, salt_bytes) = match exported.profile {
            SrtpProfile::AES128_CM_SHA1_80 => (16, SALT_BYTES),
            SrtpProfile::AEAD_AES_128_GCM => (16, 12),
            SrtpProfile::AEAD_AES_256_GCM => (32, 12),
            _ => return None,
        };
        // The keys of client and server, then their salts.
        let (keys, salts) = exported.material.split_at_checked(2 * key_bytes)?;
        let side = usize::from(!exported.is_client);
        let key = keys.chunks_exact(key_bytes).nth(side)?;
        let salt = salts.chunks_exact(salt_bytes).nth(side)?;
        let session = |purpose| Session::new(exported.profile, key, salt, purpose);
        Some(Self { media: session(Purpose::Media)?, reports: session(Purpose::Reports)?, next_report: 0 })
    }

    /// How many bytes a sealed packet of media has more.
    pub(crate) fn tag_bytes(&self) -> usize {
        match self.media.cipher {
            Cipher::Gcm(_) => TAG_BYTES,
            Cipher::Counter(_) => HASH_BYTES,
        }
    }

    /// Seals the packet that begins there, a header without extensions and its payload. Its number is counted on where the header's goes round.
    /// Says whether it could be sealed; else there is no packet.
    pub(crate) fn media(&self, out: &mut Vec<u8>, from: usize, source: u32, number: u64) -> bool {
        let Session { cipher, salt } = &self.media;
        // The number in 48 bits: how often it went round, and what the header has.
        let [_, _, number @ ..] = number.to_be_bytes();
        let done = match cipher {
            Cipher::Gcm(gcm) => gcm_sealed(gcm, out, from, HEADER_BYTES, None, nonce(salt, source, number)),
            Cipher::Counter(hashed) => {
                let [round @ .., _, _] = number;
                let start = counter_start(salt, source, number);
                hashed.encrypt(out, from + HEADER_BYTES, start).map(|()| hashed.append_hash(out, from, &round))
            }
        };
        if done.is_none() {
            out.truncate(from);
        }
        done.is_some()
    }

    /// Seals the reports that begin there.
    pub(crate) fn report(&mut self, out: &mut Vec<u8>, from: usize, source: u32) -> bool {
        let Session { cipher, salt } = &self.reports;
        let index = self.next_report;
        self.next_report = (index + 1) % ENCRYPTED;
        let said = (ENCRYPTED | index).to_be_bytes();
        let [a, b, c, d] = index.to_be_bytes();
        let number = [0, 0, a, b, c, d];
        let done = match cipher {
            Cipher::Gcm(gcm) => {
                let sealed = gcm_sealed(gcm, out, from, REPORT_HEAD_BYTES, Some(said), nonce(salt, source, number));
                sealed.map(|()| out.extend_from_slice(&said))
            }
            Cipher::Counter(hashed) => {
                let start = counter_start(salt, source, number);
                hashed.encrypt(out, from + REPORT_HEAD_BYTES, start).map(|()| {
                    out.extend_from_slice(&said);
                    hashed.append_hash(out, from, &[]);
                })
            }
        };
        if done.is_none() {
            out.truncate(from);
        }
        done.is_some()
    }
}

fn gcm_sealed(
    gcm: &Gcm,
    out: &mut Vec<u8>,
    from: usize,
    head: usize,
    more: Option<[u8; 4]>,
    nonce: [u8; 12],
) -> Option<()> {
    let (head, data) = out.get_mut(from..)?.split_at_mut_checked(head)?;
    let tag = match more {
        None => gcm.seal(nonce, head, data)?,
        Some(more) => {
            let mut aad = [0; REPORT_HEAD_BYTES + 4];
            aad.iter_mut().zip(head.iter().chain(&more)).for_each(|(to, from)| *to = *from);
            gcm.seal(nonce, &aad, data)?
        }
    };
    out.extend_from_slice(&tag);
    Some(())
}

impl Hashed {
    fn encrypt(&self, out: &mut [u8], from: usize, start: [u8; 16]) -> Option<()> {
        self.counter.apply(start, out.get_mut(from..)?);
        Some(())
    }

    fn append_hash(&self, out: &mut Vec<u8>, from: usize, more: &[u8]) {
        let mut context = hmac::Context::with_key(&self.hash);
        context.update(out.get(from..).unwrap_or_default());
        context.update(more);
        out.extend(context.sign().as_ref().iter().take(HASH_BYTES));
    }
}

/// RFC 7714, 8.1 and 9.1: source and number, behind two zeros, mixed with the salt.
fn nonce(salt: &[u8; SALT_BYTES], source: u32, number: [u8; 6]) -> [u8; 12] {
    let mut nonce = [0; 12];
    let value = [0; 2].into_iter().chain(source.to_be_bytes()).chain(number);
    nonce.iter_mut().zip(value.zip(salt)).for_each(|(to, (value, salt))| *to = value ^ salt);
    nonce
}

/// RFC 3711, 4.1.1: the same behind four zeros, and two more for the count of blocks.
fn counter_start(salt: &[u8; SALT_BYTES], source: u32, number: [u8; 6]) -> [u8; 16] {
    let mut start = [0; 16];
    let value = [0; 4].into_iter().chain(source.to_be_bytes()).chain(number);
    start.iter_mut().zip(value.zip(salt)).for_each(|(to, (value, salt))| *to = value ^ salt);
    start
}

impl Session {
    fn new(profile: SrtpProfile, key: &[u8], salt: &[u8], purpose: Purpose) -> Option<Self> {
        let first = purpose as u8;
        let mut of_session = [0; 32];
        let of_session = of_session.get_mut(..key.len())?;
        derive(key, salt, first, of_session)?;
        let cipher = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => {
                let mut of_hash = [0; 20];
                derive(key, salt, first + 1, &mut of_hash)?;
                let hash = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &of_hash);
                let counter = Counter(Aes128::new_from_slice(of_session).ok()?);
                Cipher::Counter(Box::new(Hashed { counter, hash }))
            }
            _ => Cipher::Gcm(Box::new(Gcm::new(of_session)?)),
        };
        let mut of_salt = [0; SALT_BYTES];
        derive(key, salt, first + 2, of_salt.get_mut(..salt.len())?)?;
        Some(Self { cipher, salt: of_salt })
    }
}

/// Derives a key or a salt (RFC 3711, 4.3.3): the stream of AES in counter mode that begins at the salt mixed with the label.
fn derive(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Option<()> {
    let mut start = Block::default();
    start.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
    *start.get_mut(7)? ^= label;
    let start = u128::from_be_bytes(start.into());
    for (start, chunk) in (start..).zip(out.chunks_mut(16)) {
        let mut block = Block::from(start.to_be_bytes());
        match key.len() {
            16 => Aes128::new_from_slice(key).ok()?.encrypt_block(&mut block),
            _ => Aes256::new_from_slice(key).ok()?.encrypt_block(&mut block),
        }
        chunk.iter_mut().zip(block).for_each(|(to, from)| *to = from);
    }
    Some(())
}

#[cfg(test)]
impl Sealer {
    /// One with a key that everybody knows.
    pub(crate) fn of_test() -> Self {
        let exported = Exported { profile: SrtpProfile::AEAD_AES_128_GCM, material: vec![7; 56], is_client: false };
        Self::new(&exported).expect("it is as long as the profile says")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn exported(profile: SrtpProfile, key: &str, salt: &str, is_client: bool) -> Exported {
        let (key, salt) = (hex(key), hex(salt));
        let (other_key, other_salt) = (vec![0xEE; key.len()], vec![0xEE; salt.len()]);
        let material = match is_client {
            true => [key, other_key, salt, other_salt].concat(),
            false => [other_key, key, other_salt, salt].concat(),
        };
        Exported { profile, material, is_client }
    }

    #[test]
    fn keys_are_those_of_rfc_3711_b_3() {
        let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
        for (label, expected) in [
            (0, "C61E7A93744F39EE10734AFE3FF7A087"),
            (2, "30CBBC08863D8C85D49DB34A9AE1"),
            (1, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
        ] {
            let mut out = vec![0; hex(expected).len()];
            derive(&key, &salt, label, &mut out).unwrap();
            assert_eq!(out, hex(expected), "{label}");
        }
    }

    /// The packet and its sealed forms are those that libsrtp tests itself with.
    #[test]
    fn packets_are_sealed_as_libsrtp_seals_them() {
        let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
        for (profile, key, salt, sealed) in [
            (
                SrtpProfile::AES128_CM_SHA1_80,
                "e1f97a0d3e018be0d64fa32c06de4139",
                "0ec675ad498afeebb6960b3aabe6",
                "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
            ),
            (
                SrtpProfile::AEAD_AES_128_GCM,
                "000102030405060708090a0b0c0d0e0f",
                "a0a1a2a3a4a5a6a7a8a9aaab",
                "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392",
            ),
        ] {
            for is_client in [true, false] {
                let sealer = Sealer::new(&exported(profile, key, salt, is_client)).unwrap();
                let mut out = [&b"before"[..], &plain].concat();
                assert!(sealer.media(&mut out, 6, 0xCAFE_BABE, 0x1234));
                assert_eq!(out[6..], hex(sealed), "{profile:?}");
                assert_eq!(out.len(), 6 + plain.len() + sealer.tag_bytes());
            }
        }
    }

    #[test]
    fn nothing_is_sealed_twice_alike_and_what_is_too_short_is_left_out() {
        for (profile, key, salt) in [
            (SrtpProfile::AES128_CM_SHA1_80, "11".repeat(16), "22".repeat(14)),
            (SrtpProfile::AEAD_AES_256_GCM, "11".repeat(32), "22".repeat(12)),
        ] {
            let mut sealer = Sealer::new(&exported(profile, &key, &salt, false)).unwrap();
            let sealed = |source: u32, number: u64| {
                let mut out = vec![0; 40];
                assert!(sealer.media(&mut out, 0, source, number));
                out
            };
            let all = [sealed(1, 1), sealed(1, 2), sealed(2, 1), sealed(1, 1 + (1 << 16))];
            for (at, one) in all.iter().enumerate() {
                assert!(all[..at].iter().all(|other| other[12..] != one[12..]), "{profile:?}");
            }
            let mut short = vec![0; 10];
            assert!(!sealer.media(&mut short, 0, 1, 1) && short.is_empty());
            let mut report = || {
                let mut out = vec![7; 60];
                assert!(sealer.report(&mut out, 0, 1));
                out
            };
            let (one, other) = (report(), report());
            assert_ne!(one[8..60], other[8..60]);
            assert_eq!(one[..8], [7; 8]);
            let mut short = vec![0; 7];
            assert!(!sealer.report(&mut short, 0, 1) && short.is_empty());
        }
        let cut = Exported { material: vec![0; 40], ..exported(SrtpProfile::AEAD_AES_256_GCM, "", "", true) };
        assert!(Sealer::new(&cut).is_none());
    }
}
