//! The source inside the worker: frames go in, and raw pictures or sound come out of a tee that the branches hang on.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use weir_media::codec::aac::AacConfig;
use weir_media::{Codec, MediaKind, MediaTime, TrackId};
use weir_pipeline::{Memory, TrackConfig, WorkerFrame};

use crate::element::{BuildFault, chain, make, start};
use crate::outbox::Outbox;
use crate::recipe;

/// At most this many frames wait to be decoded. When more come, reading from the socket waits, and with it the server's cursor in the
/// stream's window, which in the end jumps to the newest keyframe: the delay has an upper bound.
const PICTURES_WAITING_MAX: u64 = 8;
const SOUNDS_WAITING_MAX: u64 = 16;

#[derive(Debug)]
pub(crate) struct Source {
    kind: MediaKind,
    codec: Codec,
    input: AppSrc,
    fed: bool,
    pub(crate) tee: gst::Element,
}

impl Source {
    /// Builds the source. What ends at or before `resume_after` is decoded but not given on.
    pub(crate) fn build(
        pipeline: &gst::Pipeline,
        track: &TrackConfig,
        decode_in: Memory,
        resume_after: Option<MediaTime>,
        outbox: &Outbox,
    ) -> Result<Self, BuildFault> {
        let kind = track.codec.kind();
        let (steps, waiting) = match kind {
            MediaKind::Video => (recipe::video_source(track.codec, decode_in), PICTURES_WAITING_MAX),
            MediaKind::Audio => (recipe::audio_source(track.codec), SOUNDS_WAITING_MAX),
        };
        let prefix = format!("source{}", track.track);
        let input = AppSrc::builder()
            .name(format!("{prefix}-input"))
            .format(gst::Format::Time)
            .is_live(true)
            .block(true)
            .max_bytes(0)
            .max_buffers(waiting)
            .build();
        input.set_caps(Some(&caps(track)?));
        let mut elements = vec![input.clone().upcast()];
        for step in &steps {
            elements.push(make(step, &prefix)?);
        }
        chain(pipeline, &elements)?;
        let at = |role| steps.iter().position(|step| step.role == role).and_then(|at| elements.get(at + 1));
        let (Some(decode), Some(tee)) = (at("decode"), at("tee")) else {
            return Err(BuildFault("a source without decoder".to_owned()));
        };
        watch(decode, kind, resume_after, outbox);
        let tee = tee.clone();
        start(&elements)?;
        Ok(Self { kind, codec: track.codec, input, fed: false, tee })
    }

    /// Takes another configuration of the same codec with the next frame; false means another codec.
    pub(crate) fn reconfigure(&self, track: &TrackConfig) -> Result<bool, BuildFault> {
        if track.codec != self.codec {
            return Ok(false);
        }
        self.input.set_caps(Some(&caps(track)?));
        Ok(true)
    }

    pub(crate) fn kind(&self) -> MediaKind {
        self.kind
    }

    /// Whether any frame went in.
    pub(crate) fn is_fed(&self) -> bool {
        self.fed
    }

    /// Ends the input: what elements hold goes on, and the end follows behind it.
    pub(crate) fn end(&self) {
        // The input only refuses this while it is being taken down.
        let _ = self.input.end_of_stream();
    }

    /// Takes a frame, and waits while the decoder has enough.
    pub(crate) fn push(&mut self, frame: WorkerFrame, outbox: &Outbox) -> Result<(), gst::FlowError> {
        let time = |time: MediaTime| u64::try_from(time.as_nanos()).ok().map(gst::ClockTime::from_nseconds);
        // No frame of the server's lies before the stream's beginning.
        let Some(pts) = time(frame.pts) else { return Ok(()) };
        if self.kind == MediaKind::Video {
            outbox.count_in(frame.pts.as_nanos());
        }
        self.fed = true;
        let mut buffer = gst::Buffer::from_slice(frame.payload);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(pts);
            buffer.set_dts(time(frame.dts));
            if !frame.keyframe {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            if frame.discontinuity {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.input.push_buffer(buffer).map(drop)
    }
}

/// Counts what is decoded, and holds back what an earlier worker has published.
fn watch(decode: &gst::Element, kind: MediaKind, resume_after: Option<MediaTime>, outbox: &Outbox) {
    let outbox = outbox.clone();
    let resume_after = resume_after.map_or(i64::MIN, MediaTime::as_nanos);
    let Some(pad) = decode.static_pad("src") else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if kind == MediaKind::Video {
            outbox.count_decoded();
        }
        let pts = info.buffer().and_then(|buffer| buffer.pts()).map_or(i64::MAX, |pts| pts.nseconds().cast_signed());
        if pts <= resume_after { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
}

pub(crate) fn caps(track: &TrackConfig) -> Result<gst::Caps, BuildFault> {
    let config = &track.config;
    let record = |config: &Bytes| gst::Buffer::from_slice(config.clone());
    Ok(match track.codec {
        Codec::H264 => gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("codec_data", record(config))
            .build(),
        Codec::H265 => gst::Caps::builder("video/x-h265")
            .field("stream-format", "hvc1")
            .field("alignment", "au")
            .field("codec_data", record(config))
            .build(),
        Codec::Av1 => {
            gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream").field("alignment", "tu").build()
        }
        Codec::Aac => {
            let aac = AacConfig::parse(config).map_err(|error| BuildFault(error.to_string()))?;
            gst::Caps::builder("audio/mpeg")
                .field("mpegversion", 4)
                .field("stream-format", "raw")
                .field("framed", true)
                .field("rate", aac.output_rate_hz().cast_signed())
                .field("channels", i32::from(aac.channels))
                .field("codec_data", record(config))
                .build()
        }
        Codec::Opus => {
            let info = weir_media::codec::parse(Codec::Opus, TrackId::SOURCE_AUDIO, config.clone());
            let channels = info.ok().and_then(|info| info.audio).map_or(2, |audio| audio.channels);
            gst::Caps::builder("audio/x-opus")
                .field("channel-mapping-family", 0)
                .field("channels", i32::from(channels))
                .field("rate", 48_000)
                .build()
        }
        Codec::Mp3 => gst::Caps::builder("audio/mpeg").field("mpegversion", 1).field("layer", 3).build(),
        Codec::Mp2 => gst::Caps::builder("audio/mpeg").field("mpegversion", 1).field("layer", 2).build(),
        Codec::Ac3 => gst::Caps::builder("audio/x-ac3").field("framed", true).build(),
        Codec::Eac3 => gst::Caps::builder("audio/x-eac3").field("framed", true).build(),
        Codec::Vp8 => gst::Caps::builder("video/x-vp8").build(),
        Codec::Vp9 => gst::Caps::builder("video/x-vp9").build(),
        Codec::Mpeg2 => gst::Caps::builder("video/mpeg").field("mpegversion", 2).field("systemstream", false).build(),
    })
}
