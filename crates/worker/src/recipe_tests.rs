//! The graphs that plans give, as text: changes of `pipelines/graphs` are what people review.

use std::path::Path;

use weir_media::Codec;
use weir_model::{AudioCodec, Fit, PictureSettings, RateControl, SoundSettings, VideoCodec};
use weir_pipeline::{AudioOutput, Encoders, Memory, OutputId, VideoOutput};

use crate::recipe::{audio_branch, audio_source, shown, video_branch, video_source};

/// The environment variable that makes the tests write the files anew.
const WRITE: &str = "WEIR_WRITE_GOLDENS";

fn output(encoder: &str, codec: VideoCodec, rate_control: RateControl) -> VideoOutput {
    let picture = PictureSettings {
        width: 854,
        height: 480,
        fps: None,
        bitrate_kbps: 1200,
        codec,
        gop_seconds: 2.0,
        rate_control,
        profile: None,
        fit: Fit::Pad,
    };
    VideoOutput { id: OutputId(1), picture, encoder: encoder.to_owned(), device: None, overlaid: false }
}

/// The output with a change.
fn changed(mut output: VideoOutput, change: impl FnOnce(&mut PictureSettings)) -> VideoOutput {
    change(&mut output.picture);
    output
}

/// An output of H.264 in that size, encoded by x264.
pub(crate) fn output_of_size(width: u32, height: u32) -> VideoOutput {
    let output = output("x264", VideoCodec::H264, RateControl::Vbr);
    changed(output, |picture| (picture.width, picture.height) = (width, height))
}

/// Every encoder, fed from each memory that the source may be decoded in.
fn graphs() -> Vec<(String, String)> {
    let encoders = Encoders::load().unwrap();
    let mut graphs = Vec::new();
    for file in encoders.all() {
        let memories = if file.is_hardware() { vec![file.memory, Memory::System] } else { vec![Memory::System] };
        let mut text = format!("# {} ({}), 854x480 at 1200 kbps, a keyframe every 2 s.\n", file.title, file.id);
        for memory in memories {
            for rate_control in [RateControl::Cbr, RateControl::Vbr] {
                let output = output(&file.id, file.codec, rate_control);
                let branch = shown(&video_branch(&output, file, memory));
                text.push_str(&format!("\n## decoded in {memory:?} memory, {}\n  {branch}\n", rate_control.as_str()));
            }
        }
        graphs.push((file.id.clone(), text));
    }
    let mut text = String::from("# What all branches hang on, and the sound's branches.\n");
    for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8, Codec::Vp9] {
        for memory in [Memory::System, Memory::Cuda, Memory::Va] {
            let source = shown(&video_source(codec, memory));
            text.push_str(&format!("\n## {codec}, decoded in {memory:?} memory\n  {source}\n"));
        }
    }
    for codec in [Codec::Aac, Codec::Opus, Codec::Mp3] {
        text.push_str(&format!("\n## {codec}\n  {}\n", shown(&audio_source(codec))));
    }
    for (title, codec) in [("AAC", AudioCodec::Aac), ("Opus", AudioCodec::Opus)] {
        let sound = SoundSettings { codec, bitrate_kbps: 128, loudness_lufs: None };
        let branch = shown(&audio_branch(&AudioOutput { id: OutputId(2), source: 1, sound }));
        text.push_str(&format!("\n## {title} at 128 kbps\n  {branch}\n"));
    }
    let x264 = encoders.get("x264").unwrap();
    let rated = changed(output("x264", VideoCodec::H264, RateControl::Vbr), |picture| picture.fps = Some(29.97));
    let branch = shown(&video_branch(&rated, x264, Memory::System));
    text.push_str(&format!("\n## x264 at 29.97 pictures a second\n  {branch}\n"));
    for (id, codec, memory) in [
        ("x264", VideoCodec::H264, Memory::System),
        ("x264", VideoCodec::H264, Memory::Cuda),
        ("x264", VideoCodec::H264, Memory::Va),
        ("nvenc-h264", VideoCodec::H264, Memory::Cuda),
        ("va-h264", VideoCodec::H264, Memory::Va),
    ] {
        let cut = changed(output(id, codec, RateControl::Vbr), |picture| picture.fit = Fit::Crop);
        let branch = shown(&video_branch(&cut, encoders.get(id).unwrap(), memory));
        text.push_str(&format!("\n## {id}, cut to its shape, decoded in {memory:?} memory\n  {branch}\n"));
    }
    for (id, memory) in [("nvenc-h264", Memory::Cuda), ("va-h264", Memory::Va)] {
        let overlaid = VideoOutput { overlaid: true, ..output(id, VideoCodec::H264, RateControl::Vbr) };
        let branch = shown(&video_branch(&overlaid, encoders.get(id).unwrap(), memory));
        text.push_str(&format!("\n## {id} under a logo, decoded in {memory:?} memory\n  {branch}\n"));
    }
    graphs.push(("source".to_owned(), text));
    graphs
}

#[test]
fn graphs_are_as_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/graphs");
    let mut differ = Vec::new();
    for (name, text) in graphs() {
        let file = folder.join(format!("{name}.txt"));
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        if std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
            differ.push(name);
        }
    }
    assert!(differ.is_empty(), "graphs of {differ:?} changed: review what {WRITE}=1 writes to pipelines/graphs");
}
