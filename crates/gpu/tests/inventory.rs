//! The real loader makes the real calls, on a small driver library that the test builds, and on this machine as it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: its panics are its report")]

use std::path::{Path, PathBuf};
use std::process::Command;

use weir_gpu::{inventory, inventory_by, least_loaded};

fn build(folder: &Path, source: &str) -> PathBuf {
    let (file, library) = (folder.join("stub.c"), folder.join("libnvidia-ml.so.1"));
    std::fs::write(&file, source).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &file]).status().unwrap();
    assert!(built.success());
    library
}

#[test]
fn devices_tell_what_they_can_and_the_rest_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let found = inventory_by(&build(folder.path(), include_str!("nvml_stub.c")));
    assert_eq!((found.driver.as_deref(), found.reason.as_deref()), (Some("550.90.07"), None));
    let [busy, sliced, lost] = &found.devices[..] else { panic!("{found:?}") };
    assert_eq!((busy.name.as_deref(), busy.uuid.as_deref(), busy.mig), (Some("Stub L4"), Some("GPU-1"), false));
    assert_eq!((busy.memory_total_bytes, busy.memory_used_bytes), (Some(24 << 30), Some(2 << 30)));
    assert_eq!((busy.utilization_percent, busy.encoder_percent, busy.decoder_percent), (Some(40), Some(65), Some(30)));
    assert_eq!((busy.encoder_sessions, busy.temperature_celsius), (Some(3), Some(55)));
    assert!(busy.missing.is_empty(), "{busy:?}");
    assert!(sliced.mig && sliced.encoder_percent.is_none() && sliced.encoder_sessions.is_none(), "{sliced:?}");
    let told = sliced.missing.join("; ");
    assert!(told.contains("encoder utilisation: the requested operation is not available"), "{told}");
    assert!(told.contains("encoder sessions: the current user does not have permission"), "{told}");
    assert!(lost.uuid.is_none() && lost.missing[0].starts_with("the device: "), "{lost:?}");
    assert_eq!(least_loaded(&found.devices).map(|device| device.index), Some(1));
}

#[test]
fn a_driver_that_is_not_usable_has_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let reason = |source: &str| inventory_by(&build(folder.path(), source)).reason.unwrap();
    // The answers are NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_NO_PERMISSION, and a library without NVML.
    assert!(reason("int nvmlInit_v2(void) { return 9; }").contains("not loaded"));
    assert!(reason("int nvmlInit_v2(void) { return 4; }").contains("may not use"));
    assert!(reason("int other(void) { return 0; }").starts_with("the NVIDIA driver: "));
    let nowhere = inventory_by(Path::new("/nowhere/libnvidia-ml.so.1"));
    assert!(nowhere.reason.unwrap().starts_with("no NVIDIA driver is installed") && nowhere.devices.is_empty());
}

/// This machine has either devices or a reason for having none, and says the same twice.
#[test]
fn this_machine_answers() {
    let (first, second) = (inventory(), inventory());
    assert_eq!(first.devices.is_empty(), first.reason.is_some(), "{first:?}");
    assert_eq!(first.devices.len(), second.devices.len());
}
