//! The signatures of the digest handshake, after the published RTMPE notes and what players send.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{PACKET_BYTES, Packet, RANDOM_BYTES};

/// The key that signs the first packet of a client.
pub(super) const FLASH_PLAYER: &[u8] = b"Genuine Adobe Flash Player 001";
/// The key that signs the first packet of a server.
pub(super) const FLASH_MEDIA_SERVER: &[u8] = b"Genuine Adobe Flash Media Server 001";
/// These bytes follow either of them in the key that signs a last packet.
const KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e, 0xec, 0x5d,
    0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];
const DIGEST_BYTES: usize = 32;
/// A digest starts as far behind the four bytes that place it as their sum modulo this number.
const DIGEST_PLACES: usize = 728;

type Digest = [u8; DIGEST_BYTES];

/// Which four bytes of a packet say where its digest is. The last place possible is 772 + 4 + 727 = 1503, so that a digest always ends
/// within the 1536 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    At8,
    At772,
}

impl Scheme {
    fn place(self, packet: &Packet) -> usize {
        let base = match self {
            Self::At8 => 8,
            Self::At772 => 772,
        };
        let sum: usize = packet[base..base + 4].iter().copied().map(usize::from).sum();
        base + 4 + sum % DIGEST_PLACES
    }

    fn digest(self, packet: &Packet, key: &[u8]) -> Digest {
        let place = self.place(packet);
        hmac(key, &[&packet[..place], &packet[place + DIGEST_BYTES..]])
    }

    /// Puts the digest of the rest of `packet` into it.
    pub(super) fn sign(self, packet: &mut Packet, key: &[u8]) {
        let digest = self.digest(packet, key);
        let place = self.place(packet);
        packet[place..place + DIGEST_BYTES].copy_from_slice(&digest);
    }
}

/// The digest that a peer put into its first packet.
pub(super) struct PacketDigest {
    pub(super) scheme: Scheme,
    digest: Digest,
}

impl PacketDigest {
    /// Finds the digest. `None` means that the packet is not signed with `key`, so the peer speaks the simple handshake.
    pub(super) fn find(packet: &Packet, key: &[u8]) -> Option<Self> {
        [Scheme::At772, Scheme::At8].into_iter().find_map(|scheme| {
            let digest = scheme.digest(packet, key);
            let place = scheme.place(packet);
            (packet[place..place + DIGEST_BYTES] == digest).then_some(Self { scheme, digest })
        })
    }

    /// The last packet, which answers the one with this digest: any bytes, signed with a key made of the digest. The random bytes are the
    /// ones that our first packet used; they need not be new.
    pub(super) fn answer(&self, random: &[u8; RANDOM_BYTES], key: &[u8]) -> Packet {
        const SIGNATURE: usize = PACKET_BYTES - DIGEST_BYTES;
        let mut packet = [0; PACKET_BYTES];
        packet[..SIGNATURE].copy_from_slice(&random[..SIGNATURE]);
        let signing_key = hmac(&[key, &KEY_TAIL].concat(), &[&self.digest]);
        let signature = hmac(&signing_key, &[&packet[..SIGNATURE]]);
        packet[SIGNATURE..].copy_from_slice(&signature);
        packet
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
