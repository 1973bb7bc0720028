//! The newest batches, by their numbers. Server and process each have such a window, and put the same batches into it in the same order: so
//! the server knows what the process still has, without being told.

use std::collections::VecDeque;

/// So many batches are kept: half a minute of one rendition, or two seconds of sixteen.
const BATCHES_MAX: usize = 1_024;

/// So many bytes are kept: a second of 500 Mbit/s, which is sixty renditions at 8.
const BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
pub struct Window<T> {
    kept: VecDeque<(u64, usize, T)>,
    bytes: usize,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Window<T> {
    /// Puts a batch in, whose number is higher than all before, and lets the oldest ones go. The newest one stays, however large it is.
    pub fn push(&mut self, number: u64, bytes: usize, batch: T) {
        self.kept.push_back((number, bytes, batch));
        self.bytes += bytes;
        while self.kept.len() > 1 && (self.kept.len() > BATCHES_MAX || self.bytes > BYTES_MAX) {
            if let Some((_, bytes, _)) = self.kept.pop_front() {
                self.bytes -= bytes;
            }
        }
    }

    pub fn get(&self, number: u64) -> Option<&T> {
        let at = self.kept.binary_search_by_key(&number, |(number, ..)| *number).ok()?;
        self.kept.get(at).map(|(.., batch)| batch)
    }

    /// The newest batch for which this holds, with its number.
    pub fn find(&self, holds: impl Fn(&T) -> bool) -> Option<u64> {
        self.kept.iter().rev().find(|(.., batch)| holds(batch)).map(|(number, ..)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_batches_nor_bytes_grow_without_bound() {
        let mut window = Window::default();
        for number in 0..2_000 {
            window.push(number, 10, number);
        }
        assert_eq!((window.get(1_999), window.get(976), window.get(975)), (Some(&1_999), Some(&976), None));
        assert_eq!(window.find(|batch| batch % 2 == 0), Some(1_998));
        window.push(2_000, BYTES_MAX - 50, 2_000);
        assert_eq!((window.get(1_995), window.get(1_994)), (Some(&1_995), None));
        window.push(2_001, BYTES_MAX + 1, 2_001);
        assert_eq!((window.get(2_001), window.get(2_000)), (Some(&2_001), None), "the newest one stays");
    }
}
