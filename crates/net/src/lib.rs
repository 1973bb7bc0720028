//! Who may come in and where we may go: connection caps, and egress rules for everything that connects outwards.

mod caps;
mod egress;
mod in_force;
mod reached;

pub use caps::{Caps, Permit};
pub use egress::{Egress, EgressFault};
pub use in_force::InForce;
