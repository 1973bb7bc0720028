//! The fuzz targets: one plain function per parser of outside bytes, which cargo-fuzz runs and, without nightly, this crate.
//!
//! A new target is a module with `pub fn fuzz_<name>(data: &[u8])`, a line in [`TARGETS`], the three-line file
//! `fuzz/fuzz_targets/<name>.rs` with its `[[bin]]`, and some inputs in `fuzz/seeds/<name>/`. `tests/short.rs` says which of them is
//! missing.

mod amf0;
mod broadcast;
mod captions;
mod chunk_reader;
mod codec_config;
mod config_document;
mod flv_tag;
mod forwarded;
mod handshake;
mod hls_playlist;
mod http_chunks;
mod logo_png;
mod mutate;
mod play_head;
mod play_request;
mod proxy_header;
mod random;
mod rtmp_url;
mod rtp_pictures;
mod rtp_sequence;
mod run;
mod scte35;
mod server_protocol;
mod srt_stream_id;
mod to_frames;
mod ts_reader;
mod webrtc_datagram;
mod webrtc_offer;
mod webrtc_packets;
mod webrtcbin_process;
mod worker_protocol;

pub use amf0::fuzz_amf0;
pub use captions::fuzz_captions;
pub use chunk_reader::fuzz_chunk_reader;
pub use codec_config::fuzz_codec_config;
pub use config_document::fuzz_config_document;
pub use flv_tag::fuzz_flv_tag;
pub use forwarded::fuzz_forwarded;
pub use handshake::fuzz_handshake;
pub use hls_playlist::fuzz_hls_playlist;
pub use http_chunks::fuzz_http_chunks;
pub use logo_png::fuzz_logo_png;
pub use play_head::fuzz_play_head;
pub use play_request::fuzz_play_request;
pub use proxy_header::fuzz_proxy_header;
pub use random::Random;
pub use rtmp_url::fuzz_rtmp_url;
pub use rtp_pictures::fuzz_rtp_pictures;
pub use rtp_sequence::fuzz_rtp_sequence;
pub use run::{Failure, Run, hex, seeds};
pub use scte35::fuzz_scte35;
pub use server_protocol::fuzz_server_protocol;
pub use srt_stream_id::fuzz_srt_stream_id;
pub use to_frames::fuzz_to_frames;
pub use ts_reader::fuzz_ts_reader;
pub use webrtc_datagram::fuzz_webrtc_datagram;
pub use webrtc_offer::fuzz_webrtc_offer;
pub use webrtc_packets::fuzz_webrtc_packets;
pub use webrtcbin_process::fuzz_webrtcbin_process;
pub use worker_protocol::fuzz_worker_protocol;

/// One parser and how to try it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, which is also that of its files under `fuzz/`.
    pub name: &'static str,
    /// The body takes any bytes. A panic is a finding.
    pub body: fn(&[u8]),
    /// Makes an input with the structure that random bytes do not have. `None` means that mutated seeds are enough.
    pub generate: Option<fn(&mut Random) -> Vec<u8>>,
    /// The number of inputs of the short run, which takes about a second without optimisation.
    pub short_inputs: u64,
}

pub const TARGETS: &[Target] = &[
    Target { name: "amf0", body: fuzz_amf0, generate: Some(amf0::generate), short_inputs: 100_000 },
    Target { name: "captions", body: fuzz_captions, generate: Some(captions::generate), short_inputs: 50_000 },
    Target {
        name: "chunk_reader",
        body: fuzz_chunk_reader,
        generate: Some(chunk_reader::generate),
        short_inputs: 15_000,
    },
    Target {
        name: "codec_config",
        body: fuzz_codec_config,
        generate: Some(codec_config::generate),
        short_inputs: 40_000,
    },
    Target { name: "config_document", body: fuzz_config_document, generate: None, short_inputs: 10_000 },
    Target { name: "flv_tag", body: fuzz_flv_tag, generate: Some(flv_tag::generate), short_inputs: 100_000 },
    Target { name: "forwarded", body: fuzz_forwarded, generate: Some(forwarded::generate), short_inputs: 50_000 },
    Target { name: "handshake", body: fuzz_handshake, generate: Some(handshake::generate), short_inputs: 8_000 },
    Target {
        name: "hls_playlist",
        body: fuzz_hls_playlist,
        generate: Some(hls_playlist::generate),
        short_inputs: 50_000,
    },
    Target { name: "http_chunks", body: fuzz_http_chunks, generate: Some(http_chunks::generate), short_inputs: 30_000 },
    Target { name: "logo_png", body: fuzz_logo_png, generate: Some(logo_png::generate), short_inputs: 3_000 },
    Target { name: "play_head", body: fuzz_play_head, generate: Some(play_head::generate), short_inputs: 100_000 },
    Target {
        name: "play_request",
        body: fuzz_play_request,
        generate: Some(play_request::generate),
        short_inputs: 100_000,
    },
    Target {
        name: "proxy_header",
        body: fuzz_proxy_header,
        generate: Some(proxy_header::generate),
        short_inputs: 50_000,
    },
    Target { name: "rtmp_url", body: fuzz_rtmp_url, generate: Some(rtmp_url::generate), short_inputs: 100_000 },
    Target {
        name: "rtp_pictures",
        body: fuzz_rtp_pictures,
        generate: Some(rtp_pictures::generate),
        short_inputs: 30_000,
    },
    Target {
        name: "rtp_sequence",
        body: fuzz_rtp_sequence,
        generate: Some(rtp_sequence::generate),
        short_inputs: 10_000,
    },
    Target {
        name: "server_protocol",
        body: fuzz_server_protocol,
        generate: Some(server_protocol::generate),
        short_inputs: 5_000,
    },
    Target { name: "scte35", body: fuzz_scte35, generate: Some(scte35::generate), short_inputs: 100_000 },
    Target {
        name: "srt_stream_id",
        body: fuzz_srt_stream_id,
        generate: Some(srt_stream_id::generate),
        short_inputs: 100_000,
    },
    Target { name: "to_frames", body: fuzz_to_frames, generate: Some(to_frames::generate), short_inputs: 30_000 },
    Target { name: "ts_reader", body: fuzz_ts_reader, generate: Some(ts_reader::generate), short_inputs: 2_000 },
    Target {
        name: "webrtc_datagram",
        body: fuzz_webrtc_datagram,
        generate: Some(webrtc_datagram::generate),
        short_inputs: 500,
    },
    Target {
        name: "webrtc_offer",
        body: fuzz_webrtc_offer,
        generate: Some(webrtc_offer::generate),
        short_inputs: 15_000,
    },
    Target {
        name: "webrtc_packets",
        body: fuzz_webrtc_packets,
        generate: Some(webrtc_packets::generate),
        short_inputs: 20_000,
    },
    Target {
        name: "webrtcbin_process",
        body: fuzz_webrtcbin_process,
        generate: Some(webrtcbin_process::generate),
        short_inputs: 30_000,
    },
    Target {
        name: "worker_protocol",
        body: fuzz_worker_protocol,
        generate: Some(worker_protocol::generate),
        short_inputs: 20_000,
    },
];
