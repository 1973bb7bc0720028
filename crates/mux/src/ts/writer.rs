//! The writer: frames become packets, with tables and clock references between them as decoders need them.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::codec::aac::{AacConfig, adts_header};
use weir_media::codec::h264::{self, AvcConfig};
use weir_media::codec::h265::{self, HevcConfig};
use weir_media::codec::nal;
use weir_media::{Codec, Frame, MediaKind, MediaTime, TrackInfo};

use super::clock::wrapped;
use super::packet::{Extras, ROOM_BYTES, put_packet};
use super::stream::{DESCRIPTOR_EXTENSION, DESCRIPTOR_REGISTRATION, EXTENSION_OPUS, stream_type};
use super::{CLOCK_HZ, PID_PAT, TsError, pes, psi};

const PROGRAM: u16 = 1;
pub(super) const PID_PMT: u16 = 0x1000;
pub(super) const PID_VIDEO: u16 = 0x100;
pub(super) const PID_AUDIO: u16 = 0x101;

/// The stream's time zero: room for the PCR to run ahead, so that no time is below 0.
const ZERO_TICKS: i64 = 90_000;
/// A frame is in the decoder's hands this long before it is due: 200 ms, five pictures at 25 fps, so that one that comes
/// in a burst, or sound that lags a little, still comes in time. Players wait as long: not more than needed.
const PCR_LEAD_TICKS: i64 = 18_000;
/// DVB wants a PCR every 40 ms; with pictures each of them has one.
const PCR_INTERVAL_TICKS: i64 = 3_600;
/// Whoever joins must wait for tables and a keyframe. Keyframes have them; 250 ms is half of what TR 101 290 allows.
const TABLES_INTERVAL_TICKS: i64 = 22_500;

const H264_DELIMITER: [u8; 6] = [0, 0, 0, 1, 0x09, 0xF0];
const H265_DELIMITER: [u8; 7] = [0, 0, 0, 1, 0x46, 0x01, 0x50];

/// One track, with what goes before its frames.
#[derive(Clone, Debug)]
struct Track {
    codec: Codec,
    pid: u16,
    stream_id: u8,
    stream_type: u8,
    descriptors: Bytes,
    /// Parameter sets as Annex B.
    sets: Bytes,
    aac: Option<AacConfig>,
    continuity: u8,
}

/// Frames in decode order in, packets out. One writer serves any number of receivers: each may begin at a keyframe.
#[derive(Debug, Default)]
pub struct TsWriter {
    video: Option<Track>,
    audio: Option<Track>,
    version: u8,
    pat_continuity: u8,
    pmt_continuity: u8,
    tables_at: Option<i64>,
    last_pcr: Option<i64>,
    scratch: BytesMut,
}

impl TsWriter {
    pub fn new(video: Option<&TrackInfo>, audio: Option<&TrackInfo>) -> Result<Self, TsError> {
        let mut writer = Self::default();
        writer.set_tracks(video, audio)?;
        writer.version = 0;
        Ok(writer)
    }

    /// Takes other tracks, or other configurations of the same: a new version of the PMT, before the next frame.
    pub fn set_tracks(&mut self, video: Option<&TrackInfo>, audio: Option<&TrackInfo>) -> Result<(), TsError> {
        let new_video = video.map(Track::video).transpose()?;
        let new_audio = audio.map(Track::audio).transpose()?;
        for (track, new) in [(&mut self.video, new_video), (&mut self.audio, new_audio)] {
            // Counters go on: a receiver should not see a loss where there is none.
            let continuity = track.as_ref().map_or(0, |track| track.continuity);
            *track = new.map(|new| Track { continuity, ..new });
        }
        self.version = (self.version + 1) & 0x1F;
        self.tables_at = None;
        Ok(())
    }

    /// Which of 32 versions the PMT says it is: for pieces that are made apart and played in a row.
    pub(super) fn set_version(&mut self, version: u8) {
        self.version = version & 0x1F;
    }

    /// Appends a frame's packets, and before them tables and a clock reference where they are due.
    pub fn write(&mut self, kind: MediaKind, frame: &Frame, out: &mut BytesMut) -> Result<(), TsError> {
        let starts = frame.is_keyframe() && kind == self.leading_kind();
        let dts = ticks(frame.dts);
        let due = self.tables_at.is_none_or(|at| (dts - at).abs() >= TABLES_INTERVAL_TICKS);
        if due || starts && kind == MediaKind::Video {
            self.tables_at = Some(dts);
            self.write_tables(out);
        }
        self.write_frames(kind, std::slice::from_ref(frame), false, out)
    }

    pub(super) fn leading_kind(&self) -> MediaKind {
        if self.video.is_some() { MediaKind::Video } else { MediaKind::Audio }
    }

    /// Appends PAT and PMT, a packet each.
    pub(super) fn write_tables(&mut self, out: &mut BytesMut) {
        let tracks = || [&self.video, &self.audio].into_iter().flatten();
        let streams: Vec<_> = tracks().map(|track| (track.stream_type, track.pid, track.descriptors.clone())).collect();
        let pcr_pid = tracks().next().map_or(super::PID_NULL, |track| track.pid);
        put_table(out, PID_PAT, &mut self.pat_continuity, &psi::pat(PROGRAM, PID_PMT));
        put_table(out, PID_PMT, &mut self.pmt_continuity, &psi::pmt(PROGRAM, self.version, pcr_pid, &streams));
    }

    /// Appends one PES packet of frames that follow one another: one picture, or some frames of sound. `closing` spreads it
    /// over as many packets as bring the PID's counter back to where a new writer begins.
    pub(super) fn write_frames(
        &mut self,
        kind: MediaKind,
        frames: &[Frame],
        closing: bool,
        out: &mut BytesMut,
    ) -> Result<(), TsError> {
        let Some(first) = frames.first() else { return Ok(()) };
        let leads = kind == self.leading_kind();
        let (dts, pts) = (ticks(first.dts), ticks(first.pts));
        let track = match kind {
            MediaKind::Video => self.video.as_ref(),
            MediaKind::Audio => self.audio.as_ref(),
        };
        let track = track.ok_or(TsError::NoTrack { kind })?;
        let mut data = std::mem::take(&mut self.scratch);
        data.clear();
        let written = frames.iter().try_for_each(|frame| track.put(frame, &mut data));
        let (pid, stream_id) = (track.pid, track.stream_id);
        let pcr = (dts - PCR_LEAD_TICKS).max(self.last_pcr.unwrap_or(i64::MIN));
        let pcr_due = self.last_pcr.is_none_or(|last| pcr - last >= PCR_INTERVAL_TICKS);
        if written.is_ok() {
            let mut header = BytesMut::with_capacity(32);
            pes::put_header(&mut header, stream_id, wrapped(pts), wrapped(dts), data.len());
            let with_pcr = leads && (kind == MediaKind::Video || pcr_due);
            if with_pcr || pcr_due {
                self.last_pcr = Some(pcr);
            }
            if pcr_due && !leads {
                self.write_pcr(wrapped(pcr), out);
            }
            let random_access = leads && first.is_keyframe() && (kind == MediaKind::Video || with_pcr);
            let extras = Extras { random_access, pcr: with_pcr.then(|| wrapped(pcr)) };
            if let Some(track) = self.track_mut(kind) {
                put_pes(out, pid, &mut track.continuity, extras, [&header, &data], closing);
            }
        }
        self.scratch = data;
        written
    }

    fn track_mut(&mut self, kind: MediaKind) -> Option<&mut Track> {
        match kind {
            MediaKind::Video => self.video.as_mut(),
            MediaKind::Audio => self.audio.as_mut(),
        }
    }

    /// A clock reference without anything else; its packet is not counted, as it has no payload.
    fn write_pcr(&self, pcr: u64, out: &mut BytesMut) {
        let Some(track) = self.video.as_ref().or(self.audio.as_ref()) else { return };
        // The counter stays at the last packet with a payload.
        let continuity = track.continuity.wrapping_sub(1);
        put_packet(out, track.pid, false, continuity, Extras { random_access: false, pcr: Some(pcr) }, &[]);
    }
}

fn ticks(time: MediaTime) -> i64 {
    time.as_ticks(CLOCK_HZ).saturating_add(ZERO_TICKS)
}

impl Track {
    fn video(info: &TrackInfo) -> Result<Self, TsError> {
        let mut sets = BytesMut::new();
        let mut put = |units: &[Bytes]| {
            for unit in units {
                sets.put_slice(&[0, 0, 0, 1]);
                sets.put_slice(unit);
            }
        };
        let (stream_type, descriptors) = match info.codec {
            Codec::H264 => {
                let config = AvcConfig::parse(&info.config)?;
                [&config.sps, &config.pps].into_iter().for_each(|units| put(units));
                (stream_type::H264, Bytes::new())
            }
            Codec::H265 => {
                let config = HevcConfig::parse(&info.config)?;
                [&config.vps, &config.sps, &config.pps].into_iter().for_each(|units| put(units));
                (stream_type::H265, registration(b"HEVC"))
            }
            codec => return Err(TsError::NotWritable { codec }),
        };
        Ok(Self {
            codec: info.codec,
            pid: PID_VIDEO,
            stream_id: 0xE0,
            stream_type,
            descriptors,
            sets: sets.freeze(),
            aac: None,
            continuity: 0,
        })
    }

    fn audio(info: &TrackInfo) -> Result<Self, TsError> {
        let mut aac = None;
        let (stream_id, stream_type, descriptors) = match info.codec {
            Codec::Aac => {
                let config = AacConfig::parse(&info.config)?;
                // Whether its headers can say what it is: not so for xHE-AAC, ELD and odd rates.
                adts_header(&config, 0)?;
                aac = Some(config);
                (0xC0, stream_type::AAC_ADTS, Bytes::new())
            }
            Codec::Mp3 => (0xC0, stream_type::MPEG_AUDIO, Bytes::new()),
            Codec::Opus => {
                let channels = info.audio.as_ref().map_or(0, |audio| audio.channels);
                if !(1..=2).contains(&channels) {
                    return Err(TsError::NotWritable { codec: Codec::Opus });
                }
                let mut descriptors = BytesMut::from(&registration(b"Opus")[..]);
                descriptors.put_slice(&[DESCRIPTOR_EXTENSION, 2, EXTENSION_OPUS, channels]);
                (0xBD, stream_type::PRIVATE, descriptors.freeze())
            }
            codec => return Err(TsError::NotWritable { codec }),
        };
        Ok(Self {
            codec: info.codec,
            pid: PID_AUDIO,
            stream_id,
            stream_type,
            descriptors,
            sets: Bytes::new(),
            aac,
            continuity: 0,
        })
    }

    /// Appends a frame as the elementary stream has it.
    fn put(&self, frame: &Frame, out: &mut BytesMut) -> Result<(), TsError> {
        match self.codec {
            Codec::H264 | Codec::H265 => self.put_picture(frame, out)?,
            Codec::Aac => {
                let Some(config) = &self.aac else { return Err(TsError::NotWritable { codec: self.codec }) };
                out.put_slice(&adts_header(config, frame.payload.len())?);
                out.put_slice(&frame.payload);
            }
            Codec::Opus => {
                out.put_slice(&[0x7F, 0xE0]);
                let length = frame.payload.len();
                out.put_bytes(0xFF, length / 255);
                out.put_u8((length % 255) as u8);
                out.put_slice(&frame.payload);
            }
            _ => out.put_slice(&frame.payload),
        }
        Ok(())
    }

    /// Delimiter, parameter sets before a keyframe, and the picture. What the encoder left of these in it is not repeated.
    fn put_picture(&self, frame: &Frame, out: &mut BytesMut) -> Result<(), TsError> {
        let hevc = self.codec == Codec::H265;
        let kind = |unit: &[u8]| unit.first().map(|byte| if hevc { byte >> 1 & 0x3F } else { byte & 0x1F });
        let (delimiter, sps) = if hevc {
            (h265::unit_type::AUD, h265::unit_type::SPS)
        } else {
            (h264::unit_type::AUD, h264::unit_type::SPS)
        };
        let mut has_sets = false;
        for unit in nal::length_prefixed(&frame.payload, 4) {
            has_sets |= kind(unit?) == Some(sps);
        }
        out.reserve(frame.payload.len() + self.sets.len() + H265_DELIMITER.len());
        out.put_slice(if hevc { &H265_DELIMITER } else { &H264_DELIMITER });
        if frame.is_keyframe() && !has_sets {
            out.put_slice(&self.sets);
        }
        for unit in nal::length_prefixed(&frame.payload, 4).flatten() {
            if !unit.is_empty() && kind(unit) != Some(delimiter) {
                out.put_slice(&[0, 0, 0, 1]);
                out.put_slice(unit);
            }
        }
        Ok(())
    }
}

fn registration(name: &[u8; 4]) -> Bytes {
    let mut out = BytesMut::with_capacity(6);
    out.put_slice(&[DESCRIPTOR_REGISTRATION, 4]);
    out.put_slice(name);
    out.freeze()
}

fn put_table(out: &mut BytesMut, pid: u16, continuity: &mut u8, section: &Bytes) {
    let mut payload = BytesMut::with_capacity(ROOM_BYTES);
    // The pointer: the section begins at once. Ours take 16 to 50 bytes; the rest is filled up.
    payload.put_u8(0);
    payload.put_slice(section);
    payload.put_bytes(0xFF, ROOM_BYTES.saturating_sub(payload.len()));
    put_packet(out, pid, true, *continuity, Extras::default(), &payload);
    *continuity = (*continuity + 1) & 0x0F;
}

/// Counters have four bits.
const COUNTER_VALUES: usize = 16;

fn put_pes(out: &mut BytesMut, pid: u16, continuity: &mut u8, extras: Extras, parts: [&[u8]; 2], closing: bool) {
    let mut left: usize = parts.iter().map(|part| part.len()).sum();
    let after_first = left.saturating_sub(ROOM_BYTES - extras.bytes());
    let mut packets = 1 + after_first.div_ceil(ROOM_BYTES);
    if closing {
        packets += (2 * COUNTER_VALUES - usize::from(*continuity) - packets % COUNTER_VALUES) % COUNTER_VALUES;
    }
    let mut rest = parts;
    let mut piece = [0; ROOM_BYTES];
    for number in 0..packets {
        let extras = if number == 0 { extras } else { Extras::default() };
        let room = ROOM_BYTES - extras.bytes();
        // Even shares where there are more packets than needed, full ones otherwise.
        let share = if closing { left.div_ceil(packets - number) } else { left };
        let length = share.min(room);
        let mut filled = 0;
        for part in &mut rest {
            let taken = part.len().min(length - filled);
            piece[filled..filled + taken].copy_from_slice(&part[..taken]);
            *part = &part[taken..];
            filled += taken;
        }
        left -= length;
        put_packet(out, pid, number == 0, *continuity, extras, &piece[..length]);
        *continuity = (*continuity + 1) & 0x0F;
    }
}
