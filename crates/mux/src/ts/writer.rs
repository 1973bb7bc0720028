//! The writer: frames become packets, with tables and clock references between them as decoders need them.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::codec::aac::{AacConfig, adts_header};
use weir_media::codec::h264::{self, AvcConfig};
use weir_media::codec::h265::{self, HevcConfig};
use weir_media::codec::mpeg_audio::MpegAudioHeader;
use weir_media::codec::{mpeg2, nal};
use weir_media::{Codec, Frame, MediaKind, MediaTime, TrackId, TrackInfo};

use super::clock::wrapped;
use super::packet::{Extras, ROOM_BYTES, put_packet};
use super::stream::{DESCRIPTOR_EXTENSION, DESCRIPTOR_LANGUAGE, DESCRIPTOR_REGISTRATION, EXTENSION_OPUS, stream_type};
use super::{CLOCK_HZ, PID_PAT, TsError, pes, psi};

const PROGRAM: u16 = 1;
const STREAM_ID_VIDEO: u8 = 0xE0;
const STREAM_ID_AUDIO: u8 = 0xC0;
const STREAM_ID_PRIVATE: u8 = 0xBD;
pub(super) const PID_PMT: u16 = 0x1000;
/// The PID of the picture; sounds have the following ones. A track keeps its PID whatever comes and goes beside it.
pub(super) const PID_FIRST: u16 = 0x100;

/// The stream's time zero. It leaves room for the PCR to run ahead, so that no time is below 0.
const ZERO_TICKS: i64 = 90_000;
/// A frame is in the decoder's hands this long before it is due: 200 ms, which are five pictures at 25 fps. So a picture that comes in a
/// burst, or sound that lags a little, still comes in time. Players wait as long, so it is not more than needed.
const PCR_LEAD_TICKS: i64 = 18_000;
/// DVB wants a PCR every 40 ms. If there are pictures, each of them has one.
const PCR_INTERVAL_TICKS: i64 = 3_600;
/// A receiver that joins must wait for tables and a keyframe. Keyframes have tables; 250 ms is half of what TR 101 290 allows.
const TABLES_INTERVAL_TICKS: i64 = 22_500;

const H264_DELIMITER: [u8; 6] = [0, 0, 0, 1, 0x09, 0xF0];
const H265_DELIMITER: [u8; 7] = [0, 0, 0, 1, 0x46, 0x01, 0x50];

/// One track, with the bytes that go before its frames.
#[derive(Clone, Debug)]
struct Track {
    id: TrackId,
    codec: Codec,
    pid: u16,
    stream_id: u8,
    stream_type: u8,
    descriptors: Bytes,
    /// The parameter sets in Annex B form.
    sets: Bytes,
    aac: Option<AacConfig>,
    continuity: u8,
}

/// Takes frames in decode order and writes packets. One writer serves any number of receivers: each may begin at a keyframe.
#[derive(Debug, Default)]
pub struct TsWriter {
    tracks: Vec<Track>,
    /// The position in `tracks` of the one that bears the clock: the picture, or the first sound if there is no picture.
    lead: usize,
    version: u8,
    pat_continuity: u8,
    pmt_continuity: u8,
    tables_at: Option<i64>,
    last_pcr: Option<i64>,
    scratch: BytesMut,
}

impl TsWriter {
    pub fn new<'a>(tracks: impl IntoIterator<Item = &'a TrackInfo>) -> Result<Self, TsError> {
        let mut writer = Self::default();
        writer.set_tracks(tracks)?;
        writer.version = 0;
        Ok(writer)
    }

    /// Takes other tracks, or other configurations of the same tracks. A new version of the PMT is written before the next frame.
    pub fn set_tracks<'a>(&mut self, tracks: impl IntoIterator<Item = &'a TrackInfo>) -> Result<(), TsError> {
        let mut tracks = tracks.into_iter().map(Track::new).collect::<Result<Vec<_>, _>>()?;
        for at in 0..tracks.len() {
            let known = self.track(tracks[at].id).map(|before| before.pid);
            let taken = |pid: &u16| tracks.iter().any(|track| track.pid == *pid);
            let kept = |pid: &u16| {
                self.tracks.iter().any(|track| track.pid == *pid && tracks.iter().any(|new| new.id == track.id))
            };
            let first = if tracks[at].is_picture() { PID_FIRST } else { PID_FIRST + 1 };
            let pid = known.or_else(|| (first..PID_PMT).find(|pid| !taken(pid) && !kept(pid)));
            tracks[at].pid = pid.ok_or(TsError::NoTrack { track: tracks[at].id })?;
            // Counters go on, because a receiver should not see a loss where there is none.
            let before = self.tracks.iter().find(|before| before.pid == tracks[at].pid);
            tracks[at].continuity = before.map_or(0, |before| before.continuity);
        }
        self.lead = tracks.iter().position(|track| track.codec.kind() == MediaKind::Video).unwrap_or(0);
        self.tracks = tracks;
        self.version = (self.version + 1) & 0x1F;
        self.tables_at = None;
        Ok(())
    }

    /// Sets the version of the PMT, of which there are 32, for pieces that are made apart and played in a row.
    pub(super) fn set_version(&mut self, version: u8) {
        self.version = version & 0x1F;
    }

    /// Appends a frame's packets, and before them tables and a clock reference where they are due.
    pub fn write(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), TsError> {
        let starts = frame.is_keyframe() && self.lead().is_some_and(|lead| lead.id == frame.track && lead.is_picture());
        let dts = ticks(frame.dts);
        let due = self.tables_at.is_none_or(|at| (dts - at).abs() >= TABLES_INTERVAL_TICKS);
        if due || starts {
            self.tables_at = Some(dts);
            self.write_tables(out);
        }
        self.write_frames(std::slice::from_ref(frame), false, out)
    }

    fn lead(&self) -> Option<&Track> {
        self.tracks.get(self.lead)
    }

    fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// Appends PAT and PMT: a packet each, or more if there are many tracks.
    pub(super) fn write_tables(&mut self, out: &mut BytesMut) {
        let streams = self.tracks.iter().map(|track| (track.stream_type, track.pid, track.descriptors.clone()));
        let streams: Vec<_> = streams.collect();
        let pcr_pid = self.lead().map_or(super::PID_NULL, |lead| lead.pid);
        put_table(out, PID_PAT, &mut self.pat_continuity, &psi::pat(PROGRAM, PID_PMT));
        put_table(out, PID_PMT, &mut self.pmt_continuity, &psi::pmt(PROGRAM, self.version, pcr_pid, &streams));
    }

    /// Appends one PES packet of frames that follow one another on one track: one picture, or some frames of sound. With `closing` the
    /// packet is spread over as many transport packets as bring the PID's counter back to where a new writer begins.
    pub(super) fn write_frames(&mut self, frames: &[Frame], closing: bool, out: &mut BytesMut) -> Result<(), TsError> {
        let Some(first) = frames.first() else { return Ok(()) };
        let (dts, pts) = (ticks(first.dts), ticks(first.pts));
        let at = self.tracks.iter().position(|track| track.id == first.track);
        let at = at.ok_or(TsError::NoTrack { track: first.track })?;
        let leads = at == self.lead;
        let track = &self.tracks[at];
        let is_picture = track.is_picture();
        let mut data = std::mem::take(&mut self.scratch);
        data.clear();
        let written = frames.iter().try_for_each(|frame| track.put(frame, &mut data));
        let (pid, stream_id) = (track.pid, track.stream_id);
        let pcr = (dts - PCR_LEAD_TICKS).max(self.last_pcr.unwrap_or(i64::MIN));
        let pcr_due = self.last_pcr.is_none_or(|last| pcr - last >= PCR_INTERVAL_TICKS);
        if written.is_ok() {
            let mut header = BytesMut::with_capacity(32);
            pes::put_header(&mut header, stream_id, wrapped(pts), wrapped(dts), data.len());
            let with_pcr = leads && (is_picture || pcr_due);
            if with_pcr || pcr_due {
                self.last_pcr = Some(pcr);
            }
            if pcr_due && !leads {
                self.write_pcr(wrapped(pcr), out);
            }
            let random_access = leads && first.is_keyframe() && (is_picture || with_pcr);
            let extras = Extras { random_access, pcr: with_pcr.then(|| wrapped(pcr)) };
            put_pes(out, pid, &mut self.tracks[at].continuity, extras, [&header, &data], closing);
        }
        self.scratch = data;
        written
    }

    /// Appends a clock reference without anything else. Its packet has no payload, so the counter does not count it.
    fn write_pcr(&self, pcr: u64, out: &mut BytesMut) {
        let Some(track) = self.lead() else { return };
        // The counter stays at the last packet with a payload.
        let continuity = track.continuity.wrapping_sub(1);
        put_packet(out, track.pid, false, continuity, Extras { random_access: false, pcr: Some(pcr) }, &[]);
    }
}

fn ticks(time: MediaTime) -> i64 {
    time.as_ticks(CLOCK_HZ).saturating_add(ZERO_TICKS)
}

impl Track {
    fn new(info: &TrackInfo) -> Result<Self, TsError> {
        let mut track = Self {
            id: info.id,
            codec: info.codec,
            // The PID is given when the other tracks are known.
            pid: super::PID_NULL,
            stream_id: STREAM_ID_VIDEO,
            stream_type: stream_type::PRIVATE,
            descriptors: Bytes::new(),
            sets: Bytes::new(),
            aac: None,
            continuity: 0,
        };
        let mut descriptors = BytesMut::new();
        match info.kind() {
            MediaKind::Video => track.describe_picture(info, &mut descriptors)?,
            MediaKind::Audio => track.describe_sound(info, &mut descriptors)?,
        }
        if let Some(language) = info.language {
            descriptors.put_slice(&[DESCRIPTOR_LANGUAGE, 4]);
            descriptors.put_slice(language.code().as_bytes());
            // The audience is 0: the sound is neither a clean effect nor for those who hear or see badly, as far as anybody said.
            descriptors.put_u8(0);
        }
        track.descriptors = descriptors.freeze();
        Ok(track)
    }

    fn is_picture(&self) -> bool {
        self.codec.kind() == MediaKind::Video
    }

    fn describe_picture(&mut self, info: &TrackInfo, descriptors: &mut BytesMut) -> Result<(), TsError> {
        let mut sets = BytesMut::new();
        let mut put = |units: &[Bytes]| {
            for unit in units {
                sets.put_slice(&[0, 0, 0, 1]);
                sets.put_slice(unit);
            }
        };
        self.stream_type = match info.codec {
            Codec::H264 => {
                let config = AvcConfig::parse(&info.config)?;
                [&config.sps, &config.pps].into_iter().for_each(|units| put(units));
                stream_type::H264
            }
            Codec::H265 => {
                let config = HevcConfig::parse(&info.config)?;
                [&config.vps, &config.sps, &config.pps].into_iter().for_each(|units| put(units));
                put_registration(descriptors, b"HEVC");
                stream_type::H265
            }
            Codec::Mpeg2 => {
                self.sets = info.config.clone();
                self.stream_type = stream_type::MPEG2_VIDEO;
                return Ok(());
            }
            codec => return Err(TsError::NotWritable { codec }),
        };
        self.sets = sets.freeze();
        Ok(())
    }

    fn describe_sound(&mut self, info: &TrackInfo, descriptors: &mut BytesMut) -> Result<(), TsError> {
        (self.stream_id, self.stream_type) = match info.codec {
            Codec::Aac => {
                let config = AacConfig::parse(&info.config)?;
                // Checks that its headers can describe it, which they can't for xHE-AAC, ELD and odd rates.
                adts_header(&config, 0)?;
                self.aac = Some(config);
                (STREAM_ID_AUDIO, stream_type::AAC_ADTS)
            }
            Codec::Mp3 => (STREAM_ID_AUDIO, stream_type::MPEG_AUDIO),
            Codec::Mp2 => match MpegAudioHeader::parse(&info.config) {
                Some(header) if header.low_rate => (STREAM_ID_AUDIO, stream_type::MPEG_AUDIO_LOW_RATE),
                _ => (STREAM_ID_AUDIO, stream_type::MPEG_AUDIO),
            },
            Codec::Ac3 => {
                put_registration(descriptors, b"AC-3");
                (STREAM_ID_PRIVATE, stream_type::AC3)
            }
            Codec::Eac3 => {
                put_registration(descriptors, b"EAC3");
                (STREAM_ID_PRIVATE, stream_type::EAC3)
            }
            Codec::Opus => {
                let channels = info.audio.as_ref().map_or(0, |audio| audio.channels);
                if !(1..=2).contains(&channels) {
                    return Err(TsError::NotWritable { codec: Codec::Opus });
                }
                put_registration(descriptors, b"Opus");
                descriptors.put_slice(&[DESCRIPTOR_EXTENSION, 2, EXTENSION_OPUS, channels]);
                (STREAM_ID_PRIVATE, stream_type::PRIVATE)
            }
            codec => return Err(TsError::NotWritable { codec }),
        };
        Ok(())
    }

    /// Appends a frame in the form that the elementary stream has.
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
            Codec::Mpeg2 => {
                // The sequence is mostly in the picture already, because broadcast repeats it.
                if frame.is_keyframe() && mpeg2::sequence_of(&frame.payload).is_none() {
                    out.put_slice(&self.sets);
                }
                out.put_slice(&frame.payload);
            }
            _ => out.put_slice(&frame.payload),
        }
        Ok(())
    }

    /// Appends a delimiter, parameter sets before a keyframe, and the picture. Those that the encoder left in the picture are not
    /// repeated.
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

fn put_registration(out: &mut BytesMut, name: &[u8; 4]) {
    out.put_slice(&[DESCRIPTOR_REGISTRATION, 4]);
    out.put_slice(name);
}

fn put_table(out: &mut BytesMut, pid: u16, continuity: &mut u8, section: &Bytes) {
    let mut payload = BytesMut::with_capacity(ROOM_BYTES);
    // The pointer 0 says that the section begins at once. The tables of few tracks take 16 to 50 bytes; the rest of the last packet is
    // filled up.
    payload.put_u8(0);
    payload.put_slice(section);
    let packets = payload.len().div_ceil(ROOM_BYTES);
    payload.put_bytes(0xFF, packets * ROOM_BYTES - payload.len());
    for (number, piece) in payload.chunks(ROOM_BYTES).enumerate() {
        put_packet(out, pid, number == 0, *continuity, Extras::default(), piece);
        *continuity = (*continuity + 1) & 0x0F;
    }
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
        // If there are more packets than needed, each gets an even share; otherwise they are full.
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
