//! libsrt, made safe: the one module that may use `unsafe`. It gives out handles that close themselves, and plain data.
//!
//! The 25 functions are declared by hand: bindgen would want clang on every machine that builds. Numbers and layouts are those of
//! `srt/srt.h` 1.4 to 1.5, which its makers keep compatible; the tests of this crate run all of it.

#![allow(unsafe_code, reason = "a C library is called here and nowhere else")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use socket2::SockAddr;

type Id = c_int;
type HookFn = unsafe extern "C" fn(*mut c_void, Id, c_int, *const c_void, *const c_char) -> c_int;
type LogFn = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, c_int, *const c_char, *const c_char);

// This is the GnuTLS flavour, because Debian's GStreamer and ffmpeg load it, and two libsrt in one process would share symbols.
#[link(name = "srt-gnutls")]
unsafe extern "C" {
    fn srt_startup() -> c_int;
    fn srt_setloglevel(level: c_int);
    fn srt_setloghandler(opaque: *mut c_void, handler: LogFn);
    fn srt_create_socket() -> Id;
    fn srt_close(socket: Id) -> c_int;
    fn srt_bind(socket: Id, name: *const c_void, length: c_int) -> c_int;
    fn srt_listen(socket: Id, backlog: c_int) -> c_int;
    fn srt_listen_callback(socket: Id, hook: HookFn, opaque: *mut c_void) -> c_int;
    fn srt_accept(socket: Id, address: *mut c_void, length: *mut c_int) -> Id;
    fn srt_connect(socket: Id, name: *const c_void, length: c_int) -> c_int;
    fn srt_getsockname(socket: Id, name: *mut c_void, length: *mut c_int) -> c_int;
    fn srt_setsockflag(socket: Id, option: c_int, value: *const c_void, length: c_int) -> c_int;
    fn srt_getsockflag(socket: Id, option: c_int, value: *mut c_void, length: *mut c_int) -> c_int;
    fn srt_sendmsg2(socket: Id, data: *const c_char, length: c_int, control: *mut c_void) -> c_int;
    fn srt_recvmsg2(socket: Id, data: *mut c_char, length: c_int, control: *mut c_void) -> c_int;
    fn srt_getlasterror(errno: *mut c_int) -> c_int;
    fn srt_getlasterror_str() -> *const c_char;
    fn srt_getsockstate(socket: Id) -> c_int;
    fn srt_getrejectreason(socket: Id) -> c_int;
    fn srt_setrejectreason(socket: Id, reason: c_int) -> c_int;
    fn srt_bistats(socket: Id, stats: *mut RawStats, clear: c_int, instantaneous: c_int) -> c_int;
    fn srt_epoll_create() -> c_int;
    fn srt_epoll_set(epoll: c_int, flags: i32) -> i32;
    fn srt_epoll_add_usock(epoll: c_int, socket: Id, events: *const c_int) -> c_int;
    fn srt_epoll_remove_usock(epoll: c_int, socket: Id) -> c_int;
    fn srt_epoll_uwait(epoll: c_int, events: *mut Event, length: c_int, timeout_ms: i64) -> c_int;
}

/// Socket options that we set or read (`SRT_SOCKOPT`).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum Opt {
    SendBlocks = 1,
    ReceiveBlocks = 2,
    SendBufferBytes = 5,
    ReceiveBufferBytes = 6,
    UdpReceiveBufferBytes = 9,
    ReuseAddress = 15,
    BandwidthBytesMax = 16,
    LatencyMs = 23,
    Passphrase = 26,
    KeyBytes = 27,
    ConnectTimeoutMs = 36,
    StreamId = 46,
    PayloadBytes = 49,
    Ipv6Only = 54,
    PeerIdleTimeoutMs = 55,
}

/// Error codes that mean something to us (`SRT_ERRNO`).
pub(crate) mod code {
    pub(crate) const CONNECTION_LOST: i32 = 2001;
    pub(crate) const NOT_CONNECTED: i32 = 2002;
    pub(crate) const BAD_SOCKET: i32 = 5004;
    pub(crate) const WOULD_BLOCK_SEND: i32 = 6001;
    pub(crate) const WOULD_BLOCK_RECEIVE: i32 = 6002;
    pub(crate) const CONGESTED: i32 = 6004;
}

/// The state of a connection (`SRT_SOCKSTATUS`), as far as we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Connected,
    Broken,
}

/// Readiness (`SRT_EPOLL_OPT`).
pub(crate) const READABLE: i32 = 1;
pub(crate) const WRITABLE: i32 = 4;
pub(crate) const FAILED: i32 = 8;
const EDGE_TRIGGERED: i32 = i32::MIN;
const EPOLL_ENABLE_EMPTY: i32 = 1;

/// libsrt's own limit for stream ids, and the ending zero.
const STREAM_ID_BYTES: usize = 512 + 1;

/// Only faults that make libsrt end are logged: at "error" a stranger's broken packets would fill the log.
const LOG_LEVEL_CRITICAL: c_int = 2;

/// A fault as libsrt tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    pub(crate) message: String,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Event {
    pub(crate) socket: i32,
    pub(crate) events: i32,
}

/// `CBytePerfMon` with every field in its order. The fields with names are read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawStats {
    ms_time_stamp: i64,
    pub(crate) pkt_sent_total: i64,
    pub(crate) pkt_recv_total: i64,
    pub(crate) pkt_snd_loss_total: c_int,
    pub(crate) pkt_rcv_loss_total: c_int,
    pub(crate) pkt_retrans_total: c_int,
    acks_and_naks_total: [c_int; 4],
    us_snd_duration_total: i64,
    pub(crate) pkt_snd_drop_total: c_int,
    pub(crate) pkt_rcv_drop_total: c_int,
    pub(crate) pkt_rcv_undecrypt_total: c_int,
    byte_sent_total: u64,
    byte_recv_total: u64,
    byte_rcv_loss_total: u64,
    byte_retrans_total: u64,
    pub(crate) byte_snd_drop_total: u64,
    byte_rcv_drop_total: u64,
    byte_rcv_undecrypt_total: u64,
    pkt_sent: i64,
    pkt_recv: i64,
    local_counts: [c_int; 8],
    pub(crate) mbps_send_rate: f64,
    pub(crate) mbps_recv_rate: f64,
    us_snd_duration: i64,
    pkt_reorder_distance: c_int,
    pkt_rcv_avg_belated_time: f64,
    pkt_rcv_belated: i64,
    local_drops: [c_int; 3],
    local_bytes: [u64; 7],
    us_pkt_snd_period: f64,
    windows: [c_int; 3],
    pub(crate) ms_rtt: f64,
    pub(crate) mbps_bandwidth: f64,
    available_buffers: [c_int; 2],
    mbps_max_bw: f64,
    byte_mss: c_int,
    pub(crate) pkt_snd_buf: c_int,
    pub(crate) byte_snd_buf: c_int,
    pub(crate) ms_snd_buf: c_int,
    pub(crate) ms_snd_tsbpd_delay: c_int,
    pkt_rcv_buf: c_int,
    byte_rcv_buf: c_int,
    pub(crate) ms_rcv_buf: c_int,
    pub(crate) ms_rcv_tsbpd_delay: c_int,
    filter_counts: [c_int; 9],
    pub(crate) pkt_sent_unique_total: i64,
    pub(crate) pkt_recv_unique_total: i64,
    byte_sent_unique_total: u64,
    byte_recv_unique_total: u64,
    local_unique: [u64; 4],
}

// This is the size on every 64-bit Linux. A field that is missing or too much above would show here.
const _: () = assert!(size_of::<RawStats>() == 496, "CBytePerfMon has another layout than libsrt 1.5");

/// Answers whether a caller may come in; see [`Socket::set_hook`].
pub(crate) type Hook = Box<dyn Fn(&Asking<'_>) -> Answer + Send + Sync>;

/// A caller that asks to come in.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) stream_id: &'a str,
    pub(crate) remote: SocketAddr,
}

/// The hook's answer to a caller.
#[derive(Debug)]
pub(crate) enum Answer {
    Admit { passphrase: Option<String>, latency_ms: Option<i32> },
    Reject(i32),
}

/// One of libsrt's sockets; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket {
    id: Id,
}

impl Socket {
    pub(crate) fn create() -> Result<Self, Fault> {
        start();
        // SAFETY: the call takes nothing, and the library was started.
        checked(unsafe { srt_create_socket() }).map(|id| Self { id })
    }

    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    pub(crate) fn set_int(&self, option: Opt, value: i32) -> Result<(), Fault> {
        self.set(option, &value.to_ne_bytes())
    }

    pub(crate) fn set_long(&self, option: Opt, value: i64) -> Result<(), Fault> {
        self.set(option, &value.to_ne_bytes())
    }

    pub(crate) fn set_flag(&self, option: Opt, value: bool) -> Result<(), Fault> {
        self.set(option, &[u8::from(value)])
    }

    pub(crate) fn set_text(&self, option: Opt, value: &str) -> Result<(), Fault> {
        self.set(option, value.as_bytes())
    }

    fn set(&self, option: Opt, value: &[u8]) -> Result<(), Fault> {
        set_option(self.id, option, value)
    }

    pub(crate) fn stream_id(&self) -> String {
        let mut bytes = [0_u8; STREAM_ID_BYTES];
        let mut length = c_int::try_from(bytes.len()).unwrap_or(0);
        // SAFETY: the library writes at most `length` bytes into `bytes`, and says how many.
        let read =
            unsafe { srt_getsockflag(self.id, Opt::StreamId as c_int, bytes.as_mut_ptr().cast(), &raw mut length) };
        let length = if read < 0 { 0 } else { usize::try_from(length).unwrap_or(0) };
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
        text.trim_end_matches('\0').to_owned()
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> Result<(), Fault> {
        let address = SockAddr::from(address);
        // SAFETY: pointer and length are of one address that lives over the call.
        checked(unsafe { srt_bind(self.id, address.as_ptr().cast(), length_of(&address)) }).map(drop)
    }

    pub(crate) fn local_addr(&self) -> Result<SocketAddr, Fault> {
        // SAFETY: the library writes one socket address of at most `length` bytes.
        read_address(|name, length| unsafe { srt_getsockname(self.id, name, length) }).map(|(_, address)| address)
    }

    pub(crate) fn listen(&self, backlog: i32) -> Result<(), Fault> {
        // SAFETY: the call takes plain numbers.
        checked(unsafe { srt_listen(self.id, backlog) }).map(drop)
    }

    /// Has `hook` asked about every caller, on libsrt's own thread, so it must not wait for anything.
    ///
    /// The hook stays for the life of the process: libsrt may be inside of it when its listener is closed, and does not say when it has
    /// left. A server has one.
    pub(crate) fn set_hook(&self, hook: Hook) -> Result<(), Fault> {
        let hook: &'static Hook = Box::leak(Box::new(hook));
        // SAFETY: `hook` is never freed, and `on_caller` takes it for what it is.
        checked(unsafe { srt_listen_callback(self.id, on_caller, std::ptr::from_ref(hook).cast_mut().cast()) })
            .map(drop)
    }

    pub(crate) fn accept(&self) -> Result<(Self, SocketAddr), Fault> {
        // SAFETY: the library writes one socket address of at most `length` bytes.
        let (id, remote) = read_address(|name, length| unsafe { srt_accept(self.id, name, length) })?;
        Ok((Self { id }, remote))
    }

    /// Begins to call. [`Self::state`] tells how it ends.
    pub(crate) fn connect(&self, address: SocketAddr) -> Result<(), Fault> {
        let address = SockAddr::from(address);
        // SAFETY: pointer and length are of one address that lives over the call.
        checked(unsafe { srt_connect(self.id, address.as_ptr().cast(), length_of(&address)) }).map(drop)
    }

    pub(crate) fn state(&self) -> State {
        // SAFETY: the call takes a plain number, and answers for one that is no socket, too.
        match unsafe { srt_getsockstate(self.id) } {
            5 => State::Connected,
            1..=4 => State::Connecting,
            _ => State::Broken,
        }
    }

    pub(crate) fn reject_reason(&self) -> i32 {
        // SAFETY: the call takes a plain number.
        unsafe { srt_getrejectreason(self.id) }
    }

    pub(crate) fn send(&self, message: &[u8]) -> Result<(), Fault> {
        let length = c_int::try_from(message.len()).unwrap_or(c_int::MAX);
        // SAFETY: the library reads `length` bytes, all of `message`; no control block is given.
        checked(unsafe { srt_sendmsg2(self.id, message.as_ptr().cast(), length, std::ptr::null_mut()) }).map(drop)
    }

    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let length = c_int::try_from(buffer.len()).unwrap_or(c_int::MAX);
        // SAFETY: the library writes at most `length` bytes into `buffer`; no control block is given.
        let read = unsafe { srt_recvmsg2(self.id, buffer.as_mut_ptr().cast(), length, std::ptr::null_mut()) };
        checked(read).map(|read| usize::try_from(read).unwrap_or(0))
    }

    pub(crate) fn stats(&self) -> Option<RawStats> {
        let mut stats = RawStats::default();
        // SAFETY: `stats` has the layout that the library writes; its size is asserted above.
        let read = unsafe { srt_bistats(self.id, &raw mut stats, 0, 1) };
        (read >= 0).then_some(stats)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        close(self.id);
    }
}

/// Closes a socket. That waits for threads of the library, so a thread of its own does it, and no connection's end holds up the media of
/// others.
fn close(id: Id) {
    static CLOSER: OnceLock<Option<Sender<Id>>> = OnceLock::new();
    let close_now = |id: Id| {
        // SAFETY: the call takes a plain number, and the owner of the socket has dropped it.
        unsafe { srt_close(id) };
    };
    let closer = CLOSER.get_or_init(|| {
        let (sender, ids) = channel::<Id>();
        let run = move || ids.iter().for_each(close_now);
        std::thread::Builder::new().name("srt-close".to_owned()).spawn(run).ok().map(|_| sender)
    });
    let sent = closer.as_ref().is_some_and(|closer| closer.send(id).is_ok());
    if !sent {
        close_now(id);
    }
}

/// Waits for many sockets at once.
#[derive(Debug)]
pub(crate) struct Epoll {
    id: c_int,
}

impl Epoll {
    pub(crate) fn create() -> Result<Self, Fault> {
        start();
        // SAFETY: the call takes nothing, and the library was started.
        let id = checked(unsafe { srt_epoll_create() })?;
        // SAFETY: the call takes plain numbers. To wait for no socket must be no error, because there are none at first.
        unsafe { srt_epoll_set(id, EPOLL_ENABLE_EMPTY) };
        Ok(Self { id })
    }

    pub(crate) fn add(&self, socket: i32, events: i32) -> Result<(), Fault> {
        let events = events | FAILED | EDGE_TRIGGERED;
        // SAFETY: `events` is read during the call.
        checked(unsafe { srt_epoll_add_usock(self.id, socket, &raw const events) }).map(drop)
    }

    pub(crate) fn remove(&self, socket: i32) {
        // SAFETY: the call takes plain numbers. It fails if the socket is gone, which is what is wanted.
        unsafe { srt_epoll_remove_usock(self.id, socket) };
    }

    /// The events that came within the time. There may be none.
    pub(crate) fn wait<'a>(&self, events: &'a mut [Event], timeout_ms: i64) -> &'a [Event] {
        let length = c_int::try_from(events.len()).unwrap_or(c_int::MAX);
        // SAFETY: the library writes at most `length` events, whose layout is the library's.
        let count = unsafe { srt_epoll_uwait(self.id, events.as_mut_ptr(), length, timeout_ms) };
        let count = usize::try_from(count).unwrap_or(0).min(events.len());
        events.get(..count).unwrap_or_default()
    }
}

fn start() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        // SAFETY: this runs once per process, before anything else of the library; `on_log` is a plain function.
        unsafe {
            srt_setloghandler(std::ptr::null_mut(), on_log);
            srt_setloglevel(LOG_LEVEL_CRITICAL);
            srt_startup();
        }
    });
}

fn set_option(id: Id, option: Opt, value: &[u8]) -> Result<(), Fault> {
    let length = c_int::try_from(value.len()).unwrap_or(c_int::MAX);
    // SAFETY: the library reads `length` bytes, all of `value`.
    checked(unsafe { srt_setsockflag(id, option as c_int, value.as_ptr().cast(), length) }).map(drop)
}

fn checked(result: c_int) -> Result<c_int, Fault> {
    if result >= 0 {
        return Ok(result);
    }
    let mut errno = 0;
    // SAFETY: the library writes one number. The text belongs to this thread until its next call, and is copied here.
    let (code, message) = unsafe {
        let code = srt_getlasterror(&raw mut errno);
        let text = srt_getlasterror_str();
        (code, if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() })
    };
    Err(Fault { code, message })
}

fn length_of(address: &SockAddr) -> c_int {
    // The length is at most that of `sockaddr_storage`, 128.
    c_int::try_from(address.len()).unwrap_or(0)
}

/// Runs a call that fills in an address and returns a number.
fn read_address(call: impl FnOnce(*mut c_void, *mut c_int) -> c_int) -> Result<(c_int, SocketAddr), Fault> {
    let fill = |storage: *mut socket2::SockAddrStorage, length: *mut socket2::socklen_t| {
        let mut bytes = c_int::try_from(size_of::<socket2::SockAddrStorage>()).unwrap_or(0);
        let result = call(storage.cast(), &raw mut bytes);
        // SAFETY: `length` is the caller's own variable.
        unsafe { *length = socket2::socklen_t::try_from(bytes).unwrap_or(0) };
        Ok(checked(result))
    };
    // SAFETY: on success the library has filled in a whole address and its length. On failure it is not looked at.
    let filled = unsafe { SockAddr::try_init(fill) };
    let no_address = |message: &str| Fault { code: 0, message: message.to_owned() };
    let (result, address) = filled.map_err(|error| no_address(&error.to_string()))?;
    let result = result?;
    let address = address.as_socket().ok_or_else(|| no_address("an address of no known family"))?;
    Ok((result, address))
}

/// libsrt calls this for each caller, on the thread that reads the port.
unsafe extern "C" fn on_caller(
    opaque: *mut c_void,
    socket: Id,
    _version: c_int,
    peer: *const c_void,
    stream_id: *const c_char,
) -> c_int {
    const REJECTED: c_int = -1;
    const SERVER_ERROR: c_int = 1500;
    // SAFETY: `opaque` is the leaked hook of `set_hook`; the id is a text with its zero, or null, for the time of this call.
    let (hook, stream_id) = unsafe {
        let hook = &*opaque.cast_const().cast::<Hook>();
        (hook, if stream_id.is_null() { c"" } else { CStr::from_ptr(stream_id) })
    };
    // SAFETY: libsrt hands over the peer's address in the layout of its family, which is IPv4 or IPv6.
    let remote = unsafe { address_at(peer) };
    let stream_id = stream_id.to_string_lossy();
    let asking = remote.map(|remote| Asking { stream_id: &stream_id, remote });
    // A panic must not unwind into C++.
    let answer = catch_unwind(AssertUnwindSafe(|| asking.map_or(Answer::Reject(SERVER_ERROR), |asking| hook(&asking))));
    let reason = match answer {
        Ok(Answer::Admit { passphrase, latency_ms }) => {
            let passphrase = passphrase.map_or(Ok(()), |text| set_option(socket, Opt::Passphrase, text.as_bytes()));
            let latency = latency_ms.map_or(Ok(()), |ms| set_option(socket, Opt::LatencyMs, &ms.to_ne_bytes()));
            match passphrase.and(latency) {
                Ok(()) => return 0,
                // A caller never comes in without the passphrase that it should have.
                Err(_) => SERVER_ERROR,
            }
        }
        Ok(Answer::Reject(reason)) => reason,
        Err(_) => SERVER_ERROR,
    };
    // SAFETY: the call takes plain numbers.
    unsafe { srt_setrejectreason(socket, reason) };
    REJECTED
}

/// # Safety
/// `peer` is null or points to a whole `sockaddr_in` or `sockaddr_in6`, as its family says.
unsafe fn address_at(peer: *const c_void) -> Option<SocketAddr> {
    const FAMILY_IPV6: u16 = 10;
    const IPV4_BYTES: usize = 16;
    const IPV6_BYTES: usize = 28;
    if peer.is_null() {
        return None;
    }
    // SAFETY: both kinds begin with the family in two bytes.
    let family = unsafe { peer.cast::<u16>().read_unaligned() };
    let bytes = if family == FAMILY_IPV6 { IPV6_BYTES } else { IPV4_BYTES };
    let fill = |storage: *mut socket2::SockAddrStorage, length: *mut socket2::socklen_t| {
        // SAFETY: the storage is larger than either address, and the source is as long as its family says.
        unsafe {
            std::ptr::copy_nonoverlapping(peer.cast::<u8>(), storage.cast::<u8>(), bytes);
            *length = bytes as socket2::socklen_t;
        }
        Ok(())
    };
    // SAFETY: `fill` has written a whole address.
    let (_, address) = unsafe { SockAddr::try_init(fill) }.ok()?;
    address.as_socket()
}

unsafe extern "C" fn on_log(
    _opaque: *mut c_void,
    level: c_int,
    _file: *const c_char,
    _line: c_int,
    _area: *const c_char,
    message: *const c_char,
) {
    if message.is_null() {
        return;
    }
    // SAFETY: the message is a text with its zero, which lives for the time of this call.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    // The library writes no passphrases. It writes stream ids only at levels that are off.
    let _ = catch_unwind(AssertUnwindSafe(|| tracing::debug!(level, text = text.trim_end(), "libsrt says")));
}
