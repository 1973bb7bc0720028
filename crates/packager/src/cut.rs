//! Cuts frames into parts and segments: this room decides where they begin and what their numbers are, and tells the store.

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
