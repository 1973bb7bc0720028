//! Frames into parts and segments: where these begin, what they are numbered, and what of it is told to the store.

mod boundaries;
pub(crate) mod cutter;
mod eras;
pub(crate) mod following;
mod keyframes;
mod rendition_writer;
mod schedule;
mod silence;
mod slots;
mod sound_writer;
mod sounds;
mod track_writer;
