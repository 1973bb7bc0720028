//! The threads that push media. A viewer's packets are encrypted and sent by the thread that pushes them, so viewers are dealt out to a few
//! threads, and the one that reads from the server never waits for a viewer.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use weir_media::MediaTime;

use super::sender::{ReadyPayload, Sender};

/// One core encrypts and sends to some 130 viewers of 1 Mbit/s.
const THREADS_MAX: usize = 8;

/// So much may wait for one thread: half a second of a hundred viewers. What does not fit is lost, and viewers ask for a keyframe.
const WAITING_MAX: usize = 2_048;

pub(crate) type ReadyBatch = Arc<Vec<ReadyPayload>>;

/// What a thread does for one of its viewers.
pub(crate) enum Task {
    Join(Box<Sender>),
    Show { batch: ReadyBatch, from: usize, to: usize, pictures: bool, sound: bool, newest: MediaTime },
    Splice(MediaTime),
    Leave,
}

pub(crate) struct FanOut {
    threads: Vec<SyncSender<(u32, Task)>>,
}

impl FanOut {
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let threads = (0..count).map(|number| {
            let (tasks, waiting) = sync_channel(WAITING_MAX);
            thread::Builder::new().name(format!("fan-out-{number}")).spawn(move || run(&waiting))?;
            Ok(tasks)
        });
        Ok(Self { threads: threads.collect::<io::Result<_>>()? })
    }

    fn thread_of(&self, viewer: u32) -> Option<&SyncSender<(u32, Task)>> {
        self.threads.get(viewer as usize % self.threads.len().max(1))
    }

    /// Has it done in its turn, however long that takes: somebody who joins or leaves must not be lost.
    pub(crate) fn surely(&self, viewer: u32, task: Task) {
        if let Some(thread) = self.thread_of(viewer) {
            let _ = thread.send((viewer, task));
        }
    }

    /// Has it done in its turn, unless too much waits.
    pub(crate) fn perhaps(&self, viewer: u32, task: Task) {
        if let Some(thread) = self.thread_of(viewer) {
            let _ = thread.try_send((viewer, task));
        }
    }
}

fn run(waiting: &Receiver<(u32, Task)>) {
    let mut senders: HashMap<u32, Sender> = HashMap::new();
    while let Ok((viewer, task)) = waiting.recv() {
        match (task, senders.get_mut(&viewer)) {
            (Task::Join(sender), _) => drop(senders.insert(viewer, *sender)),
            (Task::Leave, _) => drop(senders.remove(&viewer)),
            (Task::Show { batch, from, to, pictures, sound, newest }, Some(sender)) => {
                let payloads = batch.get(from..to.min(batch.len())).unwrap_or_default();
                let wanted = |payload: &&ReadyPayload| if payload.is_picture { pictures } else { sound };
                let wanted: Vec<&ReadyPayload> = payloads.iter().filter(wanted).collect();
                sender.write(&wanted, newest, Instant::now());
            }
            (Task::Splice(time), Some(sender)) => sender.splice(time, Instant::now()),
            (Task::Show { .. } | Task::Splice(_), None) => {}
        }
    }
}
