//! The driver's library. It is loaded when it is there, and looked for again when it was not.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::{Inventory, device};

/// The library stays open: starting it takes some hundred milliseconds on a machine with many cards.
static OPEN: Mutex<Option<Nvml>> = Mutex::new(None);

/// The library's name that every driver installs. The name without a number comes with the toolkit only.
const LIBRARY: &str = "libnvidia-ml.so.1";

pub(crate) fn inventory() -> Inventory {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let nvml = match open.take().map_or_else(|| load(Path::new(LIBRARY)), Ok) {
        Ok(nvml) => nvml,
        Err(error) => return none(&error),
    };
    match read(&nvml) {
        Ok(inventory) => {
            *open = Some(nvml);
            inventory
        }
        // The driver was replaced while it was in use; the next call opens it anew.
        Err(error) => none(&error),
    }
}

pub(crate) fn inventory_by(library: &Path) -> Inventory {
    load(library).and_then(|nvml| read(&nvml)).unwrap_or_else(|error| none(&error))
}

fn load(library: &Path) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library.as_os_str()).init()
}

fn none(error: &NvmlError) -> Inventory {
    let reason = match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "no NVIDIA driver is installed (libnvidia-ml.so.1 is not there)".to_owned()
        }
        NvmlError::DriverNotLoaded => "the NVIDIA driver is installed and not loaded".to_owned(),
        NvmlError::NoPermission => "this user may not use the NVIDIA driver".to_owned(),
        NvmlError::LibRmVersionMismatch => {
            "the NVIDIA driver was replaced: its kernel module and its library differ until the machine is restarted"
                .to_owned()
        }
        other => format!("the NVIDIA driver: {other}"),
    };
    Inventory { reason: Some(reason), ..Inventory::default() }
}

fn read(nvml: &Nvml) -> Result<Inventory, NvmlError> {
    let driver = nvml.sys_driver_version().ok();
    let count = nvml.device_count()?;
    let one = |index| match nvml.device_by_index(index) {
        Ok(device) => device::read(index, &device),
        Err(error) => device::unreadable(index, &error),
    };
    let devices: Vec<_> = (0..count).map(one).collect();
    let reason = devices.is_empty().then(|| "the NVIDIA driver sees no device".to_owned());
    Ok(Inventory { driver, devices, reason })
}
