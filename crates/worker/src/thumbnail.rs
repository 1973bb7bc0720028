//! Reads one keyframe from standard input, and writes it as a small JPEG to standard output.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use weir_pipeline::{
    CONFIG_BYTES_MAX, Decoder, FRAME_BYTES_MAX, Memory, Message, THUMBNAIL_WIDTH, TrackConfig, WorkerFrame,
};

use crate::element::{BuildFault, chain, make};
use crate::recipe;
use crate::source;
use crate::tone::{ToneMapper, map_tones};

/// Shorter than the server's own patience of 5 s, so that the worker can say why it failed before it is killed.
const PATIENCE: Duration = Duration::from_secs(4);

/// The input is a frame, its configuration and their headers.
const INPUT_BYTES_MAX: u64 = (FRAME_BYTES_MAX + CONFIG_BYTES_MAX + 1024) as u64;

/// The JPEG's quality, out of 100: small, and good enough for a tile.
const QUALITY: i32 = 75;

pub(crate) fn run() -> io::Result<()> {
    let (track, frame) = read()?;
    gst::init().map_err(io::Error::other)?;
    let jpeg = picture(&track, frame).map_err(|fault| io::Error::other(fault.0))?;
    io::stdout().write_all(&jpeg)
}

fn read() -> io::Result<(TrackConfig, WorkerFrame)> {
    let mut bytes = Vec::new();
    io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut decoder = Decoder::new();
    decoder.buffer().extend_from_slice(&bytes);
    let mut track = None;
    while let Some(message) = decoder.next_message().map_err(io::Error::other)? {
        match message {
            Message::Track(config) => track = Some(config),
            Message::Frame(frame) => {
                return track.map(|track| (track, frame)).ok_or_else(|| io::Error::other("a frame without a track"));
            }
            _ => {}
        }
    }
    Err(io::Error::other("no frame came"))
}

fn picture(track: &TrackConfig, frame: WorkerFrame) -> Result<Vec<u8>, BuildFault> {
    let pipeline = gst::Pipeline::new();
    let input = AppSrc::builder().format(gst::Format::Time).caps(&source::caps(track)?).build();
    let mut elements: Vec<gst::Element> = vec![input.clone().upcast()];
    for step in recipe::video_source(track.codec, Memory::System).iter().filter(|step| step.role != "tee") {
        elements.push(make(step, "thumbnail")?);
    }
    if let Some(decoded) = elements.last() {
        map_tones(decoded, &ToneMapper::default())?;
    }
    let width = i32::try_from(THUMBNAIL_WIDTH).unwrap_or(i32::MAX);
    // With square pixels and a width the scaler finds the height that keeps the picture's shape.
    let size = gst::Caps::builder("video/x-raw")
        .field("width", width)
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build();
    let plain = |name: &str| gst::ElementFactory::make(name).build();
    let output = AppSink::builder().sync(false).build();
    elements.extend([
        plain("videoconvert")?,
        plain("videoscale")?,
        gst::ElementFactory::make("capsfilter").property("caps", size).build()?,
        gst::ElementFactory::make("jpegenc").property("quality", QUALITY).build()?,
        output.clone().upcast(),
    ]);
    chain(&pipeline, &elements)?;
    pipeline.set_state(gst::State::Playing)?;
    let mut buffer = gst::Buffer::from_slice(frame.payload);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
        buffer.set_dts(gst::ClockTime::ZERO);
    }
    let refused = |_| BuildFault("the decoder refused the picture".to_owned());
    input.push_buffer(buffer).map_err(refused)?;
    // The end of the stream makes decoders give what they hold back.
    input.end_of_stream().map_err(refused)?;
    let patience = gst::ClockTime::from_nseconds(PATIENCE.as_nanos() as u64);
    let sample = output.try_pull_sample(patience);
    let jpeg = sample.as_ref().and_then(|sample| sample.buffer()?.map_readable().ok()).map(|map| map.to_vec());
    let _ = pipeline.set_state(gst::State::Null);
    jpeg.ok_or_else(|| BuildFault("it could not be decoded".to_owned()))
}
