//! One output running: its elements from the tee to the sink, and what it gives as frames.

use std::str::FromStr;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::{DownstreamForceKeyUnitEvent, VideoInfo};
use weir_media::{Codec, MediaTime};
use weir_model::VideoCodec;
use weir_pipeline::{AudioOutput, EncoderFile, Memory, Message, OutputId, TrackConfig, VideoOutput, WireFrame};

use crate::element::{BuildFault, chain, make, remove, start};
use crate::keyframes::KeyframeClock;
use crate::loudness::Leveller;
use crate::outbox::Outbox;
use crate::picture::Pictures;
use crate::recipe::{self, Step};

/// A pad that is busy lets go after a picture; longer means that the branch hangs.
const UNLINK_PATIENCE: Duration = Duration::from_secs(2);

/// Sizes round to even numbers: 854x480 is not exactly 16:9. More than this is another shape, and gets bars.
const SHAPE_TOLERANCE: f64 = 0.01;

/// Samples that may wait in the sink; each is taken at once.
const SINK_BUFFERS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Branch {
    elements: Vec<gst::Element>,
    /// The tee and its pad, while linked.
    tee: Option<(gst::Element, gst::Pad)>,
}

impl Branch {
    pub(crate) fn video(
        pipeline: &gst::Pipeline,
        output: &VideoOutput,
        file: &EncoderFile,
        decode_in: Memory,
        outbox: &Outbox,
    ) -> Result<Self, BuildFault> {
        let codec = match output.codec {
            VideoCodec::H264 => Codec::H264,
            VideoCodec::H265 => Codec::H265,
            VideoCodec::Av1 => return Err(BuildFault("AV1 is not encoded".to_owned())),
        };
        let steps = recipe::video_branch(output, file, decode_in);
        let branch = Self::build(pipeline, &prefix(output.id), &steps, video_sink(output.id, codec, outbox))?;
        let with_role = |role| steps.iter().position(|step| step.role == role).and_then(|at| branch.elements.get(at));
        if let (Some(scale), Some(size)) = (with_role("scale"), with_role("size")) {
            follow_source(scale, size, output, file.memory)?;
        }
        if let Some(encode) = with_role("encode") {
            force_keyframes(encode, KeyframeClock::new(output.gop_ms))?;
        }
        Ok(branch)
    }

    pub(crate) fn audio(pipeline: &gst::Pipeline, output: &AudioOutput, outbox: &Outbox) -> Result<Self, BuildFault> {
        let steps = recipe::audio_branch(output);
        let branch = Self::build(pipeline, &prefix(output.id), &steps, audio_sink(output.id, outbox))?;
        if let (Some(lufs), Some(queue)) = (output.loudness_lufs, branch.elements.first()) {
            level(&pad(queue, "src")?, Leveller::new(lufs)?);
        }
        Ok(branch)
    }

    fn build(pipeline: &gst::Pipeline, prefix: &str, steps: &[Step], sink: AppSink) -> Result<Self, BuildFault> {
        let mut elements = steps.iter().map(|step| make(step, prefix)).collect::<Result<Vec<_>, _>>()?;
        elements.push(sink.upcast());
        chain(pipeline, &elements)?;
        Ok(Self { elements, tee: None })
    }

    /// Begins with what comes next out of the tee.
    pub(crate) fn link(&mut self, tee: &gst::Element) -> Result<(), BuildFault> {
        start(&self.elements)?;
        let nothing = || BuildFault("a tee without pads".to_owned());
        let pad = tee.request_pad_simple("src_%u").ok_or_else(nothing)?;
        let sink = self.elements.first().and_then(|queue| queue.static_pad("sink")).ok_or_else(nothing)?;
        pad.link(&sink).map_err(|error| BuildFault(format!("a branch can't be linked: {error}")))?;
        self.tee = Some((tee.clone(), pad));
        Ok(())
    }

    /// Tells when the source's end has come out of it, behind all that it held.
    pub(crate) fn tell_end(&self, ended: &mpsc::Sender<()>) {
        let Some(pad) = self.elements.last().and_then(|sink| sink.static_pad("sink")) else { return };
        let ended = ended.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::EventView::Eos(_)) = info.event().map(|event| event.view()) {
                let _ = ended.send(());
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Ends it while the others go on.
    pub(crate) fn end(mut self, pipeline: &gst::Pipeline) {
        if let Some((tee, pad)) = self.tee.take() {
            let (done, is_done) = mpsc::channel();
            // When nothing is under way on the pad, which may be at once.
            pad.add_probe(gst::PadProbeType::IDLE, move |pad, _| {
                if let Some(peer) = pad.peer() {
                    let _ = pad.unlink(&peer);
                }
                let _ = done.send(());
                gst::PadProbeReturn::Remove
            });
            let _ = is_done.recv_timeout(UNLINK_PATIENCE);
            tee.release_request_pad(&pad);
        }
        remove(pipeline, &self.elements);
    }
}

/// Names of an output's elements begin so; errors are traced back by it.
fn prefix(id: OutputId) -> String {
    format!("output{}", id.0)
}

/// Whose element it is by its name.
pub(crate) fn output_of(element: &str) -> Option<OutputId> {
    let number = element.strip_prefix("output")?.split('-').next()?;
    number.parse().ok().map(OutputId)
}

fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad, BuildFault> {
    element.static_pad(name).ok_or_else(|| BuildFault(format!("{} has no pad {name}", element.name())))
}

/// When the source's pictures change, the canvas stays: colours are passed on as they are, and what has another shape gets bars.
fn follow_source(
    scale: &gst::Element,
    size: &gst::Element,
    output: &VideoOutput,
    memory: Memory,
) -> Result<(), BuildFault> {
    let (scaler, size, output) = (scale.clone(), size.clone(), output.clone());
    pad(scale, "sink")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let Ok(source) = VideoInfo::from_caps(caps.caps())
        {
            let text = recipe::size_caps(&output, memory, &colorimetry(caps.caps(), &source));
            if let Ok(caps) = gst::Caps::from_str(&text) {
                size.set_property("caps", caps);
            }
            if scaler.find_property("add-borders").is_some() {
                scaler.set_property("add-borders", is_other_shape(&source, &output));
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// As the caps say it, or as GStreamer understands caps that do not say it.
fn colorimetry(caps: &gst::CapsRef, source: &VideoInfo) -> String {
    let field = |name| caps.structure(0).and_then(|caps| caps.get::<String>(name).ok());
    let colorimetry = field("colorimetry").unwrap_or_else(|| source.colorimetry().to_string());
    // Typed, because what has no name is written in numbers with colons, which would be read as something else.
    let mut text = if colorimetry.is_empty() { String::new() } else { format!(",colorimetry=(string){colorimetry}") };
    // VideoInfo has another idea of it than the caps that it was made of.
    if let Some(chroma_site) = field("chroma-site") {
        text.push_str(&format!(",chroma-site=(string){chroma_site}"));
    }
    text
}

fn is_other_shape(source: &VideoInfo, output: &VideoOutput) -> bool {
    let par = source.par();
    let pixel = f64::from(par.numer()) / f64::from(par.denom().max(1));
    let source = f64::from(source.width()) * pixel / f64::from(source.height().max(1));
    let canvas = f64::from(output.width) / f64::from(output.height.max(1));
    (source / canvas - 1.0).abs() > SHAPE_TOLERANCE
}

/// Brings the sound that goes by to its loudness.
fn level(pad: &gst::Pad, leveller: Leveller) {
    let leveller = Mutex::new(leveller);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        // Other branches have the same buffer: this one gets a copy of its own to write to.
        if let Some(buffer) = info.buffer_mut().map(gst::Buffer::make_mut)
            && let Ok(mut map) = buffer.map_writable()
            && let Ok(mut leveller) = leveller.lock()
        {
            leveller.process_bytes(&mut map);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Sends the order right before the picture, into the same pad: whatever the encoder has in hand, it is this picture's.
fn force_keyframes(encode: &gst::Element, clock: KeyframeClock) -> Result<(), BuildFault> {
    let clock = Mutex::new(clock);
    pad(encode, "sink")?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        let opens = pts.is_some_and(|pts| clock.lock().is_ok_and(|mut clock| clock.opens(pts.nseconds())));
        if opens {
            // Without a running time, which means the next picture. Given one, GStreamer up to 1.28 compares it with the
            // encoder's shifted segment before the first output and then ignores every later order.
            pad.send_event(DownstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// A buffer that came out, with its times on the stream's timeline.
struct Sample {
    pts: MediaTime,
    dts: MediaTime,
    keyframe: bool,
    map: gst::MappedBuffer<gst::buffer::Readable>,
}

impl Sample {
    /// None for what has no time or no data.
    fn pull(sink: &AppSink) -> Result<Option<Self>, gst::FlowError> {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (Some(buffer), Some(segment)) = (sample.buffer_owned(), sample.segment()) else { return Ok(None) };
        let Some(segment) = segment.downcast_ref::<gst::ClockTime>() else { return Ok(None) };
        // Encoders shift their segment by 1000 hours so that decode times can lie before zero.
        let time = |time: Option<gst::ClockTime>| {
            let signed = segment.to_running_time_full(time?)?;
            let nanos = i64::try_from(signed.abs().nseconds()).ok()?;
            Some(MediaTime::from_nanos(if signed.is_negative() { -nanos } else { nanos }))
        };
        let Some(pts) = time(buffer.pts()) else { return Ok(None) };
        let dts = time(buffer.dts()).unwrap_or(pts).min(pts);
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let Ok(map) = buffer.into_mapped_buffer_readable() else { return Ok(None) };
        Ok(Some(Self { pts, dts, keyframe, map }))
    }

    fn send(&self, id: OutputId, payload: Bytes, outbox: &Outbox) -> Result<gst::FlowSuccess, gst::FlowError> {
        outbox.count_out(id, self.pts.as_nanos(), payload.len());
        let frame = WireFrame {
            track: id.0,
            dts: self.dts,
            pts: self.pts,
            keyframe: self.keyframe,
            discontinuity: false,
            payload,
        };
        outbox.send(&Message::Frame(frame)).map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    }
}

fn sink(callback: impl FnMut(&AppSink) -> Result<gst::FlowSuccess, gst::FlowError> + Send + 'static) -> AppSink {
    // Neither waits for the clock nor for the other sinks: sound that never comes must not hold up the picture.
    let sink = AppSink::builder().sync(false).async_(false).max_buffers(SINK_BUFFERS).build();
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(callback).build());
    sink
}

fn video_sink(id: OutputId, codec: Codec, outbox: &Outbox) -> AppSink {
    let (mut pictures, outbox) = (Pictures::new(codec), outbox.clone());
    sink(move |sink| {
        let Some(sample) = Sample::pull(sink)? else { return Ok(gst::FlowSuccess::Ok) };
        let Some(picture) = pictures.read(&sample.map) else { return Ok(gst::FlowSuccess::Ok) };
        if let Some(config) = picture.config {
            let track = TrackConfig { track: id.0, codec, config };
            outbox.send(&Message::Track(track)).map_err(|_| gst::FlowError::Eos)?;
        }
        sample.send(id, picture.payload, &outbox)
    })
}

fn audio_sink(id: OutputId, outbox: &Outbox) -> AppSink {
    let outbox = outbox.clone();
    sink(move |sink| {
        let Some(sample) = Sample::pull(sink)? else { return Ok(gst::FlowSuccess::Ok) };
        let payload = Bytes::copy_from_slice(&sample.map);
        sample.send(id, payload, &outbox)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_traced_to_their_output() {
        assert_eq!(output_of(&format!("{}-encode", prefix(OutputId(4_000_000_000)))), Some(OutputId(4_000_000_000)));
        for other in ["video-decode", "output-encode", "outputx-1", ""] {
            assert_eq!(output_of(other), None, "{other}");
        }
    }

    #[test]
    fn bars_are_for_other_shapes_only() {
        gst::init().unwrap();
        let output = |width, height| VideoOutput {
            id: OutputId(1),
            codec: VideoCodec::H264,
            width,
            height,
            fps: None,
            bitrate_kbps: 1,
            rate_control: weir_model::RateControl::Cbr,
            gop_ms: 2000,
            profile: None,
            encoder: "x264".to_owned(),
            device: None,
        };
        let source = |width, height, par: (i32, i32)| {
            let info = VideoInfo::builder(gstreamer_video::VideoFormat::I420, width, height);
            info.par(gst::Fraction::new(par.0, par.1)).build().unwrap()
        };
        for (source, output, expected) in [
            (source(1280, 720, (1, 1)), output(854, 480), false),
            (source(1280, 720, (1, 1)), output(426, 240), false),
            (source(640, 480, (1, 1)), output(640, 360), true),
            (source(720, 576, (16, 11)), output(1280, 720), true),
            (source(720, 576, (64, 45)), output(1280, 720), false),
            (source(1280, 720, (1, 1)), output(1080, 1920), true),
        ] {
            assert_eq!(is_other_shape(&source, &output), expected, "{source:?} on {}x{}", output.width, output.height);
        }
    }
}
