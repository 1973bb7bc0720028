//! Who may come in and where we may go: connection caps, who is behind a proxy, and egress rules for everything that connects outwards.

mod caps;
mod egress;
mod forwarded;
mod guesses;
mod in_force;
mod network;
mod proxy_header;
mod reached;
mod tls_fault;
mod trusted_proxies;

pub use caps::{CapLimits, Caps, Permit, Place, Visit};
pub use egress::{Egress, EgressFault};
pub use forwarded::Said;
pub use guesses::{GuessLimit, GuessRules};
pub use in_force::InForce;
pub use network::network;
pub use proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ReadProxyHeader, read_proxy_header};
pub use tls_fault::tls_fault;
pub use trusted_proxies::{Client, TrustedProxies};
