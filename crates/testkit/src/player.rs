//! RTMP and SRT players without a decoder, which count what they get and notice when they are sent away.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use weir_net::Dialer;
use weir_rtmp::wire::Value;
use weir_srt::{Received, call};

use crate::publisher::{Opening, Status, lost};
use crate::srt;

const SRT_MESSAGE_BYTES: usize = 1_500;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A player that reads in a thread of its own, until it is dropped or the server ends it.
#[derive(Debug)]
pub struct Player {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    ended: AtomicBool,
    dropped: AtomicBool,
}

impl Player {
    /// Plays `rtmp://HOST:PORT/play/NAME`; `name` may have a query. `Err` is the server's refusal.
    pub fn rtmp(address: &str, name: &str) -> Result<Self, Status> {
        let mut opening = Opening::connect(address, "play")?;
        let stream_id = opening.create_stream()?;
        let text = |text: &str| Value::String(text.to_owned());
        let play = [text("play"), Value::Number(5.0), Value::Null, text(name)];
        opening.command(stream_id, &play).map_err(lost)?;
        opening.answer("onStatus")?;
        let player = Self { shared: Arc::default() };
        let shared = Arc::clone(&player.shared);
        let mut stream = opening.into_stream();
        stream.set_read_timeout(Some(LOOK_EVERY)).expect("a socket can wait");
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while !shared.dropped.load(Ordering::Relaxed) {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            shared.ended.store(true, Ordering::Relaxed);
        });
        Ok(player)
    }

    /// Plays by SRT. `address` is the one of the ready line, and `name` may have a query. A refusal ends the player.
    pub fn srt(address: &str, name: &str) -> Self {
        let target = srt::target(address, &format!("request:{name}"), None);
        let player = Self { shared: Arc::default() };
        let shared = Arc::clone(&player.shared);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(async {
                let Ok(mut connection) = call(&target, &Dialer::default()).await else { return };
                let mut buffer = [0; SRT_MESSAGE_BYTES];
                while !shared.dropped.load(Ordering::Relaxed) {
                    match connection.try_receive(&mut buffer) {
                        Received::Message(count) => {
                            shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
                        }
                        Received::Nothing => {
                            let _ = tokio::time::timeout(LOOK_EVERY, connection.readable()).await;
                        }
                        Received::End => return,
                    }
                }
            });
            shared.ended.store(true, Ordering::Relaxed);
        });
        player
    }

    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// True when the server has ended it, or never let it in.
    pub fn was_cut(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.dropped.store(true, Ordering::Relaxed);
    }
}
