//! `weir doctor`: finds out by trying what this machine can do, and whether the server could run on it.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use time::OffsetDateTime;
use weir_gpu::{Device, Inventory};
use weir_transcode::{Cages, Capacity, EncoderReport, EncodingResources};

use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::listeners::{ComesBy, Protocol};
use crate::webrtc::{self, WebrtcConfig};

/// A clock that shows an earlier year has never been set: certificates and tokens would be wrong.
const CLOCK_MIN_YEAR: i32 = 2025;

/// One thing that was looked at.
struct Finding {
    what: String,
    /// Why the server could not run like this.
    problem: Option<String>,
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(crate) async fn run(
    config: &Config,
    descriptors: Descriptors,
    data: &Path,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let encoding = EncodingResources::open()?;
    let encoders = encoding.encoder_reports().await;
    let gstreamer = encoding.abilities().await.gstreamer.map(String::from);
    let devices = encoding.devices().await;
    let mut findings = ports(config);
    let of_webrtc = config.webrtc.iter().flat_map(WebrtcConfig::findings);
    findings.extend(of_webrtc.map(|(what, problem)| Finding { what, problem }));
    findings.extend(webrtc_engine(config, &encoding).await);
    findings.push(folder(data));
    findings.push(clock());
    findings.push(Finding { what: "file descriptors".to_owned(), problem: descriptors.problem() });
    let ok = findings.iter().all(|finding| finding.problem.is_none());
    let capacity = encoding.capacity();
    let not_held = not_held(&encoding).await;
    let report = Report { ok, gstreamer, capacity, encoders, devices: &devices, not_held, findings, descriptors };
    if as_json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Has `webrtcbin` prove itself, where the configuration asks for it.
async fn webrtc_engine(config: &Config, encoding: &EncodingResources) -> Option<Finding> {
    let webrtcbin = config.webrtc.as_ref()?.webrtcbin()?;
    let (first, last) = webrtcbin.ports();
    let proved = webrtc::process::prove(encoding, &webrtcbin).await;
    Some(Finding {
        what: format!(
            "webrtc engine webrtcbin (UDP ports {first}-{last}), where another certificate than an offer's has to stay out"
        ),
        problem: proved.err().map(|why| format!("it is refused, and str0m would serve viewers: {why}")),
    })
}

/// Takes a port and lets it go. Returns why it could not be taken.
type Tried = fn(SocketAddr) -> Option<io::Error>;

fn ports(config: &Config) -> Vec<Finding> {
    let by_tcp: Tried = |address| TcpListener::bind(address).err();
    let by_udp: Tried = |address| UdpSocket::bind(address).err();
    let tried = |protocol: &Protocol| match protocol.comes_by {
        ComesBy::Tcp(_) => by_tcp,
        ComesBy::Udp(_) => by_udp,
    };
    let http = [("http", config.http, by_tcp), ("https", config.https, by_tcp)];
    let listeners = config.listeners.iter();
    let listeners = listeners.map(|listen| (listen.protocol.name, listen.address, tried(listen.protocol)));
    let port = |(name, address, tried): (&str, Option<SocketAddr>, Tried)| {
        let problem = tried(address?).map(|error| error.to_string());
        Some(Finding { what: format!("{name} port {}", address?), problem })
    };
    http.into_iter().chain(listeners).filter_map(port).collect()
}

/// Looks at a folder; for one that is still to be made, at the folder that it would be made in.
fn folder(data: &Path) -> Finding {
    let there = data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let probe = there.join(format!(".weir-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    let problem = written.err().map(|error| error.to_string());
    Finding { what: format!("data directory {}", data.display()), problem }
}

fn clock() -> Finding {
    let now = OffsetDateTime::now_utc();
    let problem = (now.year() < CLOCK_MIN_YEAR).then(|| "it has not been set".to_owned());
    Finding { what: format!("clock {}", now.date()), problem }
}

/// What workers are not kept from, in a sentence each.
async fn not_held(encoding: &EncodingResources) -> Vec<String> {
    let mut missing = encoding.confinement().await.map_or_else(|reason| vec![reason], |report| report.missing);
    if weir_confine::is_root() {
        // Another user could not open the devices of cards everywhere, nor the caches.
        missing.push("workers have the server's user, which is root, without its privileges: run the server as a user of its own".to_owned());
    }
    missing
}

/// Everything that was found out.
struct Report<'a> {
    ok: bool,
    gstreamer: Option<String>,
    capacity: Capacity,
    encoders: Vec<EncoderReport>,
    devices: &'a Inventory,
    not_held: Vec<String>,
    findings: Vec<Finding>,
    descriptors: Descriptors,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let encoder = |report: &EncoderReport| {
            json!({
                "family": report.family,
                "codec": report.codec.as_str(),
                "element": report.element,
                "proof": {"ok": report.proof.ok, "ms": report.proof.ms},
                "reason": report.proof.reason,
            })
        };
        let finding = |finding: &Finding| json!({"what": finding.what, "ok": finding.problem.is_none(), "reason": finding.problem});
        json!({
            "ok": self.ok,
            "version": env!("CARGO_PKG_VERSION"),
            "gstreamer": self.gstreamer,
            "cpu": {"cores": self.capacity.cores, "speed": self.capacity.speed},
            "encoders": self.encoders.iter().map(encoder).collect::<Vec<_>>(),
            "gpus": self.devices.devices.iter().map(gpu).collect::<Vec<_>>(),
            "gpus_driver": self.devices.driver,
            "gpus_reason": self.devices.reason,
            "workers": Cages::look().to_string(),
            "confinement": {"missing": self.not_held},
            "descriptors": self.descriptors.json(),
            "checks": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let state = finding.problem.as_deref().unwrap_or("ok");
            let _ = writeln!(out, "{:<40} {state}", finding.what);
        }
        let _ = writeln!(
            out,
            "{:<40} {}",
            "GStreamer",
            self.gstreamer.as_deref().unwrap_or("not there: nothing can be transcoded")
        );
        for report in &self.encoders {
            let state = match (&report.proof.ms, &report.proof.reason) {
                (Some(ms), _) => format!("works ({ms:.0} ms)"),
                (None, reason) => reason.clone().unwrap_or_default(),
            };
            let _ = writeln!(out, "  {:<38} {state}", report.title);
        }
        let speed =
            self.capacity.speed.map(|speed| format!(", {speed:.1} x the speed of those that costs were measured on"));
        let _ = writeln!(out, "{:<40} {} cores{}", "CPU for encoding", self.capacity.cores, speed.unwrap_or_default());
        let _ = writeln!(out, "{:<40} {}", "Workers", Cages::look());
        let held = "they have no network, no files but libraries and devices, no programs, no privileges".to_owned();
        for line in if self.not_held.is_empty() { std::slice::from_ref(&held) } else { &self.not_held } {
            let _ = writeln!(out, "{:<40} {line}", "Workers are shut in");
        }
        let _ = writeln!(out, "{:<40} {}", "Connections", self.descriptors);
        if let Some(reason) = &self.devices.reason {
            let _ = writeln!(out, "{:<40} {reason}", "GPUs");
        }
        for device in &self.devices.devices {
            let what = format!("GPU {} {}", device.index, device.name.as_deref().unwrap_or_default());
            let missing = device.missing.join("; ");
            let _ = match device.memory_total_bytes.zip(device.memory_used_bytes) {
                Some((total, used)) => writeln!(out, "{what:<40} {} of {} MB taken {missing}", used >> 20, total >> 20),
                None => writeln!(out, "{what:<40} {missing}"),
            };
        }
        let _ = writeln!(out, "{}", if self.ok { "The server can run here." } else { "The server can't run here." });
        out
    }
}

fn gpu(device: &Device) -> Value {
    json!({
        "index": device.index,
        "name": device.name,
        "uuid": device.uuid,
        "mig": device.mig,
        "memory_total_bytes": device.memory_total_bytes,
        "memory_used_bytes": device.memory_used_bytes,
        "encoder_percent": device.encoder_percent,
        "decoder_percent": device.decoder_percent,
        "encoder_sessions": device.encoder_sessions,
        "temperature_celsius": device.temperature_celsius,
        "missing": device.missing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_say_what_and_why() {
        let mut encoders = EncodingResources::open().unwrap().encoder_reports().await;
        let proof = &mut encoders[0].proof;
        (proof.ok, proof.ms, proof.reason) = (false, None, Some("no such device".to_owned()));
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let problem = TcpListener::bind(taken.local_addr().unwrap()).err().map(|error| error.to_string());
        let findings = vec![Finding { what: "rtmp port".to_owned(), problem }, clock()];
        let sliced = Device { missing: vec!["encoder utilisation: not supported".to_owned()], ..Device::default() };
        let devices = Inventory { devices: vec![sliced], ..Inventory::default() };
        let capacity = Capacity { cores: 8.0, cores_free: 8.0, speed: Some(0.42) };
        let descriptors = crate::descriptors::fit(&mut crate::config::defaults(), 1_024);
        let report = Report {
            ok: false,
            gstreamer: None,
            capacity,
            encoders,
            devices: &devices,
            not_held: vec!["no Landlock".to_owned()],
            findings,
            descriptors,
        };
        let text = report.text();
        let report = report.json();
        assert_eq!(report["encoders"][0]["reason"], "no such device");
        assert_eq!(report["encoders"][0]["proof"]["ok"], false);
        assert_eq!((&report["checks"][0]["ok"], &report["checks"][1]["ok"]), (&json!(false), &json!(true)));
        assert_eq!(report["gpus"][0]["encoder_percent"], Value::Null);
        assert_eq!(report["cpu"]["speed"], 0.42);
        for expected in [
            "8 cores, 0.4 x the speed",
            "no such device",
            "encoder utilisation",
            "1024 file descriptors, 256 of them kept",
            "nothing can be transcoded",
            "no Landlock",
            "can't run here",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_folder_that_can_be_made_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        assert!(folder(&dir.path().join("a/b/c")).problem.is_none());
        assert!(folder(Path::new("/proc/weir")).problem.is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
