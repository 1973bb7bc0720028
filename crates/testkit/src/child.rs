//! A child process of a test: its output is kept, it takes signals, and it never outlives its owner.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{ProcessStats, wait_until, wait_until_some};

/// This many lines of a server's log are enough for every check of a one-minute test, and a runaway logger can't fill the memory.
const OUTPUT_LINES_MAX: usize = 50_000;

/// The smallest pipe that Linux gives.
const PIPE_BYTES_MIN: i32 = 4_096;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: process::Child,
    output: Output,
    /// A standard error that nobody reads yet.
    unread: Option<process::ChildStderr>,
}

/// The lines of stdout and stderr, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output(Arc<Mutex<VecDeque<String>>>);

impl Output {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().cloned().collect()
    }

    fn keep(&self, reader: impl Read + Send + 'static) {
        let output = self.clone();
        thread::spawn(move || {
            // Programs may write anything, so lines are read as bytes: one odd byte must not end the reading.
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                let mut lines = output.0.lock().unwrap();
                if lines.len() == OUTPUT_LINES_MAX {
                    lines.pop_front();
                }
                lines.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
}

impl Child {
    /// Starts `command` with nothing on stdin.
    pub fn start(command: Command) -> Self {
        let mut child = Self::spawn(command);
        child.read_stderr();
        child
    }

    /// Starts `command` with a standard error that nobody reads before [`Self::read_stderr`]: its pipe takes one page, and then nothing.
    pub fn start_unread(command: Command) -> Self {
        let child = Self::spawn(command);
        let stderr = child.unread.as_ref().expect("it was just made");
        fcntl(stderr, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES_MIN)).expect("a pipe's size can be set");
        child
    }

    fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start ({error}); `make test` installs what tests need"));
        let output = Output::default();
        output.keep(child.stdout.take().expect("stdout is piped"));
        let unread = child.stderr.take();
        Self { name, child, output, unread }
    }

    /// Reads what is printed to stderr from now on, and what has waited.
    pub fn read_stderr(&mut self) {
        if let Some(stderr) = self.unread.take() {
            self.output.keep(stderr);
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stats(&self) -> ProcessStats {
        ProcessStats::of(self.pid())
    }

    /// Everything that the program has printed, line by line.
    pub fn output(&self) -> Vec<String> {
        self.output.lines()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until the program ends by itself.
    #[track_caller]
    pub fn wait_ended(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} ended", self.name);
        wait_until_some(&what, limit, || self.child.try_wait().expect("a child can be waited for"))
    }

    #[track_caller]
    pub fn wait_printed(&self, text: &str, limit: Duration) {
        wait_until(&format!("{} printed {text:?}", self.name), limit, || {
            self.output().iter().any(|line| line.contains(text))
        });
    }

    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGINT, as Ctrl-C does: ffmpeg and gst-launch then finish their files.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Sends SIGHUP: the server then reads its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Sends SIGSTOP: the program stays alive and its connections stay open, but it does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends SIGKILL, and waits until the program is gone.
    pub fn kill(&mut self) {
        // This fails only where the program has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid fits");
        kill(Pid::from_raw(pid), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let lines = self.output();
            eprintln!("--- the last lines of {}:", self.name);
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("    {line}");
            }
        }
    }
}
