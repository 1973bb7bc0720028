//! Synthetic media that real decoders take without an error: H.264 with a moving block and numbered frames, silent AAC.

mod bit_writer;
mod coded;
mod picture;
mod silence;

use bytes::{Bytes, BytesMut};
use weir_media::codec::aac::AacConfig;
use weir_media::codec::h264::AvcConfig;
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo, codec};
use weir_mux::flv;
use weir_mux::flv::file::{FlvTag, FlvTagKind, FlvWriter};

pub use coded::coded_clip;
use picture::PictureEncoder;
pub use picture::frame_number;

/// What a source sends. The default costs little: 320x180 at 30 fps, a GOP each 2 s, about 100 kbps, with sound.
#[derive(Clone, Debug)]
pub struct SyntheticConfig {
    /// The width; any even size up to 4096 works.
    pub width: u32,
    pub height: u32,
    /// The frames a second, as a fraction.
    pub fps: (u32, u32),
    pub gop_frames: u32,
    /// Frames are padded with filler data to this rate; `None` leaves them as small as they are, some 450 bytes.
    pub video_bitrate_bps: Option<u32>,
    pub audio: Option<SyntheticAudio>,
}

#[derive(Clone, Copy, Debug)]
pub struct SyntheticAudio {
    pub sample_rate_hz: u32,
    /// The channels: 1 or 2.
    pub channels: u8,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            width: 320,
            height: 180,
            fps: (30, 1),
            gop_frames: 60,
            video_bitrate_bps: None,
            audio: Some(SyntheticAudio { sample_rate_hz: 48_000, channels: 2 }),
        }
    }
}

/// An endless source: frames of both tracks in the order of their decode times, from zero.
#[derive(Debug)]
pub struct SyntheticSource {
    config: SyntheticConfig,
    encoder: PictureEncoder,
    video: TrackInfo,
    audio: Option<TrackInfo>,
    silence: Bytes,
    next_picture: u64,
    next_sound: u64,
}

/// When frames are padded, a keyframe is as large as so many other frames.
const KEYFRAME_WEIGHT: u64 = 4;
const AAC_FRAME_SAMPLES: u64 = 1024;

impl SyntheticSource {
    pub fn new(config: SyntheticConfig) -> Self {
        let encoder = PictureEncoder::new(config.width, config.height, config.fps);
        let record = AvcConfig::build(&[encoder.sps()], &[encoder.pps()]).unwrap();
        let video = codec::parse(Codec::H264, TrackId::SOURCE_VIDEO, record).unwrap();
        let audio = config.audio.map(|audio| {
            let record = AacConfig::build_lc(audio.sample_rate_hz, audio.channels).unwrap();
            codec::parse(Codec::Aac, TrackId::SOURCE_AUDIO, record).unwrap()
        });
        let silence = silence::frame(config.audio.map_or(1, |audio| audio.channels));
        Self { config, encoder, video, audio, silence, next_picture: 0, next_sound: 0 }
    }

    /// The tracks, the video track first.
    pub fn tracks(&self) -> Vec<TrackInfo> {
        [Some(self.video.clone()), self.audio.clone()].into_iter().flatten().collect()
    }

    /// The frames before `end`, from the next one on.
    pub fn frames_until(&mut self, end: MediaTime) -> Vec<Frame> {
        let mut frames = Vec::new();
        while self.next_time() < end {
            frames.extend(self.next());
        }
        frames
    }

    /// The tags with the decoder configurations, at time 0.
    pub fn config_tags(&self) -> Vec<FlvTag> {
        let video = flv::write_video_config(&self.video, false).unwrap();
        let audio = self.audio.as_ref().and_then(|audio| flv::write_audio_config(audio).unwrap());
        let tag = |kind, body| FlvTag { kind, timestamp_ms: 0, body };
        [Some(tag(FlvTagKind::Video, video)), audio.map(|body| tag(FlvTagKind::Audio, body))]
            .into_iter()
            .flatten()
            .collect()
    }

    /// An FLV file of so much media.
    pub fn flv_file(&mut self, length: MediaTime) -> Bytes {
        let (mut writer, mut out) = (FlvWriter::new(), BytesMut::new());
        let frames = self.frames_until(length);
        for tag in self.config_tags().into_iter().chain(frames.iter().map(flv_tag)) {
            writer.write(&mut out, &tag).unwrap();
        }
        out.freeze()
    }

    fn picture_time(&self) -> MediaTime {
        let (rate, ticks) = self.config.fps;
        MediaTime::from_ticks((self.next_picture * u64::from(ticks)) as i64, rate)
    }

    fn sound_time(&self) -> Option<MediaTime> {
        let rate = self.config.audio?.sample_rate_hz;
        Some(MediaTime::from_ticks((self.next_sound * AAC_FRAME_SAMPLES) as i64, rate))
    }

    fn next_time(&self) -> MediaTime {
        self.sound_time().map_or(self.picture_time(), |sound| sound.min(self.picture_time()))
    }

    fn picture(&mut self) -> Frame {
        let time = self.picture_time();
        let gop = u64::from(self.config.gop_frames.max(1));
        let keyframe = self.next_picture.is_multiple_of(gop);
        let bytes = self.config.video_bitrate_bps.map_or(0, |rate_bps| {
            let (rate, ticks) = self.config.fps;
            let gop_bytes = u64::from(rate_bps) * gop * u64::from(ticks) / u64::from(rate) / 8;
            let share = gop_bytes / (gop - 1 + KEYFRAME_WEIGHT);
            usize::try_from(if keyframe { share * KEYFRAME_WEIGHT } else { share }).unwrap()
        });
        let payload = self.encoder.encode(self.next_picture, keyframe, bytes);
        self.next_picture += 1;
        let flags = FrameFlags { keyframe, discontinuity: false };
        Frame { track: TrackId::SOURCE_VIDEO, dts: time, pts: time, flags, payload }
    }

    fn sound(&mut self, time: MediaTime) -> Frame {
        self.next_sound += 1;
        let flags = FrameFlags { keyframe: true, discontinuity: false };
        Frame { track: TrackId::SOURCE_AUDIO, dts: time, pts: time, flags, payload: self.silence.clone() }
    }
}

impl Iterator for SyntheticSource {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        // The picture comes first where both are due.
        match self.sound_time() {
            Some(time) if time < self.picture_time() => Some(self.sound(time)),
            _ => Some(self.picture()),
        }
    }
}

/// The tag, and thus the RTMP message, of a frame of an H.264 or AAC track.
pub fn flv_tag(frame: &Frame) -> FlvTag {
    let mut body = BytesMut::new();
    let kind = if frame.track == TrackId::SOURCE_VIDEO {
        let cts_ms = (frame.pts.as_millis() - frame.dts.as_millis()) as i32;
        flv::write_video_frame(Codec::H264, frame.is_keyframe(), cts_ms, &frame.payload, &mut body).unwrap();
        FlvTagKind::Video
    } else {
        flv::write_audio_frame(Codec::Aac, &frame.payload, &mut body).unwrap();
        FlvTagKind::Audio
    };
    FlvTag { kind, timestamp_ms: frame.dts.as_millis() as u32, body: body.freeze() }
}

#[cfg(test)]
mod tests;
