//! What Weir costs, beside its peers and the floor of the machine: `make bench`, or `weir-benches fanout --rounds 5`.
//!
//! Servers, sinks and publishers are processes of their own: this program starts itself again in those roles.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints a table")]

mod chunk_reader;
mod endurance;
mod fanout;
mod floor;
mod hub;
mod origin;
mod origin_load;
mod packaging;
mod publisher;
mod recovery;
mod report;
mod sink;
mod srt;
mod srt_roles;
mod stamp;
mod system;
mod transcode;
mod webrtc;
mod webrtc_roles;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Everything below, one after the other.
    All,
    /// One stream pushed to many destinations: CPU, latency, memory, start, loss.
    Fanout(fanout::Options),
    /// One stream to many SRT destinations, beside srt-live-transmit.
    Srt(srt::Options),
    /// One stream to many viewers by WebRTC, beside UDP GSO alone.
    Webrtc(webrtc::Options),
    /// How soon a destination that was away is pushed to again.
    Recovery(recovery::Options),
    /// The playback origin beside nginx, 2,000 viewers, and what packaging costs.
    Origin(origin::Options),
    /// What packaging costs, ingest included, with nobody watching.
    Packaging(packaging::Options),
    /// The transcoder beside one ffmpeg with the same x264 settings.
    Transcode(transcode::Options),
    /// The transcoder's worker killed, and started and stopped, again and again.
    Endurance(endurance::Options),
    /// The hub alone: one publisher and 1 to 1,000 cursors.
    Hub,
    /// The chunk reader alone, beside rml_rtmp's.
    ChunkReader,
    #[command(hide = true)]
    OriginBlast { address: SocketAddr, path: String, connections: usize, seconds: u64 },
    #[command(hide = true)]
    OriginView { address: SocketAddr, playlist: String, viewers: usize, seconds: u64 },
    #[command(hide = true)]
    SrtSink { listeners: usize },
    #[command(hide = true)]
    SrtSource { clip: PathBuf, relays: Vec<String> },
    #[command(hide = true)]
    WebrtcView { address: SocketAddr, path: String, viewers: usize },
    #[command(hide = true)]
    WebrtcSink { viewers: usize },
    #[command(hide = true)]
    WebrtcFloor {
        bits_per_second: u64,
        #[arg(value_delimiter = ',')]
        ports: Vec<u16>,
    },
    #[command(hide = true)]
    Sink,
    #[command(hide = true)]
    Publisher { address: SocketAddr, app: String, stream_key: String, clip: PathBuf },
    #[command(hide = true)]
    Floor {
        #[arg(long)]
        coalesced: bool,
        sink: SocketAddr,
        destinations: usize,
        clip: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::All => {
            chunk_reader::run()?;
            hub::run()?;
            recovery::run(&recovery::Options::parse_from([""]))?;
            origin::run(&origin::Options::parse_from([""]))?;
            transcode::run(&transcode::Options::parse_from([""]))?;
            endurance::run(&endurance::Options::parse_from([""]))?;
            srt::run(&srt::Options::parse_from([""]))?;
            webrtc::run(&webrtc::Options::parse_from([""]))?;
            fanout::run(&fanout::Options::parse_from([""]))
        }
        Bench::Fanout(options) => fanout::run(&options),
        Bench::Recovery(options) => recovery::run(&options),
        Bench::Packaging(options) => packaging::run(&options),
        Bench::Transcode(options) => transcode::run(&options),
        Bench::Endurance(options) => endurance::run(&options),
        Bench::Hub => hub::run(),
        Bench::ChunkReader => chunk_reader::run(),
        Bench::Origin(options) => origin::run(&options),
        Bench::OriginBlast { address, path, connections, seconds } => {
            origin_load::blast(address, &path, connections, seconds)
        }
        Bench::OriginView { address, playlist, viewers, seconds } => {
            origin_load::view(address, &playlist, viewers, seconds)
        }
        Bench::Srt(options) => srt::run(&options),
        Bench::SrtSink { listeners } => srt_roles::sink(listeners),
        Bench::SrtSource { clip, relays } => srt_roles::source(&clip, &relays),
        Bench::Webrtc(options) => webrtc::run(&options),
        Bench::WebrtcView { address, path, viewers } => webrtc_roles::view(address, &path, viewers),
        Bench::WebrtcSink { viewers } => webrtc_roles::sink(viewers),
        Bench::WebrtcFloor { bits_per_second, ports } => webrtc_roles::floor(bits_per_second, &ports),
        Bench::Sink => sink::run(),
        Bench::Publisher { address, app, stream_key, clip } => publisher::run(address, &app, &stream_key, &clip),
        Bench::Floor { sink, destinations, coalesced, clip } => floor::run(sink, destinations, coalesced, &clip),
    }
}
