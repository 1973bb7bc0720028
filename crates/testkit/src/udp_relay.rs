//! A bad path for UDP: packets are lost now and then, and come late, in both directions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time between two looks when nothing is under way: short beside any delay that a test asks for.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// A narrow path has a queue of so long before it. What does not fit is lost.
const QUEUE_MAX: Duration = Duration::from_millis(200);

/// How bad the path is.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The loss in each direction.
    pub loss_percent: f64,
    /// The delay in each direction, which is half of the round trip.
    pub delay: Duration,
}

/// Listens on a port of its own and passes packets on to one address, for any number of callers.
#[derive(Debug)]
pub struct UdpRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    lost: AtomicU64,
    passed: AtomicU64,
    /// What goes back to callers by the second; 0 is no limit.
    back_bits_per_second: AtomicU64,
}

/// A packet under way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    due: Instant,
    /// Packets due at the same time stay in their order.
    number: u64,
    /// The caller's number, and whether the packet goes back to that caller.
    caller: usize,
    back: bool,
    packet: Vec<u8>,
}

impl UdpRelay {
    pub fn start(to: SocketAddr, path: Path) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket.set_nonblocking(true).expect("a socket can be made so");
        let address = socket.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || Relaying::new(socket, to, path, of_thread).run());
        Self { address, shared, thread: Some(thread) }
    }

    /// The address to call instead of the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the way back to the callers as narrow as that, for all of them together; none makes it wide again.
    pub fn narrow(&self, bits_per_second: Option<u64>) {
        self.shared.back_bits_per_second.store(bits_per_second.unwrap_or(0), Ordering::Relaxed);
    }

    /// How many packets were lost and passed on so far, in both directions.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.lost.load(Ordering::Relaxed), self.shared.passed.load(Ordering::Relaxed))
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread can only have ended by a panic of its own, which has been printed.
            let _ = thread.join();
        }
    }
}

struct Relaying {
    front: UdpSocket,
    to: SocketAddr,
    path: Path,
    shared: Arc<Shared>,
    /// Each caller's address, and the socket that stands for that caller at the far end.
    callers: Vec<(SocketAddr, UdpSocket)>,
    numbers: HashMap<SocketAddr, usize>,
    late: BinaryHeap<Reverse<Late>>,
    count: u64,
    random: u64,
    /// When the narrow way back has sent all that was given to it.
    back_free: Instant,
}

impl Relaying {
    fn new(front: UdpSocket, to: SocketAddr, path: Path, shared: Arc<Shared>) -> Self {
        Self {
            front,
            to,
            path,
            shared,
            callers: Vec::new(),
            numbers: HashMap::new(),
            late: BinaryHeap::new(),
            count: 0,
            random: 0x9E37_79B9_7F4A_7C15,
            back_free: Instant::now(),
        }
    }

    fn run(&mut self) {
        let mut buffer = [0; 2048];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let mut idle = true;
            while let Ok((length, from)) = self.front.recv_from(&mut buffer) {
                idle = false;
                let caller = self.caller(from);
                self.delay(caller, false, &buffer[..length]);
            }
            for caller in 0..self.callers.len() {
                loop {
                    match self.callers[caller].1.recv(&mut buffer) {
                        Ok(length) => {
                            idle = false;
                            self.delay(caller, true, &buffer[..length]);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        // The kernel reports, once for each packet, that nobody listens there now.
                        Err(_) => break,
                    }
                }
            }
            while self.late.peek().is_some_and(|Reverse(late)| late.due <= Instant::now()) {
                let Some(Reverse(late)) = self.late.pop() else { break };
                let (address, behind) = &self.callers[late.caller];
                // A full buffer or an absent listener is one more loss.
                let _ = if late.back { self.front.send_to(&late.packet, address) } else { behind.send(&late.packet) };
                self.shared.passed.fetch_add(1, Ordering::Relaxed);
            }
            if idle {
                thread::sleep(LOOK_EVERY);
            }
        }
    }

    fn caller(&mut self, from: SocketAddr) -> usize {
        if let Some(number) = self.numbers.get(&from) {
            return *number;
        }
        let behind = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        behind.connect(self.to).expect("an address of this machine");
        behind.set_nonblocking(true).expect("a socket can be made so");
        self.callers.push((from, behind));
        self.numbers.insert(from, self.callers.len() - 1);
        self.callers.len() - 1
    }

    fn delay(&mut self, caller: usize, back: bool, packet: &[u8]) {
        let now = Instant::now();
        let sent = if back { self.through_the_narrow(packet.len(), now) } else { Some(now) };
        let Some(sent) = sent.filter(|_| self.chance() * 100.0 >= self.path.loss_percent) else {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.count += 1;
        let due = sent + self.path.delay;
        self.late.push(Reverse(Late { due, number: self.count, caller, back, packet: packet.to_vec() }));
    }

    /// When the packet is through the narrow part of the way back; none where the queue before it is full.
    fn through_the_narrow(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let bits_per_second = self.shared.back_bits_per_second.load(Ordering::Relaxed);
        if bits_per_second == 0 {
            return Some(now);
        }
        let begin = self.back_free.max(now);
        if begin - now > QUEUE_MAX {
            return None;
        }
        self.back_free = begin + Duration::from_secs_f64(bytes as f64 * 8.0 / bits_per_second as f64);
        Some(self.back_free)
    }

    /// xorshift64, which gives the same losses in every run.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loses_what_it_should_and_delays_the_rest() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        let delay = Duration::from_millis(20);
        let relay = UdpRelay::start(far.local_addr().unwrap(), Path { loss_percent: 10.0, delay });
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let began = Instant::now();
        for _ in 0..2_000 {
            near.send_to(b"there", relay.address()).unwrap();
            thread::sleep(Duration::from_micros(20));
        }
        let mut buffer = [0; 100];
        let (_, behind) = far.recv_from(&mut buffer).unwrap();
        assert!(began.elapsed() >= delay);
        crate::wait_until("all had passed or was lost", Duration::from_secs(30), || {
            let (lost, passed) = relay.counts();
            lost + passed == 2_000
        });
        let (lost, _) = relay.counts();
        assert!((120..=280).contains(&lost), "{lost} of 2000 are not a tenth");
        // The same is sent back: one of a hundred surely comes.
        (0..100).for_each(|_| assert_eq!(far.send_to(b"back", behind).unwrap(), 4));
        near.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(near.recv(&mut buffer).unwrap(), 4);
    }
}
