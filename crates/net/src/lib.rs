//! Who may come in and where we may go: connection caps, and egress rules for everything that connects outwards.

mod caps;
mod in_force;

pub use caps::{Caps, Permit};
pub use in_force::InForce;
