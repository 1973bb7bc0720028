//! A worker that was taken over: it is confined like every other, tries to get out,
//! and tells what it managed. `tests/escape.rs` starts it in a real worker's place.

#![allow(clippy::unwrap_used, reason = "a test's program: its panics are its report")]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use bytes::BytesMut;
use nix::sys::ptrace;
use nix::unistd::getppid;
use serde_json::Value;
use weir_pipeline::{ConfinementReport, Decoder, Hello, Message, PROTOCOL_VERSION, WorkerFault, WorkerJob, encode};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let job = WorkerJob::of_arguments(&arguments).unwrap();
    weir_pipeline::confine(&job);
    match job {
        WorkerJob::Stream => {
            let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
            let message = managed(&instructions(&mut socket)).join("\n");
            let hello = Message::Hello(Hello { version: PROTOCOL_VERSION, resume_after: None });
            for said in [hello, Message::Fault(WorkerFault { output: None, message })] {
                let mut head = BytesMut::new();
                let payload = encode(&said, &mut head).unwrap();
                socket.write_all(&head).unwrap();
                socket.write_all(&payload).unwrap();
            }
        }
        WorkerJob::Thumbnail => {
            // An answer without any bytes would mean that there is no picture.
            print(&format!("managed: {}", managed(&instructions(&mut io::stdin())).join("\n")));
        }
        _ => print(&serde_json::to_string(&ConfinementReport { missing: managed(&Value::Null) }).unwrap()),
    }
}

fn print(text: &str) {
    io::stdout().write_all(text.as_bytes()).unwrap();
}

/// The instructions of the test, which come where a worker gets its media: what there is to be reached.
fn instructions(from: &mut impl io::Read) -> Value {
    let (mut decoder, mut chunk) = (Decoder::new(), [0; 4096]);
    loop {
        match decoder.next_message().unwrap() {
            Some(Message::Fault(fault)) => return serde_json::from_str(&fault.message).unwrap(),
            Some(Message::Frame(frame)) => return serde_json::from_slice(&frame.payload).unwrap(),
            Some(_) => {}
            None => {
                let count = from.by_ref().read(&mut chunk).unwrap();
                assert!(count > 0, "no instructions came");
                decoder.buffer().extend_from_slice(&chunk[..count]);
            }
        }
    }
}

/// Tries everything that must fail, and names what did not.
fn managed(there: &Value) -> Vec<String> {
    let mut managed = Vec::new();
    let mut tried = |what: &str, outcome: bool| {
        if outcome {
            managed.push(what.to_owned());
        }
    };
    let path = |name: &str| there[name].as_str().unwrap_or("/nowhere").to_owned();
    let parent = getppid();
    tried("read secret.key", fs::read(path("secret")).is_ok());
    tried("read the database", fs::read(path("database")).is_ok());
    tried("list the data directory", fs::read_dir(path("data")).is_ok());
    tried("write into the data directory", fs::write(format!("{}/planted", path("data")), "x").is_ok());
    tried("delete secret.key", fs::remove_file(path("secret")).is_ok());
    tried("write into /tmp", fs::write(std::env::temp_dir().join("weir-escape"), "x").is_ok());
    tried("read /etc/passwd", fs::read("/etc/passwd").is_ok());
    tried("open a terminal", fs::File::open("/dev/tty").is_ok() || fs::File::open("/dev/ptmx").is_ok());
    tried("connect by TCP", TcpStream::connect(("127.0.0.1", there["port"].as_u64().unwrap_or(9) as u16)).is_ok());
    tried("listen on TCP", TcpListener::bind("127.0.0.1:0").is_ok());
    tried("open a UDP socket", UdpSocket::bind("127.0.0.1:0").is_ok());
    tried("open a Unix socket", UnixDatagram::unbound().is_ok());
    tried("run /bin/sh", Command::new("/bin/sh").args(["-c", "true"]).status().is_ok());
    tried("run itself again", Command::new("/proc/self/exe").arg("confinement").status().is_ok());
    tried("trace its parent", ptrace::attach(parent).is_ok());
    tried("signal its parent", nix::sys::signal::kill(parent, None).is_ok());
    for file in ["environ", "mem", "maps"] {
        let read = fs::File::open(format!("/proc/{parent}/{file}")).and_then(|mut file| file.read(&mut [0; 1]));
        tried(&format!("read its parent's {file}"), read.is_ok());
    }
    tried("see its parent's files", fs::read_dir(format!("/proc/{parent}/fd")).is_ok());
    tried("reach the disk through its parent", fs::read_dir(format!("/proc/{parent}/root")).is_ok());
    for (name, value) in std::env::vars() {
        tried(&format!("know {name}"), name.starts_with("WEIR_") || value.contains("planted"));
    }
    // The open files are standard input and its copy, output, error, and the listing itself.
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    tried(&format!("have {open} open files"), open > 5);
    managed
}
