//! The sink's role: one thread that takes any number of RTMP pushes and reports on each.
//!
//! It prints its address. Then, for each line on stdin, `reset` starts a new window of latencies and losses, and `report` prints the
//! figures as JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, stdin};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_testkit::destination::{is_keyframe, is_video_frame};
use weir_testkit::sink_session::{ConnectAnswer, PublishAnswer, SinkEvent, SinkSession};

use crate::stamp::{self, Stamp};

const READ_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
struct Figures {
    /// The pushes by stream key. A key that comes again goes on in its row.
    pushes: BTreeMap<String, Push>,
    latencies_us: Vec<u32>,
}

#[derive(Debug, Default)]
struct Push {
    first: Option<Stamp>,
    first_at_ns: u64,
    first_was_keyframe: bool,
    last_number: u64,
    /// The frames within the window.
    frames: u64,
    lost: u64,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let figures = Arc::new(Mutex::new(Figures::default()));
    let of_server = Arc::clone(&figures);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    thread::spawn(move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                let figures = Arc::clone(&of_server);
                tokio::spawn(async move {
                    // The end of a connection is the end of its push and nothing else.
                    let _ = serve(stream, &figures).await;
                });
            }
        })
    });
    for line in stdin().lock().lines() {
        let mut figures = figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match line?.as_str() {
            "reset" => figures.reset(),
            _ => println!("{}", figures.report()),
        }
    }
    Ok(())
}

async fn serve(mut stream: TcpStream, figures: &Mutex<Figures>) -> anyhow::Result<()> {
    let mut session = SinkSession::new(ConnectAnswer::Accept, PublishAnswer::Accept);
    let mut buffer = vec![0; READ_BYTES];
    let mut key = String::new();
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let events = session.feed(&buffer[..length])?;
        let output = session.take_output();
        if !output.is_empty() {
            stream.write_all(&output).await?;
        }
        for event in events {
            match event {
                SinkEvent::Published { stream_key } => key = stream_key,
                SinkEvent::Media(tag) if is_video_frame(&tag) => {
                    let Some(stamp) = stamp::read(&tag.body) else { continue };
                    let mut figures = figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    figures.frame(&key, stamp, is_keyframe(&tag));
                }
                _ => {}
            }
        }
    }
}

impl Figures {
    fn frame(&mut self, key: &str, stamp: Stamp, keyframe: bool) {
        let now_ns = stamp::now_ns();
        self.latencies_us.push(u32::try_from(now_ns.saturating_sub(stamp.sent_at_ns) / 1000).unwrap_or(u32::MAX));
        if !self.pushes.contains_key(key) {
            self.pushes.insert(key.to_owned(), Push::default());
        }
        let Some(push) = self.pushes.get_mut(key) else { return };
        if push.first.is_none() {
            (push.first, push.first_at_ns, push.first_was_keyframe) = (Some(stamp), now_ns, keyframe);
        } else {
            push.lost += stamp.number.saturating_sub(push.last_number + 1);
        }
        push.last_number = stamp.number;
        push.frames += 1;
    }

    fn reset(&mut self) {
        self.latencies_us.clear();
        for push in self.pushes.values_mut() {
            (push.frames, push.lost) = (0, 0);
        }
    }

    fn report(&mut self) -> Value {
        self.latencies_us.sort_unstable();
        let percentile = |percent: usize| {
            let at = (self.latencies_us.len() * percent / 100).min(self.latencies_us.len().saturating_sub(1));
            self.latencies_us.get(at).map(|us| f64::from(*us) / 1000.0)
        };
        json!({
            "pushes": self.pushes.len(),
            "last_first_video_at_ns": self.pushes.values().map(|push| push.first_at_ns).max(),
            "first_frame_number_max": self.pushes.values().filter_map(|push| push.first).map(|stamp| stamp.number).max(),
            "began_with_keyframe": self.pushes.values().all(|push| push.first_was_keyframe),
            "frames": self.pushes.values().map(|push| push.frames).sum::<u64>(),
            "frames_lost": self.pushes.values().map(|push| push.lost).sum::<u64>(),
            "latency_p50_ms": percentile(50),
            "latency_p99_ms": percentile(99),
        })
    }
}
