//! NVIDIA devices: which there are, how full their memory is, and how busy their encoders and decoders are.
//!
//! The driver's library (NVML) is loaded when somebody asks, so that the same binary runs on machines without one: an absent driver is a
//! normal answer with a reason. What a device does not report (MIG slices, old cards, missing rights) is unknown, never zero.

mod device;
mod driver;
mod placement;

use std::path::Path;

pub use device::Device;
pub use placement::least_loaded;

/// The devices of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// The driver's version.
    pub driver: Option<String>,
    pub devices: Vec<Device>,
    /// Why there are no devices, where there are none.
    pub reason: Option<String>,
}

/// Asks the driver, which takes milliseconds where there is one and
/// microseconds where there is none. It blocks, so it must not run on a lane.
pub fn inventory() -> Inventory {
    driver::inventory()
}

/// Asks through a library at a known place, for tests.
pub fn inventory_by(library: &Path) -> Inventory {
    driver::inventory_by(library)
}
