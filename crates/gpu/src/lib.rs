//! NVIDIA devices: what is there, how full its memory is, and how busy its encoders and decoders are.
//!
//! The driver's library (NVML) is loaded when somebody asks, so that the same binary runs on machines without one: an absent driver is
//! a normal answer with a reason. What a device does not tell (MIG slices, old cards, missing rights) is unknown, never zero.

mod device;
mod driver;
mod placement;

use std::path::Path;

pub use device::Device;
pub use placement::least_loaded;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// The driver's version.
    pub driver: Option<String>,
    pub devices: Vec<Device>,
    /// Why there are no devices, where there are none.
    pub reason: Option<String>,
}

/// Asks the driver, which takes milliseconds with one and microseconds without. It blocks, so it is not for a lane.
pub fn inventory() -> Inventory {
    driver::inventory()
}

/// The same by a library at a known place: for tests.
pub fn inventory_by(library: &Path) -> Inventory {
    driver::inventory_by(library)
}
