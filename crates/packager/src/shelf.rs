//! The part of the window that lies on disk: the segments as they were served, and an index from which a restart goes on.
//!
//! The store is the queue of what is to be written. A segment that is complete and not yet on disk is written as fast as the disk takes it,
//! and stays in memory until then. If its time in memory is over before that, the window loses it, and the live edge does not.

pub(crate) mod disk;
mod reader;
mod restore;
mod windows;
mod writer;

pub use disk::{Disk, RealDisk, SpaceLimits};
pub(crate) use reader::ReadFault;
pub(crate) use restore::{Restored, read};
pub(crate) use windows::StreamShelf;
pub use windows::{DvrLimits, DvrShelf};
pub(crate) use writer::write;
