//! The graph as plain data: the elements and properties that a plan's
//! branches are made of. There is no GStreamer here, so tests can read it.

use std::fmt::Display;

use weir_media::Codec;
use weir_model::{AudioCodec, Fit, PictureSettings, RateControl, VideoCodec};
use weir_pipeline::{AudioOutput, EncoderFile, Fps, Memory, Value, VideoOutput};

/// One element of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What the element does here; its name ends in this.
    pub(crate) role: &'static str,
    /// The names of factories; the first that exists is taken.
    pub(crate) factories: Vec<String>,
    pub(crate) set: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) property: String,
    pub(crate) value: String,
    /// The setting is left out where the element does not have the property.
    pub(crate) optional: bool,
}

impl Step {
    fn new(role: &'static str, factory: &str) -> Self {
        Self { role, factories: vec![factory.to_owned()], set: Vec::new() }
    }

    fn any(role: &'static str, factories: &[&str]) -> Self {
        Self { role, factories: factories.iter().map(|name| (*name).to_owned()).collect(), set: Vec::new() }
    }

    fn set(self, property: &str, value: impl Display) -> Self {
        self.push(property, &value, false)
    }

    fn set_if_there(self, property: &str, value: impl Display) -> Self {
        self.push(property, &value, true)
    }

    fn push(mut self, property: &str, value: &dyn Display, optional: bool) -> Self {
        self.set.push(Setting { property: property.to_owned(), value: value.to_string(), optional });
        self
    }
}

/// The size of the rate control's buffer: a second for CBR, as platforms expect; 0.6 s for VBR, which may save bits.
const CBR_BUFFER_MS: u32 = 1000;
const VBR_BUFFER_MS: u32 = 600;

/// The frame rate assumed where the source's is not known; only the safety net beside our keyframe clock depends on it.
const FPS_ASSUMED: f64 = 60.0;

/// At most this many pictures wait in front of a branch: enough for branches to run beside one another, and 133 ms at 30 fps.
const QUEUE_PICTURES: u32 = 4;
/// Sound comes in pieces of about 21 ms.
const QUEUE_SOUNDS: u32 = 16;

fn queue(buffers: u32) -> Step {
    Step::new("queue", "queue")
        .set("max-size-buffers", buffers)
        .set("max-size-bytes", 0)
        .set("max-size-time", 0)
        .set("silent", true)
}

/// The steps from the source's frames to raw pictures in that memory.
pub(crate) fn video_source(codec: Codec, decode_in: Memory) -> Vec<Step> {
    let (parser, software, cuda, va): (Option<&str>, &[&str], &[&str], &[&str]) = match codec {
        Codec::H265 => (Some("h265parse"), &["avdec_h265"], &["nvh265dec", "nvh265sldec"], &["vah265dec"]),
        Codec::Av1 => (Some("av1parse"), &["dav1ddec", "av1dec"], &["nvav1dec"], &["vaav1dec"]),
        Codec::Mpeg2 => {
            (Some("mpegvideoparse"), &["avdec_mpeg2video", "mpeg2dec"], &["nvmpeg2videodec"], &["vampeg2dec"])
        }
        // GStreamer 1.22 has no parser of VP8, and its decoders need none.
        Codec::Vp8 => (None, &["vp8dec", "avdec_vp8"], &["nvvp8dec", "nvvp8sldec"], &["vavp8dec"]),
        Codec::Vp9 => (Some("vp9parse"), &["vp9dec", "avdec_vp9"], &["nvvp9dec", "nvvp9sldec"], &["vavp9dec"]),
        _ => (Some("h264parse"), &["avdec_h264"], &["nvh264dec", "nvh264sldec"], &["vah264dec"]),
    };
    let decoder = match decode_in {
        Memory::System => software,
        Memory::Cuda => cuda,
        Memory::Va => va,
    };
    let mut steps: Vec<Step> = parser.map(|parser| Step::new("parse", parser)).into_iter().collect();
    steps.push(Step::any("decode", decoder));
    if decode_in == Memory::System {
        // The deinterlacer lets progressive pictures through as they are. Of the others it makes one picture from two fields, so that a
        // rendition has as many as its source says; a picture from each field would double the encoders' work, which nobody asked for.
        steps.push(Step::new("deinterlace", "deinterlace").set("method", "yadif").set("fields", "top"));
    }
    steps.push(Step::new("tee", "tee").set("allow-not-linked", true));
    steps
}

/// The steps from the source's sound to what all encoders of sound take.
pub(crate) fn audio_source(codec: Codec) -> Vec<Step> {
    let (parser, decoders): (&str, &[&str]) = match codec {
        Codec::Opus => ("opusparse", &["opusdec", "avdec_opus"]),
        Codec::Mp3 => ("mpegaudioparse", &["mpg123audiodec", "avdec_mp3"]),
        Codec::Mp2 => ("mpegaudioparse", &["avdec_mp2float", "mpg123audiodec"]),
        Codec::Ac3 => ("ac3parse", &["avdec_ac3", "a52dec"]),
        Codec::Eac3 => ("ac3parse", &["avdec_eac3"]),
        _ => ("aacparse", &["avdec_aac", "faad"]),
    };
    let caps = format!(
        "audio/x-raw,format=F32LE,layout=interleaved,rate={},channels={}",
        AudioOutput::SAMPLE_RATE_HZ,
        AudioOutput::CHANNELS
    );
    vec![
        Step::new("parse", parser),
        Step::any("decode", decoders),
        Step::new("convert", "audioconvert"),
        Step::new("resample", "audioresample"),
        Step::new("caps", "capsfilter").set("caps", caps),
        Step::new("tee", "tee").set("allow-not-linked", true),
    ]
}

/// The steps of one picture encode, from the tee on.
pub(crate) fn video_branch(output: &VideoOutput, file: &EncoderFile, decode_in: Memory) -> Vec<Step> {
    let mut steps = vec![queue(QUEUE_PICTURES)];
    if let Some(fps) = output.fps() {
        let rate = format!("video/x-raw(ANY),framerate={}/{}", fps.numerator, fps.denominator);
        steps.push(Step::new("rate", "videorate").set("skip-to-first", true));
        steps.push(Step::new("rate-caps", "capsfilter").set("caps", rate));
    }
    steps.extend(scaling(decode_in, file.memory, output.picture.fit));
    steps.push(Step::new("size", "capsfilter").set("caps", size_caps(output, file.memory, "")));
    if output.overlaid {
        // The card scales first, so that what comes down is no larger than the canvas. These encoders take either memory.
        match file.memory {
            Memory::System => {}
            Memory::Cuda => steps.push(Step::new("overlay-download", "cudadownload")),
            Memory::Va => steps.extend([
                Step::new("overlay-download", "vapostproc"),
                Step::new("overlay-caps", "capsfilter").set("caps", "video/x-raw"),
            ]),
        }
    }
    if let Some(caps) = &file.told {
        steps.push(Step::new("told", "capssetter").set("caps", caps));
    }
    steps.push(encoder(output, file));
    if file.codec == VideoCodec::Av1 {
        // Not all AV1 encoders say which form of the stream they give.
        steps.push(Step::new("parse", "av1parse"));
    }
    steps.push(Step::new("caps", "capsfilter").set("caps", encoded_caps(output, file)));
    steps
}

/// The steps that scale. Each rung scales from the source: in a cascade the lower ones lose up to 2 dB, and it is no cheaper.
fn scaling(decode_in: Memory, encode_in: Memory, fit: Fit) -> Vec<Step> {
    if fit != Fit::Crop {
        return only_scaling(decode_in, encode_in);
    }
    // No element of GStreamer 1.22 to 1.28 cuts pictures in a card's memory, so they
    // come down. They are cut before they are scaled, as nobody sees what is cut off.
    let mut steps = match decode_in {
        Memory::System => vec![],
        Memory::Cuda => vec![Step::new("download", "cudadownload")],
        Memory::Va => va_download(),
    };
    steps.push(Step::new("crop", "videocrop"));
    steps.extend(only_scaling(Memory::System, encode_in));
    steps
}

/// Brings pictures into system memory; vapostproc reads and gives either memory.
fn va_download() -> Vec<Step> {
    vec![Step::new("download", "vapostproc"), Step::new("download-caps", "capsfilter").set("caps", "video/x-raw")]
}

fn only_scaling(decode_in: Memory, encode_in: Memory) -> Vec<Step> {
    // The method is `bilinear2`, because plain bilinear aliases beyond 2:1. The element converts nothing of pictures that have our format
    // already; `videoscale` would refuse others, of ten bits or 4:2:2.
    let videoscale = || Step::new("scale", "videoconvertscale").set("method", "bilinear2").set("add-borders", false);
    // The element converts formats as well, which decoded pictures of ten bits need.
    let cudascale = || Step::any("scale", &["cudaconvertscale", "cudascale"]).set_if_there("add-borders", false);
    let vapostproc = || Step::new("scale", "vapostproc").set_if_there("add-borders", false);
    match (decode_in, encode_in) {
        (Memory::System, Memory::System) => vec![videoscale()],
        (Memory::System, Memory::Cuda) => vec![Step::new("upload", "cudaupload"), cudascale()],
        (Memory::Cuda, Memory::Cuda) => vec![cudascale()],
        (Memory::System | Memory::Va, Memory::Va) | (Memory::Va, Memory::System) => vec![vapostproc()],
        (Memory::Cuda, Memory::System) => vec![Step::new("download", "cudadownload"), videoscale()],
        (Memory::Cuda, Memory::Va) => vec![Step::new("download", "cudadownload"), vapostproc()],
        (Memory::Va, Memory::Cuda) => {
            let mut steps = va_download();
            steps.extend([Step::new("upload", "cudaupload"), cudascale()]);
            steps
        }
    }
}

pub(crate) fn has_ten_bits(output: &VideoOutput) -> bool {
    output.picture.profile.as_deref() == Some("main10")
}

/// The caps of the canvas. `colorimetry` is what the decoder states, in caps' words, and is filled in when that is known. Without it SD
/// sizes would be converted to BT.601, pixel by pixel, which costs 20 % and changes the picture.
pub(crate) fn size_caps(output: &VideoOutput, memory: Memory, colorimetry: &str) -> String {
    let format = match (memory, has_ten_bits(output)) {
        (Memory::System, false) => ",format=I420",
        (Memory::System, true) => ",format=I420_10LE",
        (_, false) => ",format=NV12",
        (_, true) => ",format=P010_10LE",
    };
    let features = match memory {
        Memory::System => "",
        Memory::Cuda => "(memory:CUDAMemory)",
        Memory::Va => "(memory:VAMemory)",
    };
    let PictureSettings { width, height, .. } = output.picture;
    format!("video/x-raw{features}{format},width={width},height={height},pixel-aspect-ratio=1/1{colorimetry}")
}

fn encoder(output: &VideoOutput, file: &EncoderFile) -> Step {
    let mut step = Step::new("encode", &file.element);
    let (sets, buffer_ms) = match output.picture.rate_control {
        RateControl::Cbr => (&file.set.cbr, CBR_BUFFER_MS),
        RateControl::Vbr => (&file.set.vbr, VBR_BUFFER_MS),
    };
    for (property, value) in file.set.always.iter().chain(sets) {
        // Only newer versions have `qos` here: it belongs to their base class.
        step = match property.as_str() {
            "qos" => step.set_if_there(property, text(value, output)),
            _ => step.set(property, text(value, output)),
        };
    }
    let (property, value) = file.bitrate_setting(output.picture.bitrate_kbps);
    step = step.set(property, text(&value, output));
    if let Some((property, value)) = file.buffer_setting(output.picture.bitrate_kbps, buffer_ms) {
        step = step.set_if_there(property, text(&value, output));
    }
    let fps = output.fps().map_or(FPS_ASSUMED, Fps::as_f64);
    let gop_frames = (fps * f64::from(output.gop_ms()) / 1000.0).ceil() as u32;
    let (property, value) = file.keyframes_setting(gop_frames);
    step.set(property, text(&value, output))
}

fn text(value: &Value, output: &VideoOutput) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Text(value) => value.replace("{kbit}", &output.picture.bitrate_kbps.to_string()),
    }
}

fn encoded_caps(output: &VideoOutput, file: &EncoderFile) -> String {
    let (media, default) = match output.picture.codec {
        VideoCodec::H265 => ("video/x-h265,stream-format=byte-stream,alignment=au", "main"),
        // The parser states the profile of AV1.
        VideoCodec::Av1 => return "video/x-av1,stream-format=obu-stream,alignment=tu".to_owned(),
        VideoCodec::H264 => ("video/x-h264,stream-format=byte-stream,alignment=au", "high"),
    };
    let wanted = output.picture.profile.as_deref().unwrap_or(default);
    let profile = file.profiles.get(wanted).or_else(|| file.profiles.get("main")).map_or(default, String::as_str);
    format!("{media},profile={profile}")
}

/// The pictures that an encoder is tried with.
pub(crate) fn test_pictures(count: u32, width: u32, height: u32) -> Vec<Step> {
    let caps = format!("video/x-raw,format=I420,width={width},height={height},framerate=30/1,colorimetry=bt709");
    vec![
        Step::new("pictures", "videotestsrc").set("num-buffers", count),
        Step::new("pictures-caps", "capsfilter").set("caps", caps),
    ]
}

/// The steps of one encode of sound, from the tee on.
pub(crate) fn audio_branch(output: &AudioOutput) -> Vec<Step> {
    let bits = u64::from(output.sound.bitrate_kbps) * 1000;
    let encode = Step::new("encode", AudioOutput::element(output.sound.codec)).set("bitrate", bits);
    match output.sound.codec {
        AudioCodec::Aac => vec![queue(QUEUE_SOUNDS), encode],
        // The Opus encoder takes whole numbers only.
        AudioCodec::Opus => vec![queue(QUEUE_SOUNDS), Step::new("whole", "audioconvert"), encode],
    }
}

/// Half a second of sound that an encoder is tried with.
pub(crate) fn test_sound() -> Vec<Step> {
    vec![Step::new("sound", "audiotestsrc").set("num-buffers", 24).set("samplesperbuffer", 1024)]
}

/// The steps as one would write them for gst-launch, which is what people review.
#[cfg(test)]
pub(crate) fn shown(steps: &[Step]) -> String {
    let step = |step: &Step| {
        let set = step.set.iter().map(|setting| {
            let mark = if setting.optional { "?" } else { "" };
            format!(" {}{mark}={}", setting.property, setting.value)
        });
        format!("{}{}", step.factories.join("|"), set.collect::<String>())
    };
    steps.iter().map(step).collect::<Vec<_>>().join("\n  ! ")
}
