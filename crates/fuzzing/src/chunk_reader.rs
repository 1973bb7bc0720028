//! The chunk reader returns the same messages however the bytes are cut, and never more bytes than it was fed.

use weir_rtmp::wire::{ChunkReader, Message, ReadLimits, WireError, decode_all, type_id};

use crate::random::Random;

/// The first byte says how many bytes arrive at a time; the rest is what arrives.
pub fn fuzz_chunk_reader(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else { return };
    let whole = read(data, data.len().max(1));
    let cut = read(data, 1 + usize::from(step));
    assert!(whole == cut, "depends on how the bytes are cut");
    let payload_bytes: usize = whole.0.iter().map(|message| message.payload.len()).sum();
    assert!(payload_bytes <= data.len(), "more bytes out than in");
    for message in &whole.0 {
        if matches!(message.type_id, type_id::COMMAND_AMF0 | type_id::DATA_AMF0) {
            // Whether the payload is refused or not, the decoder must return.
            let _ = decode_all(&message.payload);
        }
    }
}

/// These limits are small enough for a fuzzer's inputs to meet each of them.
fn limits() -> ReadLimits {
    ReadLimits {
        csids_max: 6,
        control_message_bytes_max: 2000,
        media_message_bytes_max: 8000,
        partial_bytes_max: 12_000,
        first_reserve_bytes: 500,
        chunk_size_max: 1 << 24,
    }
}

fn read(data: &[u8], step: usize) -> (Vec<Message>, Result<(), WireError>) {
    let mut reader = ChunkReader::new(limits());
    let mut messages = Vec::new();
    for piece in data.chunks(step) {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, Ok(()))
}

/// Makes the bytes of a sender of several interleaved messages, whose chunks are then lost, repeated or swapped now and then.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut sender = Sender { chunk_size: 128, lanes: Vec::new(), chunks: Vec::new() };
    for _ in 0..1 + random.length(64) {
        sender.step(random);
    }
    if !random.one_in(4) {
        sender.finish();
    }
    let mut chunks = sender.chunks;
    let disturbed = if random.one_in(2) { 0 } else { random.length(4) };
    for _ in 0..disturbed {
        let (a, b) = (random.below(chunks.len()), random.below(chunks.len()));
        match random.below(4) {
            0 => chunks.swap(a, b),
            1 => chunks.insert(a, chunks[b].clone()),
            2 if chunks.len() > 1 => drop(chunks.remove(a)),
            // The chunk gets another type on the same stream, so that the bytes behind it are read as another header.
            _ => chunks[a][0] ^= (1 + random.below(3) as u8) << 6,
        }
    }
    let mut bytes = vec![random.below(256) as u8];
    bytes.extend(chunks.concat());
    bytes
}

/// A sender that follows the rules of the protocol, with all forms of headers, so that disturbing it reaches deep.
struct Sender {
    chunk_size: usize,
    lanes: Vec<Lane>,
    chunks: Vec<Vec<u8>>,
}

/// One chunk stream: its last header, and the rest of the message that was begun with it.
struct Lane {
    csid: u32,
    type_id: u8,
    payload: Vec<u8>,
    sent: usize,
    /// The bytes of an extended timestamp, and those of it that type-3 chunks repeat: all or none.
    extended: Vec<u8>,
    repeated: Vec<u8>,
}

impl Sender {
    /// Begins a message on some chunk stream, or goes on with the one that was begun there.
    fn step(&mut self, random: &mut Random) {
        let csid = random.pick(&[2, 3, 4, 4, 6, 64, 65_599]);
        match self.lanes.iter().position(|lane| lane.csid == csid) {
            Some(lane) if self.lanes[lane].sent < self.lanes[lane].payload.len() => self.go_on(lane),
            Some(lane) => self.begin(lane, random.pick(&[0, 1, 1, 2, 3]), random),
            None => {
                let (extended, repeated) = (Vec::new(), Vec::new());
                self.lanes.push(Lane { csid, type_id: 0, payload: Vec::new(), sent: 0, extended, repeated });
                self.begin(self.lanes.len() - 1, random.pick(&[0, 0, 0, 1]), random);
            }
        }
    }

    fn finish(&mut self) {
        for lane in 0..self.lanes.len() {
            while self.lanes[lane].sent < self.lanes[lane].payload.len() {
                self.go_on(lane);
            }
        }
    }

    fn begin(&mut self, lane: usize, chunk_type: u8, random: &mut Random) {
        let lane_state = &mut self.lanes[lane];
        let (type_id, mut payload) = message(random);
        if chunk_type < 2 {
            lane_state.type_id = type_id;
        } else {
            payload.resize(lane_state.payload.len(), 0);
        }
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        lane_state.payload = payload;
        lane_state.sent = 0;
        let mut chunk = lane_state.basic_header(chunk_type);
        if chunk_type < 3 {
            let (time, extended) = timestamp(random);
            chunk.extend_from_slice(&time);
            lane_state.repeated = if random.one_in(3) { Vec::new() } else { extended.clone() };
            lane_state.extended = extended;
        }
        if chunk_type < 2 {
            chunk.extend_from_slice(&length);
            chunk.push(type_id);
        }
        if chunk_type == 0 {
            chunk.extend_from_slice(&[random.below(3) as u8, 0, 0, 0]);
        }
        chunk.extend_from_slice(if chunk_type < 3 { &lane_state.extended } else { &lane_state.repeated });
        self.send(lane, chunk);
    }

    fn go_on(&mut self, lane: usize) {
        let lane_state = &self.lanes[lane];
        let chunk = [lane_state.basic_header(3), lane_state.repeated.clone()].concat();
        self.send(lane, chunk);
    }

    /// Adds as much payload as a chunk holds.
    fn send(&mut self, lane: usize, mut chunk: Vec<u8>) {
        let lane = &mut self.lanes[lane];
        let end = lane.payload.len().min(lane.sent + self.chunk_size);
        chunk.extend_from_slice(&lane.payload[lane.sent..end]);
        lane.sent = end;
        self.chunks.push(chunk);
        if let (type_id::SET_CHUNK_SIZE, Some(bytes), true) =
            (lane.type_id, lane.payload.first_chunk(), end == lane.payload.len())
        {
            self.chunk_size = (u32::from_be_bytes(*bytes) as usize).clamp(1, 0xFF_FFFF);
        }
    }
}

impl Lane {
    fn basic_header(&self, chunk_type: u8) -> Vec<u8> {
        match self.csid {
            csid @ ..64 => vec![chunk_type << 6 | csid as u8],
            csid @ 64..320 => vec![chunk_type << 6, (csid - 64) as u8],
            csid @ 320.. => vec![chunk_type << 6 | 1, (csid - 64) as u8, ((csid - 64) >> 8) as u8],
        }
    }
}

/// The three bytes of the field, and the four that follow if it is extended.
fn timestamp(random: &mut Random) -> ([u8; 3], Vec<u8>) {
    let timestamp = match random.below(6) {
        0 => random.number() as u32,
        1 => random.pick(&[0xFF_FFFE, 0xFF_FFFF, 0x0100_0000, u32::MAX]),
        _ => random.below(100_000) as u32,
    };
    if timestamp >= 0xFF_FFFF || random.one_in(20) {
        return ([0xFF; 3], timestamp.to_be_bytes().to_vec());
    }
    let [_, field @ ..] = timestamp.to_be_bytes();
    (field, Vec::new())
}

fn message(random: &mut Random) -> (u8, Vec<u8>) {
    let value = |value: u32| value.to_be_bytes().to_vec();
    match random.below(10) {
        0 => {
            let bytes = match random.below(20) {
                0 => random.pick(&[0, 0x8000_0000]),
                _ => random.pick(&[1, 2, 64, 128, 1000, 4096, 65_536, 0xFF_FFFF, 0x7FFF_FFFF]),
            };
            (type_id::SET_CHUNK_SIZE, value(bytes))
        }
        1 => (type_id::ABORT, value(random.pick(&[2, 3, 4, 6, 64, 320]))),
        2 => (type_id::AGGREGATE, aggregate(random)),
        3 | 4 => {
            let mut values = crate::amf0::generate(random);
            values.truncate(2000);
            (random.pick(&[type_id::COMMAND_AMF0, type_id::DATA_AMF0]), values)
        }
        // Values are from 3 up, because a chunk size or an abort made of noise would end most sequences here.
        5 => (3 + random.below(253) as u8, noise(random, 300)),
        _ => (random.pick(&[type_id::AUDIO, type_id::VIDEO]), noise(random, 7000)),
    }
}

fn aggregate(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(5) {
        let body = noise(random, 200);
        let [_, length @ ..] = (body.len() as u32).to_be_bytes();
        bytes.push(random.pick(&[type_id::AUDIO, type_id::VIDEO, type_id::DATA_AMF0, type_id::AGGREGATE]));
        bytes.extend_from_slice(&length);
        bytes.extend(random.bytes(4));
        bytes.extend_from_slice(&[0; 3]);
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
    }
    bytes
}

fn noise(random: &mut Random, bound: usize) -> Vec<u8> {
    let length = random.length(bound);
    let byte = random.below(256) as u8;
    vec![byte; length]
}
