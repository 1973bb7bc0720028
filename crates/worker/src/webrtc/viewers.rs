//! Who is served. A few threads set viewers up and take them down, which takes some milliseconds each, so that neither media nor others wait.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use weir_webrtc::webrtcbin::{Far, FromProcess};

use super::fan_out::{FanOut, Task};
use super::peer::{Common, Peer};

/// So many viewers are set up or taken down at the same time.
const THREADS: usize = 4;

/// So many may wait for that. Who comes then is refused.
const WAITING_MAX: usize = 128;

enum Job {
    Open(u32, Far),
    TakeDown(Peer),
}

/// What is known of a viewer.
enum Viewer {
    Opening,
    Open(Peer),
}

pub(crate) struct Viewers {
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
}

struct Shared {
    common: Common,
    fan_out: Arc<FanOut>,
    viewers: Mutex<HashMap<u32, Viewer>>,
}

impl Viewers {
    pub(crate) fn start(common: Common, fan_out: Arc<FanOut>) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared { common, fan_out, viewers: Mutex::default() });
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..THREADS {
            let (shared, waiting) = (Arc::clone(&shared), Arc::clone(&waiting));
            thread::Builder::new().name(format!("set-up-{number}")).spawn(move || work(&shared, &waiting))?;
        }
        Ok(Self { shared, jobs })
    }

    pub(crate) fn open(&self, viewer: u32, far: Far) {
        self.shared.viewers().insert(viewer, Viewer::Opening);
        if self.jobs.try_send(Job::Open(viewer, far)).is_err() {
            self.shared.viewers().remove(&viewer);
            let why = "too many viewers come at once".to_owned();
            self.shared.common.outbox.say(FromProcess::NotOpened { viewer, why });
        }
    }

    pub(crate) fn close(&self, viewer: u32) {
        let gone = self.shared.viewers().remove(&viewer);
        if let Some(Viewer::Open(peer)) = gone {
            self.shared.fan_out.surely(viewer, Task::Leave);
            // Who leaves is not refused: it is waited for.
            let _ = self.jobs.send(Job::TakeDown(peer));
        }
    }
}

impl Shared {
    fn viewers(&self) -> MutexGuard<'_, HashMap<u32, Viewer>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, viewer: u32, far: &Far) {
        let outbox = &self.common.outbox;
        match Peer::open(viewer, far, &self.common) {
            Err(why) => {
                self.viewers().remove(&viewer);
                outbox.say(FromProcess::NotOpened { viewer, why });
            }
            Ok((peer, sender, ours)) => {
                let mut viewers = self.viewers();
                // Who was given up meanwhile is taken down with the peer here.
                let Some(place) = viewers.get_mut(&viewer) else {
                    drop(viewers);
                    drop(peer);
                    return;
                };
                self.fan_out.surely(viewer, Task::Join(Box::new(sender)));
                *place = Viewer::Open(peer);
                drop(viewers);
                outbox.say(FromProcess::Opened { viewer, ours });
            }
        }
    }
}

fn work(shared: &Shared, waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(Job::Open(viewer, far)) => shared.open(viewer, &far),
            Ok(Job::TakeDown(peer)) => drop(peer),
            Err(_) => return,
        }
    }
}
