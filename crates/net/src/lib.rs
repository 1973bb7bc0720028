//! Who may come in and where we may go: connection caps, and egress rules for everything that connects outwards.

mod caps;

pub use caps::{Caps, Permit};
