//! Splits an aggregate message (type 22) into the messages inside it, which are FLV tags with back pointers.

use bytes::Bytes;

use super::chunk_header::be24;
use super::chunk_reader::ReadLimits;
use super::{Message, WireError, type_id};

/// A tag's header: type 1, length 3, timestamp 3 + 1 (the high byte last), stream id 3.
const TAG_HEADER_BYTES: usize = 11;
/// The back pointer after each tag. It is not needed to walk forwards, and some senders leave it out after the last tag.
const BACK_POINTER_BYTES: usize = 4;

/// The rest of an aggregate. It is walked as messages are asked for, because 12 MB can hold a million empty ones.
pub(super) struct Aggregate {
    stream_id: u32,
    timestamp_ms: u32,
    /// The time of the aggregate minus that of its first part. The times of all parts are shifted by it (section 7.1.6).
    shift_ms: Option<u32>,
    rest: Bytes,
}

impl Aggregate {
    pub(super) fn new(message: Message) -> Self {
        Self { stream_id: message.stream_id, timestamp_ms: message.timestamp_ms, shift_ms: None, rest: message.payload }
    }

    /// The next part that is audio, video or data. Other types have no business here and are passed over.
    pub(super) fn next(&mut self, limits: &ReadLimits) -> Result<Option<Message>, WireError> {
        while !self.rest.is_empty() {
            let Some(header) = self.rest.first_chunk::<TAG_HEADER_BYTES>() else {
                return Err(WireError::AggregateMalformed);
            };
            let type_id = header[0] & 0x1F;
            let length = be24(&header[1..]) as usize;
            let part_ms = be24(&header[4..]) | u32::from(header[7]) << 24;
            let end = TAG_HEADER_BYTES + length;
            if end > self.rest.len() {
                return Err(WireError::AggregateMalformed);
            }
            let tag = self.rest.split_to(end);
            self.rest = self.rest.split_off(BACK_POINTER_BYTES.min(self.rest.len()));
            let shift_ms = *self.shift_ms.get_or_insert(self.timestamp_ms.wrapping_sub(part_ms));
            if !matches!(type_id, type_id::AUDIO | type_id::VIDEO | type_id::DATA_AMF0 | type_id::DATA_AMF3) {
                continue;
            }
            let max = limits.message_bytes_max(type_id);
            if length > max {
                return Err(WireError::MessageTooLong { type_id, length, max });
            }
            return Ok(Some(Message {
                type_id,
                stream_id: self.stream_id,
                timestamp_ms: part_ms.wrapping_add(shift_ms),
                // The payload is copied, because a frame that is kept for seconds must not keep the whole aggregate alive.
                payload: Bytes::copy_from_slice(&tag[TAG_HEADER_BYTES..]),
            }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(type_id: u8, timestamp_ms: u32, payload: &[u8]) -> Vec<u8> {
        let [high, time @ ..] = timestamp_ms.to_be_bytes();
        let mut tag = vec![type_id, 0, 0, payload.len() as u8, time[0], time[1], time[2], high, 0, 0, 0];
        tag.extend_from_slice(payload);
        tag.extend_from_slice(&(11 + payload.len() as u32).to_be_bytes());
        tag
    }

    fn split(timestamp_ms: u32, payload: Vec<u8>) -> Result<Vec<(u8, u32, Vec<u8>)>, WireError> {
        let message = Message { type_id: type_id::AGGREGATE, stream_id: 7, timestamp_ms, payload: payload.into() };
        let mut aggregate = Aggregate::new(message);
        let mut parts = Vec::new();
        while let Some(part) = aggregate.next(&ReadLimits::default())? {
            assert_eq!(part.stream_id, 7, "the aggregate's stream id counts");
            parts.push((part.type_id, part.timestamp_ms, part.payload.to_vec()));
        }
        Ok(parts)
    }

    #[test]
    fn parts_are_shifted_to_the_time_of_the_aggregate() {
        let payload = [tag(8, 100, b"a"), tag(9, 123, b"vv"), tag(18, 130, b""), tag(8, 90, b"b")].concat();
        let expected =
            vec![(8, 5000, b"a".to_vec()), (9, 5023, b"vv".to_vec()), (18, 5030, Vec::new()), (8, 4990, b"b".to_vec())];
        assert_eq!(split(5000, payload).unwrap(), expected);
    }

    #[test]
    fn times_wrap_and_use_the_high_byte() {
        let payload = [tag(8, 0xFFFF_FFF0, b"a"), tag(8, 0x10, b"b")].concat();
        let times: Vec<u32> = split(0xFFFF_FFF8, payload).unwrap().into_iter().map(|part| part.1).collect();
        assert_eq!(times, [0xFFFF_FFF8, 0x18]);
    }

    #[test]
    fn other_types_inside_are_passed_over() {
        let chunk_size = tag(type_id::SET_CHUNK_SIZE, 0, &[0, 0, 0, 1]);
        let nested = tag(type_id::AGGREGATE, 0, &tag(8, 0, b"x"));
        assert_eq!(split(0, [chunk_size, nested, tag(8, 0, b"y")].concat()).unwrap(), [(8, 0, b"y".to_vec())]);
    }

    #[test]
    fn the_last_back_pointer_may_be_missing_or_cut() {
        for left_out in 0..=4 {
            let mut payload = [tag(8, 0, b"a"), tag(8, 1, b"b")].concat();
            payload.truncate(payload.len() - left_out);
            assert_eq!(split(0, payload).unwrap().len(), 2, "{left_out} bytes left out");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        for payload in [vec![8], vec![8; 10], vec![8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], vec![0xFF; 64]] {
            assert_eq!(split(0, payload), Err(WireError::AggregateMalformed));
        }
        assert_eq!(split(0, Vec::new()).unwrap(), []);
    }

    #[test]
    fn the_control_limit_holds_inside_too() {
        let length = ReadLimits::CONTROL_MESSAGE_BYTES_MAX + 1;
        let [_, size @ ..] = (length as u32).to_be_bytes();
        let mut payload = vec![18, size[0], size[1], size[2], 0, 0, 0, 0, 0, 0, 0];
        payload.resize(11 + length, 0);
        let max = ReadLimits::CONTROL_MESSAGE_BYTES_MAX;
        assert_eq!(split(0, payload), Err(WireError::MessageTooLong { type_id: 18, length, max }));
    }
}
