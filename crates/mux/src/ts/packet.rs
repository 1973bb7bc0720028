//! One packet: its header and adaptation field, read and written.

use bytes::{BufMut, BytesMut};

use super::{PACKET_BYTES, SYNC_BYTE};

const HEADER_BYTES: usize = 4;
/// The bytes that fit behind the header.
pub(super) const ROOM_BYTES: usize = PACKET_BYTES - HEADER_BYTES;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// A PES packet or a section begins in this packet.
    pub(super) start: bool,
    pub(super) damaged: bool,
    pub(super) scrambled: bool,
    pub(super) continuity: u8,
    /// The sender says that counters or clocks leap here.
    pub(super) discontinuity: bool,
    pub(super) random_access: bool,
    /// The base of the PCR, at 90 kHz.
    pub(super) pcr: Option<u64>,
    pub(super) payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a packet. `None` if the adaptation field does not fit.
    pub(super) fn parse(bytes: &'a [u8; PACKET_BYTES]) -> Option<Self> {
        let [_, high, low, control, rest @ ..] = bytes;
        let mut packet = Self {
            pid: u16::from(high & 0x1F) << 8 | u16::from(*low),
            start: high & 0x40 != 0,
            damaged: high & 0x80 != 0,
            scrambled: control & 0xC0 != 0,
            continuity: control & 0x0F,
            discontinuity: false,
            random_access: false,
            pcr: None,
            payload: None,
        };
        let mut payload = &rest[..];
        if control & 0x20 != 0 {
            let (&length, after) = payload.split_first()?;
            let (field, after) = after.split_at_checked(usize::from(length))?;
            payload = after;
            if let Some((&flags, field)) = field.split_first() {
                packet.discontinuity = flags & 0x80 != 0;
                packet.random_access = flags & 0x40 != 0;
                if flags & 0x10 != 0 {
                    let &[a, b, c, d, e, _] = field.first_chunk::<6>()?;
                    packet.pcr = Some(u64::from(u32::from_be_bytes([a, b, c, d])) << 1 | u64::from(e >> 7));
                }
            }
        }
        packet.payload = (control & 0x10 != 0).then_some(payload);
        Some(packet)
    }
}

/// What goes into the first packet of a frame beside the frame's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extras {
    pub(super) random_access: bool,
    pub(super) pcr: Option<u64>,
}

impl Extras {
    pub(super) fn bytes(self) -> usize {
        match (self.pcr, self.random_access) {
            (Some(_), _) => 8,
            (None, true) => 2,
            (None, false) => 0,
        }
    }
}

/// Appends one packet. The payload with the extras must fit; the room that is left becomes stuffing in the adaptation field.
pub(super) fn put_packet(out: &mut BytesMut, pid: u16, start: bool, continuity: u8, extras: Extras, payload: &[u8]) {
    debug_assert!(payload.len() + extras.bytes() <= ROOM_BYTES, "whoever calls has counted");
    let field = ROOM_BYTES.saturating_sub(payload.len());
    out.reserve(PACKET_BYTES);
    out.put_u8(SYNC_BYTE);
    out.put_u16(if start { 0x4000 } else { 0 } | pid);
    let control = if field > 0 { 0x20 } else { 0 } | if payload.is_empty() { 0 } else { 0x10 };
    out.put_u8(control | continuity & 0x0F);
    if field > 0 {
        out.put_u8((field - 1) as u8);
    }
    if field > 1 {
        let flags = if extras.random_access { 0x40 } else { 0 } | if extras.pcr.is_some() { 0x10 } else { 0 };
        out.put_u8(flags);
        if let Some(base) = extras.pcr {
            out.put_u32((base >> 1) as u32);
            // Six bits are reserved, and there is no extension in 27 MHz, because our times have 90 kHz.
            out.put_u16((base as u16 & 1) << 15 | 0x7E00);
        }
        out.put_bytes(0xFF, field.saturating_sub(extras.bytes().max(2)));
    }
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let pcr = Some((1 << 33) - 1);
        for (random_access, pcr, length) in [
            (false, None, 184),
            (false, None, 183),
            (false, None, 182),
            (true, None, 182),
            (true, pcr, 176),
            (true, pcr, 0),
        ] {
            let (mut out, payload) = (BytesMut::new(), vec![7; length]);
            put_packet(&mut out, 0x1ABC, true, 13, Extras { random_access, pcr }, &payload);
            let bytes = out.first_chunk::<PACKET_BYTES>().unwrap();
            assert_eq!(out.len(), PACKET_BYTES);
            let expected = Packet {
                pid: 0x1ABC,
                start: true,
                damaged: false,
                scrambled: false,
                continuity: 13,
                discontinuity: false,
                random_access,
                pcr,
                payload: (length > 0).then_some(&payload[..]),
            };
            assert_eq!(Packet::parse(bytes), Some(expected), "{random_access} {pcr:?} {length}");
        }
    }

    #[test]
    fn an_adaptation_field_that_does_not_fit_is_refused() {
        let mut packet = [0; PACKET_BYTES];
        for (length, flags, fits) in
            [(183, 0, true), (184, 0, false), (255, 0, false), (6, 0x10, false), (7, 0x10, true)]
        {
            packet[3..6].copy_from_slice(&[0x30, length, flags]);
            assert_eq!(Packet::parse(&packet).is_some(), fits, "{length}");
        }
    }
}
