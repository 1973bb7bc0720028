//! FLV: tag bodies (legacy and Enhanced) and files. What was read can be written and read again.

use bytes::{Bytes, BytesMut};
use weir_mux::flv::file::{FlvReader, FlvTag};
use weir_mux::flv::{AudioTag, VideoTag, parse_audio, parse_video, write_audio_frame, write_video_frame};

use crate::random::Random;

const VIDEO: u8 = 0;
const AUDIO: u8 = 1;

/// The first byte says what follows: a video body, an audio body, or a file that arrives in pieces.
pub fn fuzz_flv_tag(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    match kind % 3 {
        VIDEO => video(&Bytes::copy_from_slice(data)),
        AUDIO => audio(&Bytes::copy_from_slice(data)),
        _ => file(data, 1 + usize::from(kind)),
    }
}

fn video(body: &Bytes) {
    match parse_video(body) {
        Ok(VideoTag::Frame { codec, keyframe, cts_ms, payload }) => {
            assert!(payload.len() < body.len(), "more bytes out than in");
            let mut out = BytesMut::new();
            assert!(write_video_frame(codec, keyframe, cts_ms, &payload, &mut out).is_ok(), "read, but not writable");
            let again = parse_video(&out.freeze());
            assert!(again == Ok(VideoTag::Frame { codec, keyframe, cts_ms, payload }), "read differently: {again:?}");
        }
        Ok(VideoTag::Config { config, .. }) => assert!(config.len() < body.len(), "more bytes out than in"),
        Ok(_) => {}
        // The text goes into logs and events, so it must be short.
        Err(error) => assert!(error.to_string().len() < 200, "a long error"),
    }
}

fn audio(body: &Bytes) {
    match parse_audio(body) {
        Ok(AudioTag::Frame { codec, payload }) => {
            assert!(payload.len() < body.len(), "more bytes out than in");
            let mut out = BytesMut::new();
            assert!(write_audio_frame(codec, &payload, &mut out).is_ok(), "read, but not writable");
            let again = parse_audio(&out.freeze());
            assert!(again == Ok(AudioTag::Frame { codec, payload }), "read differently: {again:?}");
        }
        Ok(AudioTag::Config { config, .. }) => assert!(config.len() < body.len(), "more bytes out than in"),
        Ok(_) => {}
        Err(error) => assert!(error.to_string().len() < 200, "a long error"),
    }
}

fn file(data: &[u8], step: usize) {
    let whole = tags(data, data.len().max(1));
    assert!(whole == tags(data, step), "depends on how the bytes are cut");
    let bytes: usize = whole.iter().map(|tag| tag.body.len()).sum();
    assert!(bytes <= data.len(), "more bytes out than in");
}

fn tags(data: &[u8], step: usize) -> Vec<FlvTag> {
    let (mut reader, mut tags) = (FlvReader::new(), Vec::new());
    for piece in data.chunks(step) {
        reader.feed(piece);
        loop {
            match reader.next_tag() {
                Ok(Some(tag)) => tags.push(tag),
                Ok(None) => break,
                Err(_) => return tags,
            }
        }
    }
    tags
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let kind = random.below(3) as u8;
    let mut input = vec![kind];
    match kind {
        VIDEO | AUDIO => input.extend(body(kind == VIDEO, random)),
        _ => {
            input.extend_from_slice(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
            for _ in 0..random.below(5) {
                let body = body(true, random);
                let [_, length @ ..] = (body.len() as u32).to_be_bytes();
                input.push(random.pick(&[8, 9, 18, 0, 0x29]));
                input.extend_from_slice(&length);
                input.extend(random.bytes(4));
                input.extend_from_slice(&[0; 3]);
                input.extend_from_slice(&body);
                input.extend_from_slice(&[0; 4]);
            }
        }
    }
    input
}

/// Makes a body of any form: legacy, Enhanced, with ModEx prefixes, with several tracks.
pub(crate) fn body(video: bool, random: &mut Random) -> Vec<u8> {
    let (legacy, enhanced, multitrack): (&[u8], u8, u8) =
        if video { (&[0x17, 0x27, 0x1C, 0x2C, 0x57, 0x12], 0x80, 6) } else { (&[0xAF, 0x2F, 0xE0, 0xB0], 0x90, 5) };
    let mut body = Vec::new();
    if random.one_in(3) {
        body.push(random.pick(legacy));
        body.push(random.below(4) as u8);
    } else {
        let flags = if video { enhanced | random.pick(&[1, 2, 5]) << 4 } else { enhanced };
        let mut packet_type = random.below(8) as u8;
        body.push(flags | packet_type);
        while packet_type == 7 && body.len() < 40 {
            let size = random.length(8);
            body.push(size as u8);
            body.extend(random.bytes(size + 1));
            packet_type = random.below(8) as u8;
            body.push(packet_type);
        }
        if packet_type == multitrack {
            return tracks(body, video, random);
        }
        body.extend_from_slice(&four_cc(video, random));
    }
    let length = random.length(64);
    body.extend(random.bytes(length));
    body
}

fn tracks(mut body: Vec<u8>, video: bool, random: &mut Random) -> Vec<u8> {
    let kind = random.below(3) as u8;
    body.push(kind << 4 | random.below(5) as u8);
    if kind < 2 {
        body.extend_from_slice(&four_cc(video, random));
    }
    for _ in 0..1 + random.below(3) {
        if kind == 2 {
            body.extend_from_slice(&four_cc(video, random));
        }
        body.push(random.below(3) as u8);
        let length = random.length(32);
        if kind > 0 {
            body.extend_from_slice(&[0, 0, length as u8]);
        }
        body.extend(random.bytes(length));
    }
    body
}

fn four_cc(video: bool, random: &mut Random) -> [u8; 4] {
    if video {
        random.pick(&[*b"avc1", *b"hvc1", *b"av01", *b"vp09", *b"\xff\n\0a"])
    } else {
        random.pick(&[*b"Opus", *b"mp4a", *b".mp3", *b"fLaC"])
    }
}
