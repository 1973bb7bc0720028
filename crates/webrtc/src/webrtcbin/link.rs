//! The server's end of the process of `webrtcbin`: whether it serves, what goes to it, and whom what it tells is for.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use weir_hub::Item as _;

use super::message::{
    Decoder, Far, FromProcess, Ours, ProcessStart, ToProcess, WhyOver, decode_from_process, encode_to_process, fits,
};
use super::window::Window;
use crate::channel::Over;
use crate::from_frames::RtpBatch;
use crate::peer::Fact;

/// How many messages may wait for the process to read them: a tenth of a second of a hundred viewers. What does not fit is lost.
const WAITING_MAX: usize = 4_096;

/// How many facts may wait for one viewer's connection.
const FACTS_MAX: usize = 64;

/// A viewer is opened within a tenth of a second. The process itself gives up gathering its addresses after two seconds.
const OPENED_WITHIN: Duration = Duration::from_secs(4);

/// One read takes so much.
const READ_BYTES: usize = 16 << 10;

/// What the process is up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has been started, and has not proved yet that it keeps out who shows another certificate.
    Proving,
    Serving,
    /// It failed its proof, for this reason.
    Refused(String),
    /// It is not there, for this reason, and is started again.
    Gone(String),
}

/// A clone is the same one.
#[derive(Clone, Debug)]
pub struct Webrtcbin {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: ProcessStart,
    /// The addresses that viewers are told in place of the process's own.
    public_ips: Vec<IpAddr>,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    state: State,
    session: Option<Arc<Session>>,
}

/// One life of the process.
#[derive(Debug)]
pub(crate) struct Session {
    messages: mpsc::Sender<ToProcess>,
    next_viewer: AtomicU32,
    viewers: Mutex<HashMap<u32, Viewer>>,
    batches: Mutex<Sent>,
}

#[derive(Debug)]
enum Viewer {
    Opening(oneshot::Sender<Result<Ours, String>>, mpsc::Sender<Told>),
    Open(mpsc::Sender<Told>),
}

/// What a viewer's connection is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    Fact(Fact),
    Over(Over),
}

/// The batches that the process has.
#[derive(Debug, Default)]
struct Sent {
    next: u64,
    window: Window<RtpBatch>,
}

/// Who was opened.
#[derive(Debug)]
pub(crate) struct OpenedViewer {
    pub(crate) session: Arc<Session>,
    pub(crate) viewer: u32,
    pub(crate) ours: Ours,
    pub(crate) told: mpsc::Receiver<Told>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webrtcbin {
    pub fn new(start: ProcessStart, public_ips: Vec<IpAddr>) -> Self {
        let place = Place { state: State::Proving, session: None };
        Self { shared: Arc::new(Shared { start, public_ips, place: Mutex::new(place) }) }
    }

    pub fn state(&self) -> State {
        lock(&self.shared.place).state.clone()
    }

    /// Notes that the process is not there.
    pub fn gone(&self, why: &str) {
        *lock(&self.shared.place) = Place { state: State::Gone(why.to_owned()), session: None };
    }

    /// The first and the last port that viewers may come to.
    pub fn ports(&self) -> (u16, u16) {
        (self.shared.start.first_port, self.shared.start.last_port)
    }

    pub(crate) fn public_ips(&self) -> &[IpAddr] {
        &self.shared.public_ips
    }

    /// The process, if it serves.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        lock(&self.shared.place).session.clone()
    }

    /// The number of viewers that it serves.
    pub fn viewers(&self) -> usize {
        self.session().map_or(0, |session| lock(&session.viewers).len())
    }

    /// Talks to a process that was just started, until one of the two ends it. Returns how long it served, and why it is over. Its viewers'
    /// connections end with it.
    pub async fn attend(&self, stream: UnixStream) -> (Duration, String) {
        lock(&self.shared.place).state = State::Proving;
        let (read, write) = stream.into_split();
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        // It has room, as it was just made.
        let _ = messages.try_send(ToProcess::Start(self.shared.start.clone()));
        let session = Arc::new(Session {
            messages,
            next_viewer: AtomicU32::new(1),
            viewers: Mutex::default(),
            batches: Mutex::default(),
        });
        let mut served = None;
        let ended = tokio::select! {
            ended = self.listen(read, &session, &mut served) => ended,
            error = speak(write, waiting) => format!("it can't be talked to: {error}"),
        };
        let mut place = lock(&self.shared.place);
        place.session = None;
        if !matches!(place.state, State::Refused(_)) {
            place.state = State::Gone(ended.clone());
        }
        drop(place);
        // The connections notice that nobody tells them anything any more.
        lock(&session.viewers).clear();
        (served.map_or(Duration::ZERO, |since: Instant| since.elapsed()), ended)
    }

    async fn listen(&self, mut half: OwnedReadHalf, session: &Arc<Session>, served: &mut Option<Instant>) -> String {
        let mut decoder = Decoder::default();
        loop {
            let message = match decoder.next_body() {
                Ok(Some((kind, body))) => decode_from_process(kind, body),
                Ok(None) => {
                    decoder.buffer().reserve(READ_BYTES);
                    match half.read_buf(decoder.buffer()).await {
                        Ok(0) => return "it ended".to_owned(),
                        Ok(_) => continue,
                        Err(error) => return format!("it can't be listened to: {error}"),
                    }
                }
                Err(fault) => Err(fault),
            };
            match message {
                Ok(FromProcess::Proved) => {
                    *served = Some(Instant::now());
                    *lock(&self.shared.place) = Place { state: State::Serving, session: Some(Arc::clone(session)) };
                }
                Ok(FromProcess::Refused { why }) => {
                    lock(&self.shared.place).state = State::Refused(why.clone());
                    return why;
                }
                Ok(message) => session.hear(message),
                Err(fault) => return fault.to_string(),
            }
        }
    }
}

/// Writes what waits. Returns only if that fails.
async fn speak(mut half: OwnedWriteHalf, mut waiting: mpsc::Receiver<ToProcess>) -> io::Error {
    let mut bytes = BytesMut::new();
    loop {
        let Some(message) = waiting.recv().await else { std::future::pending().await };
        encode_to_process(&message, &mut bytes);
        // What else waits goes with it, as far as it is not much.
        while bytes.len() < READ_BYTES {
            let Ok(message) = waiting.try_recv() else { break };
            encode_to_process(&message, &mut bytes);
        }
        if let Err(error) = half.write_all(&bytes).await {
            return error;
        }
        bytes.clear();
    }
}

impl Session {
    /// Has the process open its end for a viewer.
    pub(crate) async fn open(self: Arc<Self>, far: Far) -> Result<OpenedViewer, String> {
        let viewer = self.next_viewer.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let (tell, told) = mpsc::channel(FACTS_MAX);
        lock(&self.viewers).insert(viewer, Viewer::Opening(answer, tell));
        // Whoever gives up waiting leaves nothing behind, in the process either.
        let opening = Opening { session: &self, viewer, is_open: false };
        self.send(ToProcess::Open { viewer, far })?;
        let ours = match timeout(OPENED_WITHIN, answered).await {
            Ok(Ok(ours)) => ours?,
            Ok(Err(_)) => return Err("the process ended".to_owned()),
            Err(_) => return Err("the process did not answer in time".to_owned()),
        };
        opening.done();
        Ok(OpenedViewer { session: Arc::clone(&self), viewer, ours, told })
    }

    fn send(&self, message: ToProcess) -> Result<(), String> {
        self.messages.try_send(message).map_err(|_| "the process does not keep up".to_owned())
    }

    pub(crate) fn splice(&self, viewer: u32, time: weir_media::MediaTime) {
        let _ = self.send(ToProcess::Splice { viewer, time });
    }

    /// Has a viewer shown a part of a batch. The batch goes to the process once, whoever is shown it.
    pub(crate) fn show(&self, batch: &RtpBatch, show: impl FnOnce(u64) -> super::message::Shown) {
        let mut sent = lock(&self.batches);
        let number = match sent.window.find(|kept| kept.is(batch)) {
            Some(number) => number,
            None if !fits(batch.payloads()) => return,
            None => {
                let number = sent.next;
                let message = ToProcess::Batch { number, payloads: batch.payloads().to_vec() };
                // If the process does not keep up, the viewer has a gap here, and asks for a keyframe.
                if self.send(message).is_err() {
                    return;
                }
                sent.next += 1;
                sent.window.push(number, batch.size_bytes(), batch.clone());
                number
            }
        };
        let _ = self.send(ToProcess::Show(show(number)));
    }

    pub(crate) fn close(&self, viewer: u32) {
        if lock(&self.viewers).remove(&viewer).is_some() {
            let _ = self.send(ToProcess::Close { viewer });
        }
    }

    fn hear(&self, message: FromProcess) {
        let mut viewers = lock(&self.viewers);
        match message {
            FromProcess::Opened { viewer, ours } => match viewers.remove(&viewer) {
                Some(Viewer::Opening(answer, tell)) => {
                    viewers.insert(viewer, Viewer::Open(tell));
                    let _ = answer.send(Ok(ours));
                }
                Some(open) => drop(viewers.insert(viewer, open)),
                None => {}
            },
            FromProcess::NotOpened { viewer, why } => {
                if let Some(Viewer::Opening(answer, _)) = viewers.remove(&viewer) {
                    let _ = answer.send(Err(why));
                }
            }
            FromProcess::Connected { viewer } => tell(&viewers, viewer, Told::Fact(Fact::Connected)),
            FromProcess::WantsKeyframe { viewer } => tell(&viewers, viewer, Told::Fact(Fact::WantsKeyframe)),
            FromProcess::Report { viewer, picture, loss_permille, rtt_ms, bytes } => {
                let rtt = rtt_ms.map(|ms| Duration::from_millis(u64::from(ms)));
                let report = Fact::Report { picture, loss_permille: Some(loss_permille), rtt, bytes };
                tell(&viewers, viewer, Told::Fact(report));
            }
            FromProcess::Estimate { viewer, bits_per_second } => {
                tell(&viewers, viewer, Told::Fact(Fact::Estimate { bits_per_second }));
            }
            FromProcess::Over { viewer, why } => {
                let over = if why == WhyOver::Fault { Over::Fault } else { Over::Left };
                tell(&viewers, viewer, Told::Over(over));
            }
            FromProcess::Proved | FromProcess::Refused { .. } => {}
        }
    }
}

/// Tells one viewer's connection. If its queue is full, this is lost: the next report follows in a second.
fn tell(viewers: &HashMap<u32, Viewer>, viewer: u32, told: Told) {
    if let Some(Viewer::Open(tell)) = viewers.get(&viewer) {
        let _ = tell.try_send(told);
    }
}

/// Closes a viewer that is given up before it is open.
struct Opening<'a> {
    session: &'a Session,
    viewer: u32,
    is_open: bool,
}

impl Opening<'_> {
    fn done(mut self) {
        self.is_open = true;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            self.session.close(self.viewer);
        }
    }
}
