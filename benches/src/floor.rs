//! The floor: one thread that writes the same bytes to the same number of sockets and does nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bytes::BytesMut;
use weir_mux::flv::file::FlvTagKind;
use weir_rtmp::wire::{Header, Message, type_id, write_chunks};
use weir_testkit::Publisher;
use weir_testkit::destination::is_video_frame;
use weir_testkit::flv::read_flv;
use weir_testkit::publisher::looped;

use crate::stamp;

/// The chunk size with which Weir pushes.
const CHUNK_BYTES: usize = 65_536;

/// Makes one write per message and socket, or (`coalesced`) one per video frame with the audio before it.
pub(crate) fn run(sink: SocketAddr, destinations: usize, coalesced: bool, clip: &Path) -> anyhow::Result<()> {
    let clip = read_flv(clip);
    let mut publishers = Vec::with_capacity(destinations);
    for number in 0..destinations {
        let mut publisher = Publisher::publish(&sink.to_string(), "app", &format!("d{number}"))
            .map_err(|status| anyhow!("the sink refused: {status:?}"))?;
        let mut chunk_size = BytesMut::new();
        let payload = (CHUNK_BYTES as u32).to_be_bytes().to_vec().into();
        let message = Message { type_id: type_id::SET_CHUNK_SIZE, stream_id: 0, timestamp_ms: 0, payload };
        write_chunks(&mut chunk_size, 2, Header::Full, &message, CHUNK_BYTES);
        publisher.send_raw(&chunk_size)?;
        publishers.push(publisher);
    }
    println!("{}", stamp::now_ns());

    let start = Instant::now();
    let (mut number, mut out) = (0, BytesMut::new());
    for (at_ms, tag) in looped(&clip) {
        thread::sleep((start + Duration::from_millis(at_ms)).saturating_duration_since(Instant::now()));
        let tag = stamp::stamped(tag, number);
        number += u64::from(is_video_frame(&tag));
        let (type_id, csid) = match tag.kind {
            FlvTagKind::Audio => (type_id::AUDIO, 4),
            FlvTagKind::Video => (type_id::VIDEO, 5),
            FlvTagKind::Script => continue,
        };
        let message = Message { type_id, stream_id: 1, timestamp_ms: at_ms as u32, payload: tag.body };
        write_chunks(&mut out, csid, Header::Full, &message, CHUNK_BYTES);
        if !coalesced || type_id == type_id::VIDEO {
            publishers.iter_mut().try_for_each(|publisher| publisher.send_raw(&out))?;
            out.clear();
        }
    }
    Ok(())
}
