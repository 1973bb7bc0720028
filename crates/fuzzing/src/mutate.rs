//! Changes that make a valid input slightly or badly wrong.

use crate::random::Random;

/// Values at which the meaning of length, count and marker fields changes.
const EDGES: [&[u8]; 10] = [
    &[0],
    &[0xFF],
    &[0x7F],
    &[0x80],
    &[0, 0],
    &[0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF],
    &[0x7F, 0xFF, 0xFF, 0xFF],
    &[0x80, 0, 0, 0],
    &[0xFF, 0xFF, 0xFF, 0xFF],
];
/// No input grows beyond this by mutation.
const INPUT_BYTES_MAX: usize = 1 << 20;

/// Changes `input` in one place. `other` lends a piece to splice in.
pub(crate) fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let length = random.length(input.len() - at + 1);
    match random.below(9) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
        2 => overwrite(input, at, random.pick(&EDGES)),
        3 => insert(input, at, random.pick(&EDGES)),
        4 => drop(input.drain(at..at + length)),
        5 => {
            let piece = input[at..at + length].to_vec();
            let to = random.below(input.len() + 1);
            insert(input, to, &piece);
        }
        6 => {
            let from = random.below(other.len() + 1);
            let piece = &other[from..from + random.length(other.len() - from + 1)];
            if random.one_in(2) { insert(input, at, piece) } else { overwrite(input, at, piece) }
        }
        7 => input.truncate(at),
        _ => {
            let bytes = random.bytes(length.min(64));
            insert(input, at, &bytes);
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, piece: &[u8]) {
    for (byte, &new) in input[at..].iter_mut().zip(piece) {
        *byte = new;
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= INPUT_BYTES_MAX {
        input.splice(at..at, piece.iter().copied());
    }
}
