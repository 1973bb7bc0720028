//! The worker's protocol: everything comes back as it went, in pieces of any size; what breaks a rule ends it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: its panics are its report")]

use bytes::{Bytes, BytesMut};
use weir_media::{Codec, MediaTime};
use weir_model::{
    AudioCodec, Fit, LOGO_BYTES_MAX, LogoPlacement, PictureSettings, RateControl, SoundSettings, VideoCodec,
};
use weir_pipeline::{
    AudioOutput, CONFIG_BYTES_MAX, Decoder, FRAME_BYTES_MAX, Hello, Logo, Memory, Message, OutputId, OutputProgress,
    PROTOCOL_VERSION, ProtocolFault, TrackConfig, VideoOutput, WorkerFault, WorkerFrame, WorkerPlan, WorkerProgress,
    encode,
};

fn hello() -> Message {
    Message::Hello(Hello { version: PROTOCOL_VERSION, resume_after: Some(MediaTime::from_millis(-7)) })
}

fn frame(bytes: usize) -> Message {
    Message::Frame(WorkerFrame {
        track: 7,
        dts: MediaTime::from_millis(1),
        pts: MediaTime::from_nanos(-2),
        keyframe: true,
        discontinuity: false,
        payload: Bytes::from(vec![5; bytes]),
    })
}

fn everything() -> Vec<Message> {
    let picture = PictureSettings {
        width: 640,
        height: 360,
        fps: Some(29.97),
        bitrate_kbps: 600,
        codec: VideoCodec::H264,
        gop_seconds: 1.92,
        rate_control: RateControl::Cbr,
        profile: Some("high".to_owned()),
        fit: Fit::Crop,
    };
    let video = VideoOutput { id: OutputId(9), picture, encoder: "x264".to_owned(), device: None, overlaid: true };
    let sound = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Opus, loudness_lufs: Some(-23.0) };
    let audio = AudioOutput { id: OutputId(10), source: 2, sound };
    let output = OutputProgress { id: OutputId(9), frames: 3, bytes: 4, latency_ms: Some(12.5) };
    vec![
        hello(),
        Message::Plan(WorkerPlan { decode_in: Memory::System, video: vec![video], audio: vec![audio] }),
        Message::Logo(None),
        Message::Logo(Some(Logo { placement: LogoPlacement::default(), png: Bytes::from_static(b"PNG") })),
        Message::Track(TrackConfig { track: 1, codec: Codec::Opus, config: Bytes::from_static(b"OpusHead") }),
        Message::Track(TrackConfig { track: 1, codec: Codec::Mp3, config: Bytes::new() }),
        frame(0),
        frame(100_000),
        Message::Progress(WorkerProgress { pictures_in: 1, pictures_decoded: 1, outputs: vec![output] }),
        Message::Fault(WorkerFault { output: None, message: "out of memory".to_owned() }),
        Message::End,
        Message::Keyframe(OutputId(u32::MAX)),
    ]
}

fn written(messages: &[Message]) -> BytesMut {
    let mut out = BytesMut::new();
    for message in messages {
        let payload = encode(message, &mut out).unwrap();
        out.extend_from_slice(&payload);
    }
    out
}

fn read(data: &[u8], step: usize) -> Result<Vec<Message>, ProtocolFault> {
    let (mut decoder, mut messages) = (Decoder::new(), Vec::new());
    for piece in data.chunks(step) {
        decoder.buffer().extend_from_slice(piece);
        while let Some(message) = decoder.next_message()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

#[test]
fn what_goes_in_comes_out() {
    let all = everything();
    let data = written(&all);
    for step in [1, 7, 1000, data.len()] {
        assert_eq!(read(&data, step).unwrap(), all, "in pieces of {step}");
    }
}

#[test]
fn what_is_kept_holds_no_memory_of_others() {
    let track = TrackConfig { track: 1, codec: Codec::Opus, config: Bytes::from_static(b"OpusHead") };
    let data = written(&[hello(), Message::Track(track), frame(500), frame(60_000), frame(3)]);
    let messages = read(&data, data.len()).unwrap();
    let held: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Track(track) => Some(&track.config),
            Message::Frame(frame) => Some(&frame.payload),
            _ => None,
        })
        .map(|bytes| (bytes.len(), bytes.is_unique()))
        .collect();
    assert_eq!(held, [(8, true), (500, true), (60_000, true), (3, true)]);
}

#[test]
fn what_breaks_a_rule_is_told() {
    let greeting = written(&[hello()]);
    let after_greeting = |bytes: &[u8]| [&greeting[..], bytes].concat();
    let mut other_version = greeting.to_vec();
    other_version[12] = 99;
    let mut no_magic = greeting.to_vec();
    no_magic[8] = b'X';
    for (data, expected) in [
        (written(&[frame(1)]).to_vec(), ProtocolFault::Greeting),
        (written(&[hello(), hello()]).to_vec(), ProtocolFault::Greeting),
        (no_magic, ProtocolFault::Greeting),
        (other_version, ProtocolFault::Version(99)),
        (after_greeting(&[0, 0, 0, 0, 99, 0, 0, 0]), ProtocolFault::Kind(99)),
        (after_greeting(&[20, 0, 0, 0, 4, 4, 0, 0]), ProtocolFault::Flags),
        (after_greeting(&[20, 0, 0, 0, 4, 0, 0, 1]), ProtocolFault::Flags),
        (after_greeting(&[255, 255, 255, 255, 4, 0, 0, 0]), ProtocolFault::Length { bytes: u32::MAX as usize }),
        (after_greeting(&[4, 0, 0, 0, 3, 0, 0, 0]), ProtocolFault::Length { bytes: 4 }),
        (after_greeting(&[1, 0, 0, 0, 7, 0, 0, 0]), ProtocolFault::Length { bytes: 1 }),
        (after_greeting(&[1, 0, 0, 0, 8, 0, 0, 0, 0]), ProtocolFault::Length { bytes: 1 }),
        (after_greeting(&[&[25, 0, 0, 0, 8, 0, 0, 0, 4][..], &[0; 24]].concat()), ProtocolFault::Placement),
        (after_greeting(&[&[25, 0, 0, 0, 8, 0, 0, 0, 1][..], &[255; 24]].concat()), ProtocolFault::Placement),
        (after_greeting(&[5, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 99]), ProtocolFault::Codec),
    ] {
        assert_eq!(read(&data, data.len()), Err(expected), "{data:?}");
    }
    let broken = after_greeting(&[2, 0, 0, 0, 2, 0, 0, 0, b'{', b'x']);
    assert!(matches!(read(&broken, broken.len()), Err(ProtocolFault::Json(_))));
}

#[test]
fn limits_hold_when_writing_too() {
    let config = |bytes| TrackConfig { track: 0, codec: Codec::H264, config: Bytes::from(vec![0; bytes]) };
    let mut out = BytesMut::new();
    assert!(encode(&frame(FRAME_BYTES_MAX), &mut out).is_some());
    assert!(encode(&Message::Track(config(CONFIG_BYTES_MAX)), &mut out).is_some());
    let logo = |bytes| Message::Logo(Some(Logo { placement: LogoPlacement::default(), png: vec![0; bytes].into() }));
    assert!(encode(&logo(LOGO_BYTES_MAX), &mut out).is_some());
    let length = out.len();
    assert!(encode(&logo(LOGO_BYTES_MAX + 1), &mut out).is_none());
    assert!(encode(&frame(FRAME_BYTES_MAX + 1), &mut out).is_none());
    assert!(encode(&Message::Track(config(CONFIG_BYTES_MAX + 1)), &mut out).is_none());
    let message = "x".repeat(300_000);
    assert!(encode(&Message::Fault(WorkerFault { output: None, message }), &mut out).is_none());
    assert_eq!(out.len(), length, "what was refused left nothing behind");
}
