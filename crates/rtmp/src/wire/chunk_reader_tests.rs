//! The chunk reader against everything that peers were found to do in the RTMP report.

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::{Header, write_chunks};
use super::*;

fn message(type_id: u8, timestamp_ms: u32, payload: impl Into<Bytes>) -> Message {
    Message { type_id, stream_id: 1, timestamp_ms, payload: payload.into() }
}

/// A payload in which every position differs from its neighbours.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index ^ (index >> 8)) as u8).collect()
}

fn chunked(csid: u32, message: &Message, chunk_size: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_chunks(&mut out, csid, Header::Full, message, chunk_size);
    out.to_vec()
}

/// A chunk header of type 0 on a one-byte chunk stream.
fn full(csid: u8, timestamp: u32, length: usize, type_id: u8) -> Vec<u8> {
    let [_, time @ ..] = timestamp.to_be_bytes();
    let [_, size @ ..] = (length as u32).to_be_bytes();
    [&[csid], &time[..], &size[..], &[type_id, 1, 0, 0, 0]].concat()
}

/// A chunk header of type 1.
fn delta(csid: u8, delta: u32, length: usize, type_id: u8) -> Vec<u8> {
    let [_, time @ ..] = delta.to_be_bytes();
    let [_, size @ ..] = (length as u32).to_be_bytes();
    [&[0x40 | csid], &time[..], &size[..], &[type_id]].concat()
}

fn control(type_id: u8, value: u32) -> Vec<u8> {
    [full(2, 0, 4, type_id), value.to_be_bytes().to_vec()].concat()
}

/// Feeds all of `bytes` in pieces of `step` and gathers the messages, until the first error.
fn read_in(reader: &mut ChunkReader, bytes: &[u8], step: usize) -> (Vec<Message>, Result<(), WireError>) {
    let mut messages = Vec::new();
    for piece in bytes.chunks(step) {
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

fn read_with(limits: ReadLimits, bytes: &[u8]) -> (Vec<Message>, Result<(), WireError>) {
    read_in(&mut ChunkReader::new(limits), bytes, 4096)
}

/// Reads `bytes` whole and byte by byte; both must give the same.
fn read(bytes: &[u8]) -> Vec<Message> {
    let mut reader = ChunkReader::new(ReadLimits::default());
    let (messages, outcome) = read_in(&mut reader, bytes, usize::MAX);
    assert_eq!(outcome, Ok(()));
    assert_eq!(reader.received_bytes(), bytes.len() as u64);
    let dribbled = read_in(&mut ChunkReader::new(ReadLimits::default()), bytes, 1);
    assert_eq!(dribbled, (messages.clone(), Ok(())), "byte by byte");
    messages
}

fn refused(bytes: &[u8]) -> WireError {
    let mut reader = ChunkReader::new(ReadLimits::default());
    let error = read_in(&mut reader, bytes, 4096).1.expect_err("must be refused");
    reader.feed(&[0; 64]);
    assert_eq!(reader.next(), Err(error), "an error stays");
    assert_eq!(reader.partial_bytes, 0, "and frees what was held");
    error
}

/// Memory reserved for unfinished messages.
fn held(reader: &ChunkReader) -> usize {
    reader.streams.iter().map(|stream| stream.partial.capacity()).sum()
}

fn times(messages: &[Message]) -> Vec<u32> {
    messages.iter().map(|message| message.timestamp_ms).collect()
}

#[test]
fn every_chunk_type_inherits_what_it_leaves_out() {
    let bytes = [
        full(4, 1000, 2, 9),
        b"ab".to_vec(),
        delta(4, 20, 1, 8),
        b"c".to_vec(),
        vec![0x84, 0, 0, 30, b'd'], // Type 2 brings another difference.
        vec![0xC4, b'e'],           // Type 3 repeats the difference.
        vec![0xC4, b'f'],
    ]
    .concat();
    let expected = [(9, 1000, "ab"), (8, 1020, "c"), (8, 1050, "d"), (8, 1080, "e"), (8, 1110, "f")]
        .map(|(type_id, timestamp_ms, payload)| message(type_id, timestamp_ms, payload));
    assert_eq!(read(&bytes), expected);
}

#[test]
fn type_3_after_type_0_adds_the_time_of_type_0() {
    // Section 5.3.1.2.4 says so, and ffmpeg and rml_rtmp write this when the first difference equals the first time.
    let bytes = [full(4, 20, 1, 9), b"a".to_vec(), vec![0xC4, b'b'], vec![0xC4, b'c']].concat();
    assert_eq!(times(&read(&bytes)), [20, 40, 60]);
}

#[test]
fn interleaved_chunk_streams_keep_apart() {
    // An audio message lies inside a video message, which panics a reader with one buffer for all streams.
    let (video, audio) = (message(9, 40, pattern(300)), message(8, 41, pattern(200)));
    let (v, a) = (chunked(4, &video, 128), chunked(5, &audio, 128));
    let bytes = [&v[..140], &a[..140], &v[140..269], &a[140..], &v[269..]].concat();
    assert_eq!(read(&bytes), [audio, video]);
}

#[test]
fn zero_length_messages_are_messages() {
    let bytes = [full(4, 7, 0, 9), full(4, 8, 0, 8), vec![0xC4], vec![0xC4]].concat();
    let messages = read(&bytes);
    assert_eq!(times(&messages), [7, 8, 16, 24]);
    assert!(messages.iter().all(|message| message.payload.is_empty()));
}

#[test]
fn abort_drops_the_unfinished_message_of_that_stream_only() {
    let video = chunked(4, &message(9, 40, pattern(300)), 128);
    let audio = message(8, 41, pattern(200));
    let a = chunked(5, &audio, 128);
    let next = message(9, 80, pattern(5));
    let bytes = [&video[..140], &a[..140], &control(type_id::ABORT, 4), &a[140..], &chunked(4, &next, 128)].concat();
    assert_eq!(read(&bytes), [audio, next]);
}

#[test]
fn abort_of_an_unknown_or_idle_stream_does_nothing() {
    let audio = message(8, 1, pattern(3));
    let bytes = [control(type_id::ABORT, 77), chunked(5, &audio, 128), control(type_id::ABORT, 5)].concat();
    assert_eq!(read(&[bytes, control(type_id::ABORT, 2)].concat()), [audio]);
}

#[test]
fn after_abort_type_3_begins_a_message() {
    let video = chunked(4, &message(9, 40, pattern(200)), 128);
    let payload = pattern(200);
    let bytes =
        [&video[..140], &control(type_id::ABORT, 4), &[&[0xC4], &payload[..128], &[0xC4], &payload[128..]].concat()]
            .concat();
    assert_eq!(read(&bytes), [message(9, 80, payload)]);
}

#[test]
fn a_chunk_size_set_inside_a_message_counts_from_its_next_chunk() {
    let payload = pattern(1000);
    let bytes = [
        full(4, 40, 1000, 9),
        payload[..128].to_vec(),
        control(type_id::SET_CHUNK_SIZE, 500),
        vec![0xC4],
        payload[128..628].to_vec(),
        control(type_id::SET_CHUNK_SIZE, 300),
        vec![0xC4],
        payload[628..928].to_vec(),
        vec![0xC4],
        payload[928..].to_vec(),
    ]
    .concat();
    assert_eq!(read(&bytes), [message(9, 40, payload)]);
}

#[test]
fn chunk_sizes_from_1_to_the_largest_are_taken() {
    let small = [control(type_id::SET_CHUNK_SIZE, 1), chunked(4, &message(9, 1, pattern(10)), 1)].concat();
    assert_eq!(read(&small), [message(9, 1, pattern(10))]);
    for size in [0xFF_FFFF, 1 << 24, i32::MAX as u32] {
        let whole = message(9, 1, pattern(100_000));
        assert_eq!(read(&[control(type_id::SET_CHUNK_SIZE, size), chunked(4, &whole, 1 << 24)].concat()), [whole]);
    }
}

#[test]
fn chunk_sizes_that_cannot_be_are_refused() {
    for bytes in [0, 0x8000_0000, 0x8000_1000, u32::MAX] {
        let expected = WireError::ChunkSize { bytes, max: ReadLimits::CHUNK_SIZE_MAX };
        assert_eq!(refused(&control(type_id::SET_CHUNK_SIZE, bytes)), expected);
    }
    let limits = ReadLimits { chunk_size_max: 4096, ..ReadLimits::default() };
    assert_eq!(read_with(limits.clone(), &control(type_id::SET_CHUNK_SIZE, 4096)).1, Ok(()));
    let expected = Err(WireError::ChunkSize { bytes: 4097, max: 4096 });
    assert_eq!(read_with(limits, &control(type_id::SET_CHUNK_SIZE, 4097)).1, expected);
}

#[test]
fn control_messages_too_short_to_read_are_refused() {
    for type_id in [type_id::SET_CHUNK_SIZE, type_id::ABORT] {
        for length in 0..4 {
            let bytes = [full(2, 0, length, type_id), vec![0; length]].concat();
            assert_eq!(refused(&bytes), WireError::ControlMessageTooShort { type_id, length });
        }
    }
}

#[test]
fn extended_timestamps_with_and_without_repetition() {
    for timestamp_ms in [0xFF_FFFF, 0x0100_0000, 0xC1C2_C3C4, u32::MAX] {
        let sent = message(9, timestamp_ms, pattern(300));
        let repeated = chunked(4, &sent, 128);
        let mut once = repeated.clone();
        once.drain(278..282); // These stand before the third chunk's payload.
        once.drain(145..149); // These stand before the second's.
        assert_eq!(once.len() + 8, repeated.len());
        let next = chunked(5, &message(8, 3, pattern(10)), 128);
        for (name, bytes) in [("repeated", repeated), ("once", once)] {
            let messages = read(&[bytes, next.clone()].concat());
            assert_eq!(messages, [sent.clone(), message(8, 3, pattern(10))], "{timestamp_ms:#x} {name}");
        }
    }
}

#[test]
fn a_short_last_chunk_without_repetition_is_not_waited_for() {
    // The last chunk has 2 bytes, fewer than a timestamp. They differ from it, which is enough to know.
    let mut bytes = chunked(4, &message(9, 0x0100_0000, pattern(130)), 128);
    bytes.drain(145..149);
    assert_eq!(read(&bytes), [message(9, 0x0100_0000, pattern(130))]);
}

#[test]
fn extended_timestamps_carry_over_to_messages_begun_by_type_3() {
    let extended = 0x0100_0000_u32.to_be_bytes();
    for repeated in [&extended[..], &[]] {
        let first = [&full(4, 0xFF_FFFF, 1, 9)[..], &extended, b"a"].concat();
        let by_delta = [&delta(4, 0xFF_FFFF, 1, 9)[..], &extended, b"b"].concat();
        let bytes = [&first[..], &by_delta, &[0xC4], repeated, b"c"].concat();
        assert_eq!(times(&read(&bytes)), [0x0100_0000, 0x0200_0000, 0x0300_0000]);
    }
}

#[test]
fn an_extended_difference_may_be_small() {
    let bytes = [&full(4, 100, 1, 9)[..], b"a", &delta(4, 0xFF_FFFF, 1, 9), &[0, 0, 0, 5], b"b"].concat();
    assert_eq!(times(&read(&bytes)), [100, 105]);
}

#[test]
fn times_wrap_over_32_bits() {
    let first = [&full(4, 0xFF_FFFF, 1, 9)[..], &[0xFF, 0xFF, 0xFF, 0xF0], b"a"].concat();
    let bytes = [&first[..], &delta(4, 0x20, 1, 9), b"b", &[0xC4], b"c"].concat();
    assert_eq!(times(&read(&bytes)), [0xFFFF_FFF0, 0x10, 0x30]);
}

#[test]
fn every_form_of_chunk_stream_id_is_read() {
    for csid in [3, 63, 64, 319, 320, 65_599] {
        let sent = message(9, 5, pattern(300));
        assert_eq!(read(&chunked(csid, &sent, 128)), [sent], "csid {csid}");
    }
}

#[test]
fn a_fresh_stream_may_open_with_type_1_but_not_2_or_3() {
    // librtmp pings like this. There is no message before it, so time and stream id count from 0.
    let ping = [delta(2, 0, 6, type_id::USER_CONTROL), vec![0, 6, 0, 0, 0, 1]].concat();
    let messages = read(&ping);
    assert_eq!((messages[0].type_id, messages[0].stream_id, messages[0].timestamp_ms), (4, 0, 0));
    for (byte, chunk_type) in [(0x84, 2), (0xC4, 3)] {
        let expected = WireError::ChunkStreamWithoutHeader { csid: 4, chunk_type };
        assert_eq!(refused(&[byte, 0, 0, 0, 0]), expected);
    }
}

#[test]
fn a_repeated_header_inside_a_message_continues_it() {
    let payload = pattern(300);
    let header = full(4, 40, 300, 9);
    let bytes = [&header[..], &payload[..128], &header, &payload[128..256], &header, &payload[256..]].concat();
    assert_eq!(read(&bytes), [message(9, 40, payload)]);
}

#[test]
fn another_message_inside_a_message_is_refused() {
    let begun = [full(4, 40, 300, 9), pattern(128)].concat();
    for other in [full(4, 40, 299, 9), full(4, 40, 300, 8), delta(4, 0, 10, 9)] {
        let expected = WireError::HeaderInsideMessage { csid: 4 };
        assert_eq!(refused(&[begun.clone(), other].concat()), expected);
    }
}

#[test]
fn message_lengths_are_limited_by_type_at_the_header() {
    let limits = ReadLimits::default();
    for type_id in 0..=255 {
        let max = match type_id {
            type_id::AUDIO | type_id::VIDEO | type_id::AGGREGATE => 12 << 20,
            _ => 64 << 10,
        };
        assert_eq!(read_with(limits.clone(), &full(3, 0, max, type_id)).1, Ok(()));
        let expected = WireError::MessageTooLong { type_id, length: max + 1, max };
        assert_eq!(refused(&full(3, 0, max + 1, type_id)), expected);
        assert_eq!(refused(&delta(3, 0, max + 1, type_id)), expected);
    }
}

#[test]
fn the_largest_message_is_read() {
    let sent = message(9, 0, pattern(ReadLimits::MEDIA_MESSAGE_BYTES_MAX));
    let bytes = [control(type_id::SET_CHUNK_SIZE, 65_536), chunked(4, &sent, 65_536)].concat();
    let mut reader = ChunkReader::new(ReadLimits::default());
    assert!(read_in(&mut reader, &bytes, 65_536) == (vec![sent], Ok(())));
    assert_eq!(reader.partial_bytes, 0);
}

#[test]
fn the_number_of_chunk_streams_is_limited() {
    let flood = |count: u32| -> Vec<u8> {
        (0..count).flat_map(|index| chunked(3 + index * 100, &message(8, 0, pattern(1)), 128)).collect()
    };
    assert_eq!(read(&flood(32)).len(), 32);
    assert_eq!(refused(&flood(33)), WireError::TooManyChunkStreams { max: ReadLimits::CSIDS_MAX });
    // A type-3 chunk on an unknown stream opens none, so it can't flood either.
    let limits = ReadLimits { csids_max: 1, ..ReadLimits::default() };
    assert_eq!(read_with(limits, &flood(2)).1, Err(WireError::TooManyChunkStreams { max: 1 }));
}

#[test]
fn one_budget_bounds_what_all_unfinished_messages_hold() {
    // Two messages of 10 MiB each, both legal, cannot be unfinished at once.
    let mut reader = ChunkReader::new(ReadLimits::default());
    let set = control(type_id::SET_CHUNK_SIZE, 1 << 20);
    assert_eq!(read_in(&mut reader, &set, 4096).1, Ok(()));
    let mut outcome = Ok(());
    for round in 0..9 {
        for csid in [4, 5] {
            let header = if round == 0 { full(csid, 0, 10 << 20, 9) } else { vec![0xC0 | csid] };
            outcome = outcome.and(read_in(&mut reader, &header, 4096).1);
            outcome = outcome.and(read_in(&mut reader, &vec![0; 1 << 20], 65_536).1);
            assert!(held(&reader) <= 2 * ReadLimits::PARTIAL_BYTES_MAX);
        }
    }
    assert_eq!(outcome, Err(WireError::TooManyPartialBytes { max: 16 << 20 }));
    assert_eq!(reader.partial_bytes, 0);
}

#[test]
fn a_declared_length_reserves_nothing() {
    let mut reader = ChunkReader::new(ReadLimits::default());
    for csid in 3..35 {
        let begun = [full(csid, 0, ReadLimits::MEDIA_MESSAGE_BYTES_MAX, 9), pattern(128)].concat();
        assert_eq!(read_in(&mut reader, &begun, 4096).1, Ok(()));
    }
    assert_eq!(reader.partial_bytes, 32 * 128);
    assert_eq!(held(&reader), 32 * 128);
}

#[test]
fn memory_never_runs_ahead_of_what_was_received() {
    let mut reader = ChunkReader::new(ReadLimits::default());
    let set = control(type_id::SET_CHUNK_SIZE, 1 << 24);
    assert_eq!(read_in(&mut reader, &[set, full(4, 0, 12 << 20, 9)].concat(), 4096).1, Ok(()));
    let mut received = 0;
    for _ in 0..(12 << 20) / 4096 - 1 {
        assert_eq!(read_in(&mut reader, &[7; 4096], 1000), (Vec::new(), Ok(())));
        received += 4096;
        assert!(held(&reader) <= 2 * received, "{} for {received}", held(&reader));
    }
    assert!(reader.buffer.capacity() < 16 << 10, "payload does not pile up unread");
}

#[test]
fn a_payload_occupies_no_more_than_its_length() {
    let sent = message(9, 0, pattern(100_000));
    let (messages, _) = read_with(ReadLimits::default(), &chunked(4, &sent, 128));
    let payload: BytesMut = messages[0].payload.clone().into();
    assert_eq!(payload.capacity(), 100_000);
}

#[test]
fn aggregates_are_split_and_what_follows_is_read() {
    let tag = |type_id: u8, timestamp: u8, byte: u8| [type_id, 0, 0, 1, 0, 0, timestamp, 0, 0, 0, 0, byte, 0, 0, 0, 12];
    let aggregate = message(type_id::AGGREGATE, 1000, [tag(8, 10, b'a'), tag(9, 30, b'b')].concat());
    let bytes = [chunked(4, &aggregate, 128), chunked(5, &message(8, 1050, "c"), 128)].concat();
    assert_eq!(read(&bytes), [message(8, 1000, "a"), message(9, 1020, "b"), message(8, 1050, "c")]);
    assert_eq!(refused(&chunked(4, &message(type_id::AGGREGATE, 0, pattern(40)), 128)), WireError::AggregateMalformed);
}

#[test]
fn unknown_message_types_are_handed_on() {
    let sent = message(0x7F, 1, pattern(10));
    assert_eq!(read(&chunked(3, &sent, 128)), [sent]);
}

#[test]
fn debug_output_shows_no_payload() {
    let mut reader = ChunkReader::new(ReadLimits::default());
    reader.feed(&[full(3, 0, 100, type_id::COMMAND_AMF0), b"secret".to_vec()].concat());
    assert_eq!(reader.next(), Ok(None));
    let shown = format!("{reader:?}");
    assert!(shown.contains("partial_bytes: 6"), "{shown}");
}

/// One message of the round trip: its chunk stream, how far its time is from the one before, and its payload.
fn items() -> impl Strategy<Value = (usize, u32, Vec<u8>)> {
    let step_ms = prop_oneof![0u32..100, Just(0xFF_FFFF), any::<u32>()];
    let length = prop_oneof![0usize..10, 0usize..700, 120usize..140, Just(5000)];
    (0usize..4, step_ms, length.prop_map(pattern))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// There are four chunk streams, each with its own messages, whose chunks come in any order and are cut anywhere.
    #[test]
    fn what_is_written_is_read(
        items in prop::collection::vec(items(), 1..24),
        chunk_size in prop_oneof![1usize..20, Just(128), 1usize..6000],
        order in prop::collection::vec(0usize..4, 64),
        step in prop_oneof![1usize..20, Just(4096), 1usize..3000],
    ) {
        const CSIDS: [u32; 4] = [3, 63, 300, 65_000];
        let mut expected: [Vec<Message>; 4] = Default::default();
        let mut chunks: [std::collections::VecDeque<Vec<u8>>; 4] = Default::default();
        for (stream, step_ms, payload) in items {
            let previous = expected[stream].last().map(|message| message.timestamp_ms);
            let sent = Message {
                type_id: if payload.len() % 2 == 0 { 9 } else { 8 },
                stream_id: stream as u32,
                timestamp_ms: previous.unwrap_or(0).wrapping_add(step_ms),
                payload: payload.into(),
            };
            let header = previous.map_or(Header::Full, |previous_timestamp_ms| Header::Delta { previous_timestamp_ms });
            let mut out = BytesMut::new();
            write_chunks(&mut out, CSIDS[stream], header, &sent, chunk_size);
            // The message is cut into its chunks from the back, because only the first one's header varies in length.
            let mut whole = out.to_vec();
            let count = sent.payload.len().div_ceil(chunk_size).max(1);
            let mut pieces = Vec::new();
            let basic = BasicHeader::write(3, CSIDS[stream]).1;
            let extended = match whole[basic..basic + 3] { [0xFF, 0xFF, 0xFF] => 4, _ => 0 };
            for index in (1..count).rev() {
                let payload = sent.payload.len().min((index + 1) * chunk_size) - index * chunk_size;
                pieces.push(whole.split_off(whole.len() - payload - basic - extended));
            }
            pieces.push(whole);
            chunks[stream].extend(pieces.into_iter().rev());
            expected[stream].push(sent);
        }
        let mut bytes = control(type_id::SET_CHUNK_SIZE, chunk_size as u32);
        for stream in order.into_iter().chain(0..4) {
            bytes.extend(chunks[stream].pop_front().unwrap_or_default());
        }
        bytes.extend(chunks.into_iter().flatten().flatten());
        let mut reader = ChunkReader::new(ReadLimits::default());
        let (messages, outcome) = read_in(&mut reader, &bytes, step);
        prop_assert_eq!(outcome, Ok(()));
        for (stream, expected) in expected.into_iter().enumerate() {
            let read: Vec<Message> =
                messages.iter().filter(|message| message.stream_id == stream as u32).cloned().collect();
            prop_assert!(read == expected, "stream {}: {:?} for {:?}", stream, read, expected);
        }
        prop_assert_eq!(reader.partial_bytes, 0);
    }

    #[test]
    fn random_bytes_are_read_or_refused_alike_however_cut(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let whole = read_in(&mut ChunkReader::new(ReadLimits::default()), &bytes, 600);
        let dribbled = read_in(&mut ChunkReader::new(ReadLimits::default()), &bytes, 1);
        prop_assert!(whole == dribbled);
    }
}
