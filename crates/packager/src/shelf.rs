//! The part of the window that lies on disk: segments as they were served, and an index that a restart goes on from.
//!
//! The store is the queue: what is complete and not yet on disk is written as fast as the disk takes it, and stays in memory
//! until then. What has not been written when its time in memory is over is lost to the window, never to the live edge.

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
