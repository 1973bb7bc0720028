//! Who may come in and where the server may go: connection caps, the clients
//! behind a proxy, the one way out for everything that connects to others, and how soon it may be tried again.

mod backoff;
mod capped_listener;
mod caps;
mod dialer;
mod egress;
mod forwarded;
mod guesses;
mod in_force;
mod network;
mod proxy_header;
mod reached;
mod tls_fault;
mod trust;
mod trusted_proxies;

pub use backoff::{Backoff, Eagerness};
pub use capped_listener::{CappedListener, Newcomer, NotOpened};
pub use caps::{CapLimits, Caps, Permit, PlaceUse, Visit};
pub use dialer::{DialFault, Dialer, TcpOptions};
pub use egress::Egress;
pub use forwarded::Said;
pub use guesses::{GuessLimit, GuessRules};
pub use in_force::InForce;
pub use network::network;
pub use proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ReadProxyHeader, read_proxy_header};
pub use tls_fault::tls_fault;
pub use trust::{TrustFault, trusted};
pub use trusted_proxies::{Client, TrustedProxies};
