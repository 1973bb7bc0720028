//! Tries one encoder or decoder on some pictures, for the server that wants to know what this machine can do.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use weir_model::{AudioCodec, PictureSettings, RateControl, SoundSettings};
use weir_pipeline::{
    AudioOutput, DECODE_CUDA, DECODE_VA, ENCODE_OPUS, Encoders, Inventory, Memory, OutputId, Proof, SPEED, Usage,
    Version, VideoOutput,
};

use crate::element::{BuildFault, chain, find, make};
use crate::recipe::{self, Step};

/// The number and size of the pictures of a try.
struct Try {
    pictures: u32,
    width: u32,
    height: u32,
}

/// Whether an encoder works; some hardware refuses smaller pictures.
const WHETHER: Try = Try { pictures: 10, width: 320, height: 192 };
/// How fast the machine is: so many pictures give a figure in CPU times that have steps of 10 ms.
const HOW_FAST: Try = Try { pictures: 60, width: 640, height: 360 };
const PATIENCE: Duration = Duration::from_secs(8);

/// Prints what GStreamer has here to be tried.
pub(crate) fn inventory() -> io::Result<()> {
    gst::init().map_err(io::Error::other)?;
    let (major, minor, ..) = gst::version();
    let encoders = Encoders::load().map_err(io::Error::other)?;
    let ids = encoders.all().iter().map(|file| file.id.as_str()).chain([DECODE_CUDA, DECODE_VA, ENCODE_OPUS, SPEED]);
    let missing = ids.filter_map(|id| {
        let steps = steps(id).ok()?;
        let reason = steps.iter().find_map(|step| find(step).err())?;
        Some((id.to_owned(), reason.0))
    });
    let gstreamer = Version { major, minor };
    say(&Inventory { gstreamer, missing: missing.collect(), plugins: plugins(), cpu: cpu() })
}

/// The CPU's name. ARM has no such line; there the speed is only measured anew with each release.
fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    Some(text.lines().find(|line| line.starts_with("model name"))?.split_once(':')?.1.trim().to_owned())
}

/// The plugins that encoders and decoders come from, with their versions: another version may do what an earlier one did not.
fn plugins() -> BTreeMap<String, String> {
    let ours = |element: &str| {
        let plugin = gst::ElementFactory::find(element)?.plugin()?;
        Some((plugin.plugin_name().to_string(), plugin.version().to_string()))
    };
    let encoders = Encoders::load().map(|encoders| encoders.all().to_vec()).unwrap_or_default();
    let elements = encoders.iter().map(|file| file.element.as_str()).chain([
        "avdec_h264",
        "videoconvertscale",
        "cudascale",
        "vapostproc",
        AudioOutput::element(AudioCodec::Opus),
    ]);
    elements.filter_map(ours).collect()
}

/// Prints the proof of an encoder file, or of one of the other things that are proven.
pub(crate) fn prove(what: &str) -> io::Result<()> {
    gst::init().map_err(io::Error::other)?;
    let cpu = || Usage::of(std::process::id()).map(|usage| usage.cpu);
    let (started, cpu_before) = (Instant::now(), cpu());
    let outcome = steps(what).and_then(|steps| run(&steps));
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let cpu_time = cpu().zip(cpu_before).map(|(after, before)| ms(after.saturating_sub(before)));
    say(&Proof {
        ok: outcome.is_ok(),
        ms: outcome.is_ok().then(|| ms(started.elapsed())),
        cpu_ms: cpu_time.filter(|_| outcome.is_ok()),
        reason: outcome.err().map(|fault| fault.0),
    })
}

/// Prints the answer for the server.
pub(crate) fn say(value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{text}")
}

fn steps(what: &str) -> Result<Vec<Step>, BuildFault> {
    if what == ENCODE_OPUS {
        let sound = SoundSettings { bitrate_kbps: 64, codec: AudioCodec::Opus, loudness_lufs: None };
        let branch = recipe::audio_branch(&AudioOutput { id: OutputId(0), source: 1, sound });
        return Ok([recipe::test_sound(), branch].concat());
    }
    let encoders = Encoders::load().map_err(|error| BuildFault(error.to_string()))?;
    let (id, decode_in, Try { pictures, width, height }) = match what {
        DECODE_CUDA => ("x264", Some(Memory::Cuda), WHETHER),
        DECODE_VA => ("x264", Some(Memory::Va), WHETHER),
        SPEED => ("x264", None, HOW_FAST),
        id => (id, None, WHETHER),
    };
    let file = encoders.get(id).ok_or_else(|| BuildFault(format!("there is no encoder {id}")))?;
    let picture = PictureSettings {
        codec: file.codec,
        gop_seconds: 1.0,
        rate_control: RateControl::Vbr,
        ..PictureSettings::usual(width, height, 500)
    };
    let output = VideoOutput { id: OutputId(0), picture, encoder: file.id.clone(), device: None, overlaid: false };
    let mut steps = recipe::test_pictures(pictures, width, height);
    steps.extend(recipe::video_branch(&output, file, Memory::System));
    if let Some(memory) = decode_in {
        let decoding = recipe::video_source(weir_media::Codec::H264, memory);
        steps.extend(decoding.into_iter().filter(|step| step.role != "tee"));
    }
    Ok(steps)
}

/// Runs a graph to the end of its pictures.
fn run(steps: &[Step]) -> Result<(), BuildFault> {
    // Taking the pipeline down could hang in a driver, and the process ends with its answer anyway.
    let pipeline = ManuallyDrop::new(gst::Pipeline::new());
    let mut elements = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        elements.push(make(step, &format!("proof{number}"))?);
    }
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build()?;
    elements.push(sink.clone());
    chain(&pipeline, &elements)?;
    let (seen, came) = std::sync::mpsc::channel();
    if let Some(pad) = sink.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = seen.send(());
            gst::PadProbeReturn::Ok
        });
    }
    let bus = pipeline.bus().ok_or_else(|| BuildFault("a pipeline without bus".to_owned()))?;
    let playing = pipeline.set_state(gst::State::Playing);
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let timeout = gst::ClockTime::from_nseconds(PATIENCE.as_nanos() as u64);
    let ended = bus.timed_pop_filtered(timeout, &wanted);
    match ended.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) if came.try_iter().count() > 0 => Ok(()),
        Some(gst::MessageView::Eos(_)) => Err(BuildFault("nothing came out".to_owned())),
        Some(gst::MessageView::Error(error)) => Err(BuildFault(error.error().to_string())),
        _ if playing.is_err() => Err(BuildFault("it can't be started".to_owned())),
        _ => Err(BuildFault(format!("it did not end within {} s", PATIENCE.as_secs()))),
    }
}
