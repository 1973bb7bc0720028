//! The shapes of the live board as it is streamed.

use crate::dto::Timestamp;
use crate::dto::restream::RestreamStatusDto;
use crate::dto::stream_status::StreamStatusDto;
use serde::Serialize;
use utoipa::ToSchema;
use weir_model::{Restream, StreamId, StreamStatus};
use weir_observe::Load;

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LiveStreamDto {
    id: i64,
    name: String,
    active: bool,
    status: StreamStatusDto,
}

impl LiveStreamDto {
    pub(crate) fn new(id: StreamId, name: &str, active: bool, status: &StreamStatus) -> Self {
        Self { id: id.0, name: name.to_owned(), active, status: status.into() }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct LiveRestreamDto {
    id: i64,
    stream_id: i64,
    name: String,
    active: bool,
    status: RestreamStatusDto,
}

impl LiveRestreamDto {
    pub(crate) fn new(restream: &Restream, status: RestreamStatusDto) -> Self {
        Self {
            id: restream.id.0,
            stream_id: restream.stream_id.0,
            name: restream.name.clone(),
            active: restream.active,
            status,
        }
    }
}

/// How busy the machine was in the last second; null where the kernel does not say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoadDto {
    /// The share of all cores together.
    cpu_percent: Option<f64>,
    /// What this process takes without its workers, in percent of one core.
    process_cpu_percent: Option<f64>,
    memory_total_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    process_memory_bytes: Option<u64>,
}

impl From<Load> for LoadDto {
    fn from(load: Load) -> Self {
        let tenth = |percent: f64| (percent * 10.0).round() / 10.0;
        Self {
            cpu_percent: load.cpu_percent.map(tenth),
            process_cpu_percent: load.process_cpu_percent.map(tenth),
            memory_total_bytes: load.memory_total_bytes,
            memory_available_bytes: load.memory_available_bytes,
            process_memory_bytes: load.process_memory_bytes,
        }
    }
}

/// The data of an event `snapshot`: everything that there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveSnapshotDto<'a> {
    pub(crate) at: Timestamp,
    /// The number rises with every change of what is stored. Lists that were read before are out of date then.
    pub(crate) config_version: u64,
    pub(crate) system: &'a LoadDto,
    pub(crate) streams: Vec<&'a LiveStreamDto>,
    pub(crate) restreams: Vec<&'a LiveRestreamDto>,
}

/// The data of an event `delta`, which comes once a second: what is different from what was told before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveDeltaDto<'a> {
    pub(crate) at: Timestamp,
    pub(crate) config_version: u64,
    pub(crate) system: &'a LoadDto,
    pub(crate) streams: Vec<&'a LiveStreamDto>,
    /// The ids of streams that were deleted.
    pub(crate) streams_gone: Vec<i64>,
    pub(crate) restreams: Vec<&'a LiveRestreamDto>,
    /// The ids of restreams that were deleted.
    pub(crate) restreams_gone: Vec<i64>,
}
