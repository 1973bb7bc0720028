//! One output that runs: its elements from the tee to the sink, and the frames that it gives.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::DownstreamForceKeyUnitEvent;
use weir_media::{Codec, MediaTime};
use weir_model::VideoCodec;
use weir_pipeline::{AudioOutput, EncoderFile, Memory, Message, OutputId, TrackConfig, VideoOutput, WorkerFrame};

use crate::canvas;
use crate::element::{BuildFault, chain, make, pad, remove, start};
use crate::keyframes::{KeyframeClock, KeyframeWish};
use crate::loudness::Leveller;
use crate::outbox::Outbox;
use crate::overlay::{LogoSlot, lay_over};
use crate::picture::Pictures;
use crate::recipe::{self, Step};
use crate::tone::{ToneMapper, map_tones};

/// A pad that is busy lets go after a picture; one that takes longer than this belongs to a branch that hangs.
const UNLINK_PATIENCE: Duration = Duration::from_secs(2);

/// At most this many samples wait in the sink; each is taken at once.
const SINK_BUFFERS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Branch {
    elements: Vec<gst::Element>,
    /// The tee and its pad, while the branch is linked.
    tee: Option<(gst::Element, gst::Pad)>,
    keyframe: KeyframeWish,
}

impl Branch {
    pub(crate) fn video(
        pipeline: &gst::Pipeline,
        output: &VideoOutput,
        file: &EncoderFile,
        decode_in: Memory,
        (logo, tones): (&LogoSlot, &ToneMapper),
        outbox: &Outbox,
    ) -> Result<Self, BuildFault> {
        let codec = match output.picture.codec {
            VideoCodec::H264 => Codec::H264,
            VideoCodec::H265 => Codec::H265,
            VideoCodec::Av1 => Codec::Av1,
        };
        let steps = recipe::video_branch(output, file, decode_in);
        let branch = Self::build(pipeline, &prefix(output.id), &steps, video_sink(output.id, codec, outbox))?;
        let with_role = |role| steps.iter().position(|step| step.role == role).and_then(|at| branch.elements.get(at));
        // An output of ten bits keeps HDR as it is.
        if let (Some(queue), false) = (branch.elements.first(), recipe::has_ten_bits(output)) {
            map_tones(queue, tones)?;
        }
        if let (Some(scale), Some(size)) = (with_role("scale"), with_role("size")) {
            canvas::follow_source(with_role("crop"), scale, size, output, file.memory)?;
        }
        if let Some(encode) = with_role("encode") {
            if output.overlaid || !file.is_hardware() {
                lay_over(encode, logo)?;
            }
            let clock = KeyframeClock::new(output.gop_ms(), branch.keyframe.clone());
            match file.keyframes.by_restart {
                true => restart_for_keyframes(encode, clock)?,
                false => force_keyframes(encode, clock)?,
            }
        }
        Ok(branch)
    }

    pub(crate) fn audio(pipeline: &gst::Pipeline, output: &AudioOutput, outbox: &Outbox) -> Result<Self, BuildFault> {
        let steps = recipe::audio_branch(output);
        let branch = Self::build(pipeline, &prefix(output.id), &steps, audio_sink(output.id, outbox))?;
        if let (Some(lufs), Some(queue)) = (output.sound.loudness_lufs, branch.elements.first()) {
            level(&pad(queue, "src")?, Leveller::new(lufs)?);
        }
        Ok(branch)
    }

    fn build(pipeline: &gst::Pipeline, prefix: &str, steps: &[Step], sink: AppSink) -> Result<Self, BuildFault> {
        let mut elements = steps.iter().map(|step| make(step, prefix)).collect::<Result<Vec<_>, _>>()?;
        elements.push(sink.upcast());
        chain(pipeline, &elements)?;
        Ok(Self { elements, tee: None, keyframe: KeyframeWish::default() })
    }

    /// Links the branch, which begins with what comes next out of the tee.
    pub(crate) fn link(&mut self, tee: &gst::Element) -> Result<(), BuildFault> {
        start(&self.elements)?;
        let nothing = || BuildFault("a tee without pads".to_owned());
        let pad = tee.request_pad_simple("src_%u").ok_or_else(nothing)?;
        let sink = self.elements.first().and_then(|queue| queue.static_pad("sink")).ok_or_else(nothing)?;
        pad.link(&sink).map_err(|error| BuildFault(format!("a branch can't be linked: {error}")))?;
        self.tee = Some((tee.clone(), pad));
        Ok(())
    }

    /// Makes the next picture that reaches the encoder a keyframe; where sound is encoded, nothing.
    pub(crate) fn want_keyframe(&self) {
        self.keyframe.wish();
    }

    /// Tells `ended` when the source's end has come out of the branch, behind all that it held.
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

    /// Ends the branch while the others go on.
    pub(crate) fn end(mut self, pipeline: &gst::Pipeline) {
        if let Some((tee, pad)) = self.tee.take() {
            let (done, is_done) = mpsc::channel();
            // The probe runs when nothing is under way on the pad, which may be at once.
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

/// The beginning of the names of an output's elements, by which errors are traced back to it.
fn prefix(id: OutputId) -> String {
    format!("output{}", id.0)
}

/// The output that an element belongs to, by the element's name.
pub(crate) fn output_of(element: &str) -> Option<OutputId> {
    let number = element.strip_prefix("output")?.split('-').next()?;
    number.parse().ok().map(OutputId)
}

/// Brings the sound that passes the pad to its loudness.
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

/// Sends each request for a keyframe right before its picture, into the same
/// pad: whatever the encoder still holds, the request is for that picture.
fn force_keyframes(encode: &gst::Element, clock: KeyframeClock) -> Result<(), BuildFault> {
    let clock = Mutex::new(clock);
    pad(encode, "sink")?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        let opens = pts.is_some_and(|pts| clock.lock().is_ok_and(|mut clock| clock.opens(pts.nseconds())));
        if opens {
            // The request has no running time, which means the next picture. With a time, GStreamer up to 1.28 compares it with the
            // encoder's shifted segment before the first output, and then ignores every later request.
            pad.send_event(DownstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Makes keyframes with encoders that take no requests: each of our keyframes is the first picture of an encoder that begins anew,
/// between two pictures and in the thread that brings them. Encoders that look ahead would lose what they hold.
fn restart_for_keyframes(encode: &gst::Element, clock: KeyframeClock) -> Result<(), BuildFault> {
    let (clock, encode) = (Mutex::new(clock), encode.clone());
    let sink = pad(&encode, "sink")?;
    let source = sink.peer().ok_or_else(|| BuildFault("an encoder that is linked to nothing".to_owned()))?;
    source.add_probe(gst::PadProbeType::BUFFER, move |source, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        let opens = pts.is_some_and(|pts| clock.lock().is_ok_and(|mut clock| clock.opens(pts.nseconds())));
        if opens {
            // A pad that is linked again tells once more what the pictures are.
            let _ = source.unlink(&sink);
            let anew = encode.set_state(gst::State::Null).and_then(|_| {
                let _ = source.link(&sink);
                encode.set_state(gst::State::Playing)
            });
            if anew.is_err() {
                gst::element_error!(encode, gst::CoreError::StateChange, ["it can't begin anew"]);
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// A buffer that came out of an encoder, with its times on the stream's timeline.
struct Sample {
    pts: MediaTime,
    dts: MediaTime,
    keyframe: bool,
    map: gst::MappedBuffer<gst::buffer::Readable>,
}

impl Sample {
    /// Takes the next sample; None where it has no time or no data.
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
        let frame = WorkerFrame {
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
    // The sink waits neither for the clock nor for the other sinks: sound that never comes must not hold up the picture.
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
}
