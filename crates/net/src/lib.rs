//! Who may come in and where we may go: connection caps, and egress rules for everything that connects outwards.

mod caps;
mod egress;
mod guesses;
mod in_force;
mod network;
mod reached;
mod tls_fault;

pub use caps::{Caps, Permit};
pub use egress::{Egress, EgressFault};
pub use guesses::{GuessLimit, GuessRules};
pub use in_force::InForce;
pub use network::network;
pub use tls_fault::tls_fault;
