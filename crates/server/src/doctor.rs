//! `weir doctor`: what this machine can do, found out by trying, and whether the server could run on it.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use time::OffsetDateTime;
use weir_gpu::{Device, Inventory};
use weir_transcode::{Cages, EncoderReport, Workshop};

use crate::config::Config;

/// A clock before this has never been set: certificates and tokens would be wrong.
const CLOCK_MIN_YEAR: i32 = 2025;

/// Something looked at.
struct Finding {
    what: String,
    /// Why the server could not run like this.
    problem: Option<String>,
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(crate) async fn run(config: &Config, data: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let workshop = Workshop::open()?;
    let encoders = workshop.encoder_reports().await;
    let gstreamer = workshop.abilities().await.gstreamer.map(String::from);
    let devices = workshop.devices().await;
    let mut findings = ports(config);
    findings.push(folder(data));
    findings.push(clock());
    let ok = findings.iter().all(|finding| finding.problem.is_none());
    if as_json {
        println!("{:#}", report(ok, gstreamer.as_deref(), &encoders, &devices, &findings));
    } else {
        print!("{}", text(ok, gstreamer.as_deref(), &encoders, &devices, &findings));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ports(config: &Config) -> Vec<Finding> {
    let listeners = [("http", config.http), ("https", config.https), ("rtmp", config.rtmp), ("rtmps", config.rtmps)];
    let port = |(name, address): (&str, Option<SocketAddr>)| {
        let address = address?;
        let problem = TcpListener::bind(address).err().map(|error| error.to_string());
        Some(Finding { what: format!("{name} port {address}"), problem })
    };
    listeners.into_iter().filter_map(port).collect()
}

/// A folder that is still to be made is looked at in the one that it would be made in.
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

fn report(
    ok: bool,
    gstreamer: Option<&str>,
    encoders: &[EncoderReport],
    devices: &Inventory,
    findings: &[Finding],
) -> Value {
    let encoder = |report: &EncoderReport| {
        json!({
            "family": report.family,
            "codec": report.codec.as_str(),
            "element": report.element,
            "proof": {"ok": report.proof.ok, "ms": report.proof.ms},
            "reason": report.proof.reason,
        })
    };
    let finding =
        |finding: &Finding| json!({"what": finding.what, "ok": finding.problem.is_none(), "reason": finding.problem});
    json!({
        "ok": ok,
        "version": env!("CARGO_PKG_VERSION"),
        "gstreamer": gstreamer,
        "encoders": encoders.iter().map(encoder).collect::<Vec<_>>(),
        "gpus": devices.devices.iter().map(gpu).collect::<Vec<_>>(),
        "gpus_driver": devices.driver,
        "gpus_reason": devices.reason,
        "workers": Cages::look().to_string(),
        "checks": findings.iter().map(finding).collect::<Vec<_>>(),
    })
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

fn text(
    ok: bool,
    gstreamer: Option<&str>,
    encoders: &[EncoderReport],
    devices: &Inventory,
    findings: &[Finding],
) -> String {
    let mut out = String::new();
    for finding in findings {
        let state = finding.problem.as_deref().unwrap_or("ok");
        let _ = writeln!(out, "{:<40} {state}", finding.what);
    }
    let _ = writeln!(out, "{:<40} {}", "GStreamer", gstreamer.unwrap_or("not there: nothing can be transcoded"));
    for report in encoders {
        let state = match (&report.proof.ms, &report.proof.reason) {
            (Some(ms), _) => format!("works ({ms:.0} ms)"),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        let _ = writeln!(out, "  {:<38} {state}", report.title);
    }
    let _ = writeln!(out, "{:<40} {}", "Workers", Cages::look());
    if let Some(reason) = &devices.reason {
        let _ = writeln!(out, "{:<40} {reason}", "GPUs");
    }
    for device in &devices.devices {
        let what = format!("GPU {} {}", device.index, device.name.as_deref().unwrap_or_default());
        let missing = device.missing.join("; ");
        let _ = match device.memory_total_bytes.zip(device.memory_used_bytes) {
            Some((total, used)) => writeln!(out, "{what:<40} {} of {} MB taken {missing}", used >> 20, total >> 20),
            None => writeln!(out, "{what:<40} {missing}"),
        };
    }
    let _ = writeln!(out, "{}", if ok { "The server can run here." } else { "The server can't run here." });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_say_what_and_why() {
        let mut encoders = Workshop::open().unwrap().encoder_reports().await;
        let proof = &mut encoders[0].proof;
        (proof.ok, proof.ms, proof.reason) = (false, None, Some("no such device".to_owned()));
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let problem = TcpListener::bind(taken.local_addr().unwrap()).err().map(|error| error.to_string());
        let findings = [Finding { what: "rtmp port".to_owned(), problem }, clock()];
        let sliced = Device { missing: vec!["encoder utilisation: not supported".to_owned()], ..Device::default() };
        let devices = Inventory { devices: vec![sliced], ..Inventory::default() };
        let report = report(false, Some("1.22"), &encoders, &devices, &findings);
        assert_eq!(report["encoders"][0]["reason"], "no such device");
        assert_eq!(report["encoders"][0]["proof"]["ok"], false);
        assert_eq!((&report["checks"][0]["ok"], &report["checks"][1]["ok"]), (&json!(false), &json!(true)));
        assert_eq!(report["gpus"][0]["encoder_percent"], Value::Null);
        let text = text(false, None, &encoders, &devices, &findings);
        for expected in ["no such device", "encoder utilisation", "nothing can be transcoded", "can't run here"] {
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
