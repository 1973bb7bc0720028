//! Measures the chunk reader alone, in MB/s, beside that of rml_rtmp.

use std::time::Instant;

use anyhow::ensure;
use bytes::{Bytes, BytesMut};
use rml_rtmp::chunk_io::ChunkDeserializer;
use serde_json::json;
use weir_rtmp::wire::{ChunkReader, Header, Message, ReadLimits, type_id, write_chunks};

use crate::report::{median, print_table, write};

/// The size of the mean video message of a 4 Mbps stream.
const MESSAGE_BYTES: usize = 16 << 10;
const MESSAGES: usize = 4_096;
const CHUNK_SIZES: [usize; 3] = [128, 4_096, 65_536];
/// The number of bytes that one read of a socket returns.
const READ_BYTES: usize = 64 << 10;
const ROUNDS: usize = 5;

pub(crate) fn run() -> anyhow::Result<()> {
    let (mut figures, mut rows) = (Vec::new(), Vec::new());
    for chunk_size in CHUNK_SIZES {
        let wire = wire(chunk_size);
        let (mut own, mut rml) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(megabytes_per_second(&wire, read_own)?);
            rml.push(megabytes_per_second(&wire, |wire| read_rml(wire, chunk_size))?);
        }
        let (own, rml) = (median(own), median(rml));
        let cells = [chunk_size.to_string(), format!("{own:.0}"), format!("{rml:.0}"), format!("{:.2}", own / rml)];
        rows.push(cells.to_vec());
        figures.push(json!({ "chunk_bytes": chunk_size, "weir_mb_per_s": own, "rml_rtmp_mb_per_s": rml }));
    }
    let head = ["chunk bytes", "weir MB/s", "rml_rtmp MB/s", "weir / rml_rtmp"];
    print_table("Chunk reader: messages of 16 KB, reads of 64 KB", &head, &rows);
    write("chunk-reader", &json!(figures))
}

/// Many video messages as they stand on the wire, behind the message that sets the chunk size.
fn wire(chunk_size: usize) -> Bytes {
    let mut out = BytesMut::new();
    let payload = (chunk_size as u32).to_be_bytes().to_vec().into();
    let message = Message { type_id: type_id::SET_CHUNK_SIZE, stream_id: 0, timestamp_ms: 0, payload };
    write_chunks(&mut out, 2, Header::Full, &message, 128);
    let payload = Bytes::from(vec![0xA5; MESSAGE_BYTES]);
    for number in 0..MESSAGES as u32 {
        let timestamp_ms = number * 33;
        let message = Message { type_id: type_id::VIDEO, stream_id: 1, timestamp_ms, payload: payload.clone() };
        write_chunks(&mut out, 6, Header::Full, &message, chunk_size);
    }
    out.freeze()
}

fn megabytes_per_second(wire: &Bytes, read: impl Fn(&Bytes) -> anyhow::Result<usize>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let messages = read(wire)?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(messages == MESSAGES, "{messages} of {MESSAGES} messages were read");
    Ok(wire.len() as f64 / 1e6 / seconds)
}

fn read_own(wire: &Bytes) -> anyhow::Result<usize> {
    let (mut reader, mut messages) = (ChunkReader::new(ReadLimits::default()), 0);
    for bytes in wire.chunks(READ_BYTES) {
        reader.feed(bytes);
        while let Some(message) = reader.next()? {
            messages += usize::from(message.type_id == type_id::VIDEO);
        }
    }
    Ok(messages)
}

fn read_rml(wire: &Bytes, chunk_size: usize) -> anyhow::Result<usize> {
    let (mut reader, mut messages) = (ChunkDeserializer::new(), 0);
    for bytes in wire.chunks(READ_BYTES) {
        let mut bytes = bytes;
        while let Some(message) = reader.get_next_message(bytes)? {
            bytes = &[];
            if message.type_id == type_id::SET_CHUNK_SIZE {
                reader.set_max_chunk_size(chunk_size)?;
            }
            messages += usize::from(message.type_id == type_id::VIDEO);
        }
    }
    Ok(messages)
}
