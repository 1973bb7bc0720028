//! The handshake of both roles, simple (section 5.2) and digest (which came with Flash Player 9, undocumented).
//!
//! A peer that signs its first packet is answered with signed ones, and any other gets its own packet echoed. Signatures in the peer's
//! last packet are not checked: they prove nothing (the keys are public), and Flash players are known to send wrong ones.

mod digest;

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

use self::digest::{FLASH_MEDIA_SERVER, FLASH_PLAYER, PacketDigest, Scheme};
use super::WireError;

/// The only version in use. Version 6 would be the encrypted one.
const VERSION: u8 = 3;
/// The length of C1, S1, C2 and S2: time (4), version or second time (4), then random bytes.
const PACKET_BYTES: usize = 1536;
const RANDOM_BYTES: usize = PACKET_BYTES - 8;
/// A client checks signatures only if the server's version is not 0; ffmpeg wants a first byte of 3 or more.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
/// Flash Player 9.0.124.2, the version that ffmpeg gives, so destinations are used to it.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];

type Packet = [u8; PACKET_BYTES];

/// The handshake of the accepting side. It holds no bytes of the peer: they wait in the caller's buffer, of which at most 1 + 2 x 1536
/// bytes belong to the handshake.
pub struct ServerHandshake {
    random: [u8; RANDOM_BYTES],
    epoch_ms: u32,
    state: ServerState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    WaitsForFirst,
    WaitsForLast,
    Done,
}

impl ServerHandshake {
    pub fn new(random: [u8; RANDOM_BYTES], epoch_ms: u32) -> Self {
        Self { random, epoch_ms, state: ServerState::WaitsForFirst }
    }

    /// Takes the handshake's bytes from the front of `input`, appends the answer to `out`, and returns whether the handshake is done. The
    /// bytes that follow it stay in `input`.
    pub fn feed(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, WireError> {
        if self.state == ServerState::WaitsForFirst {
            check_version(input)?;
            let Some(first) = input.get(1..).and_then(<[u8]>::first_chunk) else { return Ok(false) };
            self.answer(first, out);
            input.advance(1 + PACKET_BYTES);
            self.state = ServerState::WaitsForLast;
        }
        if self.state == ServerState::WaitsForLast && input.len() >= PACKET_BYTES {
            input.advance(PACKET_BYTES);
            self.state = ServerState::Done;
        }
        Ok(self.state == ServerState::Done)
    }

    fn answer(&self, first: &Packet, out: &mut BytesMut) {
        out.reserve(1 + 2 * PACKET_BYTES);
        out.put_u8(VERSION);
        match PacketDigest::find(first, FLASH_PLAYER) {
            Some(theirs) => {
                let mut packet = packet(self.epoch_ms, SERVER_VERSION, &self.random);
                theirs.scheme.sign(&mut packet, FLASH_MEDIA_SERVER);
                out.put_slice(&packet);
                out.put_slice(&theirs.answer(&self.random, FLASH_MEDIA_SERVER));
            }
            None => {
                out.put_slice(&packet(self.epoch_ms, [0; 4], &self.random));
                out.put_slice(first);
            }
        }
    }
}

/// The handshake of the connecting side.
pub struct ClientHandshake {
    random: [u8; RANDOM_BYTES],
    epoch_ms: u32,
    state: ClientState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientState {
    Begins,
    WaitsForFirst,
    WaitsForLast,
    Done,
}

impl ClientHandshake {
    pub fn new(random: [u8; RANDOM_BYTES], epoch_ms: u32) -> Self {
        Self { random, epoch_ms, state: ClientState::Begins }
    }

    /// Does what [`ServerHandshake::feed`] does. The first call, with nothing received yet, writes our opening packets.
    pub fn feed(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, WireError> {
        if self.state == ClientState::Begins {
            let mut packet = packet(self.epoch_ms, CLIENT_VERSION, &self.random);
            Scheme::At8.sign(&mut packet, FLASH_PLAYER);
            out.put_u8(VERSION);
            out.put_slice(&packet);
            self.state = ClientState::WaitsForFirst;
        }
        if self.state == ClientState::WaitsForFirst {
            check_version(input)?;
            let Some(first) = input.get(1..).and_then(<[u8]>::first_chunk) else { return Ok(false) };
            match PacketDigest::find(first, FLASH_MEDIA_SERVER) {
                Some(theirs) => out.put_slice(&theirs.answer(&self.random, FLASH_PLAYER)),
                None => out.put_slice(first),
            }
            input.advance(1 + PACKET_BYTES);
            self.state = ClientState::WaitsForLast;
        }
        if self.state == ClientState::WaitsForLast && input.len() >= PACKET_BYTES {
            input.advance(PACKET_BYTES);
            self.state = ClientState::Done;
        }
        Ok(self.state == ClientState::Done)
    }
}

impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandshake").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The very first byte is the version, so a web browser or a TLS client is turned away at once.
fn check_version(input: &[u8]) -> Result<(), WireError> {
    match input.first() {
        Some(&version) if version != VERSION => Err(WireError::HandshakeVersion(version)),
        _ => Ok(()),
    }
}

fn packet(epoch_ms: u32, version: [u8; 4], random: &[u8; RANDOM_BYTES]) -> Packet {
    let mut packet = [0; PACKET_BYTES];
    packet[..4].copy_from_slice(&epoch_ms.to_be_bytes());
    packet[4..8].copy_from_slice(&version);
    packet[8..].copy_from_slice(random);
    packet
}

#[cfg(test)]
#[path = "handshake/tests.rs"]
mod tests;
