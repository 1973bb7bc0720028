//! Answers `/system`, and gives the description of this API.

use crate::context::App;
use crate::dto::Timestamp;
use crate::dto::live::LoadDto;
use crate::input::Params;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use utoipa::{IntoParams, ToSchema};
use weir_origin::WebrtcPorts;
use weir_transcode::{Capacity, EncoderReport};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SystemDto {
    version: &'static str,
    started_at: Timestamp,
    uptime_seconds: f64,
    cpu_cores: usize,
    /// How busy the machine was in the last second.
    load: LoadDto,
    /// The disk that holds the data directory; null if the system does not say.
    disk: Option<DiskDto>,
    /// The version of the worker's GStreamer; null means that there is none, and nothing can be transcoded.
    gstreamer: Option<String>,
    /// Each encoder that this GStreamer may have, and whether it works here.
    encoders: Vec<EncoderDto>,
    transcoding: TranscodingDto,
    /// The GPUs of NVIDIA, as their driver describes them. What it does not tell is null.
    gpus: Vec<GpuDto>,
    /// Why there are no GPUs.
    gpus_reason: Option<String>,
    /// Null where WebRTC is off.
    webrtc: Option<WebrtcDto>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DiskDto {
    path: String,
    total_bytes: u64,
    /// The bytes that are left for this server.
    available_bytes: u64,
}

impl DiskDto {
    fn of(path: &Path) -> Option<Self> {
        let found = nix::sys::statvfs::statvfs(path).ok()?;
        let block_bytes = found.fragment_size();
        Some(Self {
            path: path.display().to_string(),
            total_bytes: found.blocks().saturating_mul(block_bytes),
            available_bytes: found.blocks_available().saturating_mul(block_bytes),
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct EncoderDto {
    /// The family, whose encoders work or fail together: `nvenc`, `qsv`, `va`, `x264`, ...
    family: String,
    codec: &'static str,
    /// GStreamer's name for the encoder.
    element: String,
    proof: ProofDto,
    /// Why the encoder does not work.
    reason: Option<String>,
}

/// The proof of an encoder: it was really tried on some pictures, in a process of its own.
#[derive(Debug, Serialize, ToSchema)]
struct ProofDto {
    ok: bool,
    /// How long the proof took.
    ms: Option<f64>,
}

impl From<EncoderReport> for EncoderDto {
    fn from(report: EncoderReport) -> Self {
        Self {
            family: report.family,
            codec: report.codec.as_str(),
            element: report.element,
            proof: ProofDto { ok: report.proof.ok, ms: report.proof.ms },
            reason: report.proof.reason,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct GpuDto {
    index: u32,
    name: Option<String>,
    uuid: Option<String>,
    driver: Option<String>,
    /// Says that the GPU is divided into slices. Its utilisation is not told then.
    mig: bool,
    memory_total_bytes: Option<u64>,
    memory_used_bytes: Option<u64>,
    utilization_percent: Option<u32>,
    encoder_percent: Option<u32>,
    decoder_percent: Option<u32>,
    encoder_sessions: Option<u32>,
    temperature_celsius: Option<u32>,
    /// What the driver does not tell of this GPU, and why.
    missing: Vec<String>,
}

fn gpus(inventory: &weir_gpu::Inventory) -> Vec<GpuDto> {
    let gpu = |device: &weir_gpu::Device| GpuDto {
        index: device.index,
        name: device.name.clone(),
        uuid: device.uuid.clone(),
        driver: inventory.driver.clone(),
        mig: device.mig,
        memory_total_bytes: device.memory_total_bytes,
        memory_used_bytes: device.memory_used_bytes,
        utilization_percent: device.utilization_percent,
        encoder_percent: device.encoder_percent,
        decoder_percent: device.decoder_percent,
        encoder_sessions: device.encoder_sessions,
        temperature_celsius: device.temperature_celsius,
        missing: device.missing.clone(),
    };
    inventory.devices.iter().map(gpu).collect()
}

/// Where viewers by WebRTC come to. Both ports are bound; whether they are open to the outside shows in how many viewers connected.
#[derive(Debug, Serialize, ToSchema)]
struct WebrtcDto {
    /// What serves viewers now: `str0m` or `webrtcbin`.
    engine: &'static str,
    /// Why it is this one, where `webrtcbin` was asked for.
    engine_reason: String,
    /// The port that is bound. Where nothing is configured and 8189 was taken, it is another one.
    udp_listen: String,
    /// Null: networks that let no UDP through have no way in.
    tcp_listen: Option<String>,
    /// The addresses that viewers are told.
    told: Vec<WebrtcAddressDto>,
    /// Connections at this moment: viewers and publishers, those that are being set up included.
    connections: usize,
    /// Viewers since the start that have left, and whose connection had come about.
    connected: u64,
    /// Viewers since the start that got an answer, and never came to the ports.
    never_connected: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct WebrtcAddressDto {
    /// `udp` or `tcp`.
    transport: &'static str,
    address: String,
}

impl From<WebrtcPorts> for WebrtcDto {
    fn from(ports: WebrtcPorts) -> Self {
        let told = |(transport, address): (_, SocketAddr)| WebrtcAddressDto { transport, address: address.to_string() };
        Self {
            engine: ports.engine,
            engine_reason: ports.engine_reason,
            udp_listen: ports.udp.to_string(),
            tcp_listen: ports.tcp.map(|address| address.to_string()),
            told: ports.told.into_iter().map(told).collect(),
            connections: ports.connections,
            connected: ports.came.connected,
            never_connected: ports.came.never_connected,
        }
    }
}

/// The room for encoding in software. What does not fit is refused.
#[derive(Debug, Serialize, ToSchema)]
struct TranscodingDto {
    /// How many cores may be planned.
    cores: f64,
    /// How many of these no stream has planned or takes.
    cores_free: f64,
    /// How fast one core encodes compared with those on which costs were measured; null if that could not be tried.
    speed: Option<f64>,
}

impl From<Capacity> for TranscodingDto {
    fn from(Capacity { cores, cores_free, speed }: Capacity) -> Self {
        Self { cores, cores_free, speed }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SystemParams {
    /// Answers at once. If nothing was tried yet, `encoders` is empty, and `gstreamer` and `transcoding.speed` are null.
    #[serde(default)]
    untried: bool,
}

/// What this server is, and what its machine can do. The first call tries the encoders, which takes some seconds.
#[utoipa::path(get, path = "/api/v1/system", tag = "system", params(SystemParams), responses(
    (status = 200, body = SystemDto)))]
pub(crate) async fn system(State(app): State<App>, Params(query): Params<SystemParams>) -> Json<SystemDto> {
    described(&app, query.untried).await
}

/// Tries the encoders again, after a driver was mended or a card changed; live streams follow what has changed. Takes some seconds.
#[utoipa::path(post, path = "/api/v1/system/prove", tag = "system", responses((status = 200, body = SystemDto)))]
pub(crate) async fn prove(State(app): State<App>) -> Json<SystemDto> {
    app.api.encoding.prove_again().await;
    described(&app, false).await
}

async fn described(app: &App, untried: bool) -> Json<SystemDto> {
    let started_at = app.api.observe.started_at();
    let encoding = &app.api.encoding;
    let devices = encoding.devices().await;
    let (gstreamer, encoders) = match untried && !encoding.is_proven() {
        true => (None, Vec::new()),
        false => (encoding.abilities().await.gstreamer.map(String::from), encoding.encoder_reports().await),
    };
    Json(SystemDto {
        version: env!("CARGO_PKG_VERSION"),
        started_at: started_at.into(),
        uptime_seconds: app.api.observe.uptime().as_secs_f64(),
        cpu_cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        load: app.api.observe.load().into(),
        disk: DiskDto::of(&app.api.data),
        gstreamer,
        encoders: encoders.into_iter().map(Into::into).collect(),
        transcoding: encoding.capacity().into(),
        gpus: gpus(&devices),
        gpus_reason: devices.reason.clone(),
        webrtc: app.api.whep.as_ref().map(|whep| whep.ports().into()),
    })
}

/// The description of this API
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "system", security(()), responses(
    (status = 200, content_type = "application/json", body = Object)))]
pub(crate) async fn openapi(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi)
}
