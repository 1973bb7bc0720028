//! One thread that waits for all SRT sockets and wakes the tasks that wait for one of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::ffi::{self, Epoll, Event, Fault, Socket};

/// The most events taken in one look.
const EVENTS_AT_ONCE: usize = 256;

/// The thread looks up this often without an event, only so that a wake that the library loses costs a second and not for ever.
const LOOK_UP_MS: i64 = 1_000;

/// Rings when a socket is ready. One task waits for each direction; a ring without a waiter is kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    pub(crate) readable: Notify,
    pub(crate) writable: Notify,
}

/// A socket that the thread watches. Dropping it ends that, then closes the socket.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) socket: Socket,
    pub(crate) bell: Arc<Bell>,
}

#[derive(Debug)]
struct Reactor {
    epoll: Epoll,
    bells: Mutex<HashMap<i32, Arc<Bell>>>,
}

impl Reactor {
    /// The one reactor of the process, which is started when it is first needed.
    fn get() -> Result<&'static Self, Fault> {
        static REACTOR: OnceLock<Result<Reactor, Fault>> = OnceLock::new();
        static THREAD: OnceLock<bool> = OnceLock::new();
        let reactor = REACTOR
            .get_or_init(|| Epoll::create().map(|epoll| Reactor { epoll, bells: Mutex::default() }))
            .as_ref()
            .map_err(Clone::clone)?;
        let runs = THREAD
            .get_or_init(|| std::thread::Builder::new().name("srt-epoll".to_owned()).spawn(|| reactor.run()).is_ok());
        if *runs {
            Ok(reactor)
        } else {
            Err(Fault { code: 0, message: "the thread that waits for SRT sockets can't be started".to_owned() })
        }
    }

    fn run(&self) {
        let mut events = [Event::default(); EVENTS_AT_ONCE];
        loop {
            let ready = self.epoll.wait(&mut events, LOOK_UP_MS);
            if ready.is_empty() {
                continue;
            }
            let bells = self.bells();
            for event in ready {
                let Some(bell) = bells.get(&event.socket) else { continue };
                if event.events & (ffi::READABLE | ffi::FAILED) != 0 {
                    bell.readable.notify_one();
                }
                if event.events & (ffi::WRITABLE | ffi::FAILED) != 0 {
                    bell.writable.notify_one();
                }
            }
        }
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<i32, Arc<Bell>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Watches the socket for these events of [`crate::ffi`], and for failure.
    pub(crate) fn new(socket: Socket, events: i32) -> Result<Self, Fault> {
        let reactor = Reactor::get()?;
        let bell = Arc::new(Bell::default());
        // The bell is known before the socket is watched, so that every event finds it.
        reactor.bells().insert(socket.id(), Arc::clone(&bell));
        if let Err(fault) = reactor.epoll.add(socket.id(), events) {
            reactor.bells().remove(&socket.id());
            return Err(fault);
        }
        Ok(Self { socket, bell })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Ok(reactor) = Reactor::get() {
            reactor.epoll.remove(self.socket.id());
            reactor.bells().remove(&self.socket.id());
        }
    }
}
