//! RTP payloads to frames: packets in their order become pictures. Who sends them, and what is lost, is their reader's to know.

pub mod h264;
