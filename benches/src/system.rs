//! The systems that are compared. Each can be started, told its destinations, and asked for its process.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use weir_testkit::{Nginx, ProcessStats, Weir};

/// This is longer than the allocator keeps memory that was freed.
const RSS_SETTLED_AFTER: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Weir,
    Nginx,
    FloorPerMessage,
    FloorCoalesced,
}

impl System {
    pub(crate) const ALL: [Self; 4] = [Self::FloorPerMessage, Self::FloorCoalesced, Self::Nginx, Self::Weir];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Nginx => "nginx-rtmp",
            Self::FloorPerMessage => "floor, write per message",
            Self::FloorCoalesced => "floor, write per frame",
        }
    }
}

/// One system at work. Dropping it ends it and its publisher.
pub(crate) enum Running {
    Weir { server: Box<Weir>, publisher: Role },
    Nginx { server: Nginx, publisher: Role },
    Floor { floor: Role },
}

/// A running system, with the facts that were taken at its start.
pub(crate) struct Started {
    pub running: Running,
    pub published_at_ns: u64,
    /// The memory of the server before any destination was connected.
    pub rss_before_bytes: u64,
}

impl Running {
    /// Starts the system with `destinations` pushes to the sink, and then the publisher.
    pub(crate) fn start(system: System, sink: SocketAddr, destinations: usize, clip: &Path) -> anyhow::Result<Started> {
        let key = |number: usize| format!("d{number}");
        match system {
            System::Weir => {
                let server = Weir::options(weir_binary()?).start();
                let api = server.api();
                // The peers package nothing in this bench either.
                let stream = api.create_stream_with("bench", &json!({ "hls": false, "dash": false }));
                let rss_before_bytes = settled_rss_bytes(server.pid());
                for number in 0..destinations {
                    api.create_restream(&stream, &key(number), &format!("rtmp://{sink}/app/{}", key(number)));
                }
                let (publisher, published_at_ns) = publish(&server.rtmp_address(), "live", &stream.stream_key, clip)?;
                let server = Box::new(server);
                Ok(Started { running: Self::Weir { server, publisher }, published_at_ns, rss_before_bytes })
            }
            System::Nginx => {
                let pushes: String =
                    (0..destinations).map(|number| format!("push rtmp://{sink}/app/{};\n", key(number))).collect();
                let server = Nginx::start(&pushes);
                let rss_before_bytes = settled_rss_bytes(nginx_worker(&server)?);
                let (publisher, published_at_ns) = publish(&server.address().to_string(), "app", "bench", clip)?;
                Ok(Started { running: Self::Nginx { server, publisher }, published_at_ns, rss_before_bytes })
            }
            System::FloorPerMessage | System::FloorCoalesced => {
                let (sink, destinations, clip) = (sink.to_string(), destinations.to_string(), clip.to_string_lossy());
                let mut arguments = vec!["floor", &sink, &destinations, &clip];
                if system == System::FloorCoalesced {
                    arguments.push("--coalesced");
                }
                let mut floor = Role::start(&arguments)?;
                let published_at_ns = floor.line()?.parse()?;
                let rss_before_bytes = ProcessStats::of(floor.pid()).rss_bytes;
                Ok(Started { running: Self::Floor { floor }, published_at_ns, rss_before_bytes })
            }
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Weir { server, .. } => server.pid(),
            Self::Nginx { server, .. } => server.pid(),
            Self::Floor { floor } => floor.pid(),
        }
    }

    /// CPU time of the server's process tree so far, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> f64 {
        ProcessStats::cpu_of_tree(self.pid()).as_secs_f64() * 1000.0
    }

    pub(crate) fn rss_bytes(&self) -> anyhow::Result<u64> {
        match self {
            Self::Nginx { server, .. } => Ok(ProcessStats::of(nginx_worker(server)?).rss_bytes),
            _ => Ok(ProcessStats::of(self.pid()).rss_bytes),
        }
    }

    /// Fails if the publisher has ended, because figures of a silent stream would be worthless.
    pub(crate) fn check_live(&mut self) -> anyhow::Result<()> {
        let (Self::Weir { publisher: role, .. } | Self::Nginx { publisher: role, .. } | Self::Floor { floor: role }) =
            self;
        ensure!(role.child.try_wait()?.is_none(), "the publisher has ended");
        Ok(())
    }
}

/// This program, started again in one of its hidden roles.
pub(crate) struct Role {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the bench can't start itself")?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Self { child, stdin, stdout })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "a helper process has ended");
        Ok(line.trim().to_owned())
    }

    pub(crate) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.stdin, "{line}")?)
    }

    pub(crate) fn ask(&mut self, line: &str) -> anyhow::Result<Value> {
        self.say(line)?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// Asks for reports until one holds. `missing` says of a report in words what still does not.
    pub(crate) fn report_when(
        &mut self,
        limit: Duration,
        holds: impl Fn(&Value) -> bool,
        missing: impl Fn(&Value) -> String,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let report = self.ask("report")?;
            if holds(&report) {
                return Ok(());
            }
            ensure!(start.elapsed() < limit, "{}", missing(&report));
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// How much a figure of a role grew from one report to a later one.
pub(crate) fn grown(before: &Value, after: &Value, name: &str) -> anyhow::Result<f64> {
    let number = |report: &Value| report[name].as_f64().with_context(|| format!("no {name} in {report}"));
    Ok(number(after)? - number(before)?)
}

impl Drop for Role {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the publisher, and returns it with the time at which its publish was accepted.
pub(crate) fn publish(address: &str, app: &str, stream_key: &str, clip: &Path) -> anyhow::Result<(Role, u64)> {
    let mut publisher = Role::start(&["publisher", address, app, stream_key, &clip.to_string_lossy()])?;
    let published_at_ns = publisher.line()?.parse()?;
    Ok((publisher, published_at_ns))
}

/// The resident memory once it has stopped shrinking: hashing the first password takes 19 MB for a moment.
fn settled_rss_bytes(pid: u32) -> u64 {
    let mut least = ProcessStats::of(pid).rss_bytes;
    let mut last_fall = Instant::now();
    while last_fall.elapsed() < RSS_SETTLED_AFTER {
        thread::sleep(Duration::from_millis(100));
        let rss = ProcessStats::of(pid).rss_bytes;
        if rss < least {
            (least, last_fall) = (rss, Instant::now());
        }
    }
    least
}

/// The release binary that was built beside this one.
pub(crate) fn weir_binary() -> anyhow::Result<PathBuf> {
    let binary = std::env::current_exe()?.with_file_name("weir");
    ensure!(binary.exists(), "{} is not there: `make bench` builds it", binary.display());
    Ok(binary)
}

/// The process id of nginx's one worker, which does all the work while the master waits. The master listens before it has a worker.
fn nginx_worker(server: &Nginx) -> anyhow::Result<u32> {
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    for _ in 0..100 {
        if let Some(worker) = std::fs::read_to_string(&children)?.split_whitespace().next() {
            return Ok(worker.parse()?);
        }
        thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("nginx has no worker")
}
