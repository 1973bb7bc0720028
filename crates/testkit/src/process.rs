//! The real `weir serve` as a child process, on free ports and a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Api, Child, ProcessStats, wait_until, wait_until_some};

/// The admin key of every test server.
pub const ADMIN_API_KEY: &str = "weir-test-admin-api-key-5f2b8c1d";
pub const ADMIN_PASSWORD: &str = "weir-test-admin-password-77e1";

/// On a busy machine a debug build may take long; its ready line takes well under a second when nothing is wrong.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// How to start a server; made by [`Weir::options`].
#[derive(Debug)]
pub struct WeirOptions {
    binary: PathBuf,
    data: Data,
    env: Vec<(String, String)>,
    args: Vec<String>,
    log_unread: bool,
}

/// The server's data directory, which is kept over a restart and removed at the end of the test.
#[derive(Debug)]
enum Data {
    Temporary(TempDir),
    Given(PathBuf),
}

impl Data {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

impl WeirOptions {
    /// Sets `section.key` of the configuration, by the environment variable that stands for it.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("WEIR_{}", key.replace('.', "__").to_uppercase());
        self.env.retain(|(have, _)| *have != name);
        self.env.push((name, value.to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn data(mut self, path: &Path) -> Self {
        self.data = Data::Given(path.to_owned());
        self
    }

    /// Leaves the server's log unread until [`Child::read_stderr`].
    pub fn log_unread(mut self) -> Self {
        self.log_unread = true;
        self
    }

    /// Starts the server and waits for the ready line.
    #[track_caller]
    pub fn start(self) -> Weir {
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--data").arg(self.data.path()).args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let mut child = if self.log_unread { Child::start_unread(command) } else { Child::start(command) };
        let ready = wait_until_some("weir printed its ready line", READY_LIMIT, || {
            let output = child.output();
            let ready = output.iter().find_map(|line| {
                let value: Value = serde_json::from_str(line).ok()?;
                (value["ready"] == true).then_some(value)
            });
            assert!(
                ready.is_some() || !child.has_ended(),
                "weir ended instead of getting ready:\n{}",
                output.join("\n")
            );
            ready
        });
        Weir { child, ready, options: self }
    }
}

/// A running server. Dropping it kills it and deletes its data.
#[derive(Debug)]
pub struct Weir {
    child: Child,
    ready: Value,
    options: WeirOptions,
}

impl Weir {
    /// Options for a server. `binary` is `env!("CARGO_BIN_EXE_weir")` in the server's own tests. HTTP and RTMP listen on free ports of
    /// the loopback address; everything else is off until [`WeirOptions::set`].
    pub fn options(binary: impl Into<PathBuf>) -> WeirOptions {
        let data = TempDir::with_prefix("weir-test-").expect("a temporary folder can be made");
        let data = Data::Temporary(data);
        WeirOptions { binary: binary.into(), data, env: Vec::new(), args: Vec::new(), log_unread: false }
            .set("http.listen", "127.0.0.1:0")
            .set("rtmp.listen", "127.0.0.1:0")
            .set("srt.listen", "")
            .set("webrtc.udp_listen", "")
            .set("webrtc.tcp_listen", "")
            .env("WEIR_ADMIN_APIKEY", ADMIN_API_KEY)
            .env("WEIR_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("RUST_BACKTRACE", "1")
    }

    pub fn api(&self) -> Api {
        Api::new(&self.http(), ADMIN_API_KEY)
    }

    /// The address `http://127.0.0.1:PORT`.
    pub fn http(&self) -> String {
        self.address("http")
    }

    /// The address `rtmp://127.0.0.1:PORT`.
    pub fn rtmp(&self) -> String {
        self.address("rtmp")
    }

    /// The address `rtmps://127.0.0.1:PORT`.
    pub fn rtmps(&self) -> String {
        self.address("rtmps")
    }

    /// The URL that an encoder sends to: `rtmp://127.0.0.1:PORT/live/<stream_key>`.
    pub fn push_url(&self, stream_key: &str) -> String {
        format!("{}/live/{stream_key}", self.rtmp())
    }

    /// The address `srt://127.0.0.1:PORT`.
    pub fn srt(&self) -> String {
        self.address("srt")
    }

    /// The URL that an SRT encoder sends to: `srt://127.0.0.1:PORT?mode=caller&streamid=publish:<stream_key>`.
    pub fn srt_push_url(&self, stream_key: &str) -> String {
        format!("{}?mode=caller&streamid=publish:{stream_key}", self.srt())
    }

    /// The RTMP listener as `HOST:PORT`.
    pub fn rtmp_address(&self) -> String {
        self.rtmp().replace("rtmp://", "")
    }

    pub fn ready_line(&self) -> &Value {
        &self.ready
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub fn stats(&self) -> ProcessStats {
        self.child.stats()
    }

    pub fn data(&self) -> &Path {
        self.options.data.path()
    }

    /// Everything that the server has printed: the ready line (stdout) and the log (stderr).
    pub fn output(&self) -> Vec<String> {
        self.child.output()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    #[track_caller]
    pub fn wait_logged(&self, text: &str, limit: Duration) {
        self.child.wait_printed(text, limit);
    }

    /// Sends SIGTERM; returns how long the server took to end.
    #[track_caller]
    pub fn stop(&mut self, limit: Duration) -> Duration {
        self.child.terminate();
        wait_until("weir ended after SIGTERM", limit, || self.child.has_ended())
    }

    /// Kills the server with SIGKILL, and starts it again on the same data and new free ports.
    #[track_caller]
    pub fn kill_and_restart(mut self) -> Self {
        self.child.kill();
        self.options.start()
    }

    fn address(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.ready)).to_owned()
    }
}
