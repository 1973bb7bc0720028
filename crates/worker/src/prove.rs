//! One encoder or decoder tried on some pictures, for the server that wants to know what this machine can do.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use weir_model::{AudioCodec, Fit, RateControl};
use weir_pipeline::{
    AudioOutput, DECODE_CUDA, DECODE_VA, ENCODE_OPUS, Encoders, Inventory, Memory, OutputId, Proof, Version,
    VideoOutput,
};

use crate::element::{BuildFault, chain, find, make};
use crate::recipe::{self, Step};

const PICTURES: u32 = 10;
/// Sizes below this are refused by some hardware.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 192;
const PATIENCE: Duration = Duration::from_secs(8);

/// Prints what there is to be tried.
pub(crate) fn inventory() -> io::Result<()> {
    gst::init().map_err(io::Error::other)?;
    let (major, minor, ..) = gst::version();
    let encoders = Encoders::load().map_err(io::Error::other)?;
    let ids = encoders.all().iter().map(|file| file.id.as_str()).chain([DECODE_CUDA, DECODE_VA, ENCODE_OPUS]);
    let missing = ids.filter_map(|id| {
        let steps = steps(id).ok()?;
        let reason = steps.iter().find_map(|step| find(step).err())?;
        Some((id.to_owned(), reason.0))
    });
    say(&Inventory { gstreamer: Version { major, minor }, missing: missing.collect(), plugins: plugins() })
}

/// The plugins that encoders and decoders come from: another version may do what an earlier one did not.
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

/// Prints the proof of an encoder's file, or of decoding in a card's memory.
pub(crate) fn prove(what: &str) -> io::Result<()> {
    gst::init().map_err(io::Error::other)?;
    let started = Instant::now();
    let outcome = steps(what).and_then(|steps| run(&steps));
    say(&Proof {
        ok: outcome.is_ok(),
        ms: outcome.is_ok().then(|| started.elapsed().as_secs_f64() * 1000.0),
        reason: outcome.err().map(|fault| fault.0),
    })
}

fn say(value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{text}")
}

fn steps(what: &str) -> Result<Vec<Step>, BuildFault> {
    if what == ENCODE_OPUS {
        let sound = AudioOutput { id: OutputId(0), codec: AudioCodec::Opus, bitrate_kbps: 64, loudness_lufs: None };
        return Ok([recipe::test_sound(), recipe::audio_branch(&sound)].concat());
    }
    let encoders = Encoders::load().map_err(|error| BuildFault(error.to_string()))?;
    let (id, decode_in) = match what {
        DECODE_CUDA => ("x264", Some(Memory::Cuda)),
        DECODE_VA => ("x264", Some(Memory::Va)),
        id => (id, None),
    };
    let file = encoders.get(id).ok_or_else(|| BuildFault(format!("there is no encoder {id}")))?;
    let output = VideoOutput {
        id: OutputId(0),
        codec: file.codec,
        width: WIDTH,
        height: HEIGHT,
        fps: None,
        bitrate_kbps: 500,
        rate_control: RateControl::Vbr,
        gop_ms: 1000,
        profile: None,
        fit: Fit::Pad,
        encoder: file.id.clone(),
        device: None,
        overlaid: false,
    };
    let mut steps = recipe::test_pictures(PICTURES, WIDTH, HEIGHT);
    steps.extend(recipe::video_branch(&output, file, Memory::System));
    if let Some(memory) = decode_in {
        let decoding = recipe::video_source(weir_media::Codec::H264, memory);
        steps.extend(decoding.into_iter().filter(|step| step.role != "tee"));
    }
    Ok(steps)
}

/// Runs to the end of the pictures.
fn run(steps: &[Step]) -> Result<(), BuildFault> {
    let pipeline = gst::Pipeline::new();
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
