//! The headers of a chunk.
