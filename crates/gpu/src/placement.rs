//! Chooses the device that takes the next stream. It is pure.

use crate::Device;

/// A worker decodes and scales beside encoding; with less free memory
/// than this it fails in the middle. One 1080p stream takes about 300 MB.
const MEMORY_FREE_MIN_BYTES: u64 = 512 << 20;

/// Encoders that are busier than this have no time for another stream.
const ENCODER_PERCENT_MAX: u32 = 95;

/// The device with the least to do: by its encoders, then its decoders, its sessions and its memory. What a device does not report counts
/// as nothing, so that a driver without figures still gets streams. None where all devices are full or can't be opened.
pub fn least_loaded(devices: &[Device]) -> Option<&Device> {
    let usable = devices.iter().filter(|device| device.uuid.is_some() && has_room(device));
    usable.min_by_key(|device| {
        let percent = |figure: Option<u32>| figure.unwrap_or_default();
        let used = device.memory_used_bytes.unwrap_or_default();
        let sessions = device.encoder_sessions.unwrap_or_default();
        (percent(device.encoder_percent).max(percent(device.decoder_percent)), sessions, used, device.index)
    })
}

fn has_room(device: &Device) -> bool {
    let free = device.memory_total_bytes.zip(device.memory_used_bytes).map(|(total, used)| total.saturating_sub(used));
    let idle = device.encoder_percent.is_none_or(|percent| percent <= ENCODER_PERCENT_MAX);
    idle && free.is_none_or(|free| free >= MEMORY_FREE_MIN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: u32, encoder: Option<u32>, sessions: u32, used_mb: u64) -> Device {
        Device {
            index,
            uuid: Some(format!("GPU-{index}")),
            encoder_percent: encoder,
            encoder_sessions: Some(sessions),
            memory_total_bytes: Some(8192 << 20),
            memory_used_bytes: Some(used_mb << 20),
            ..Device::default()
        }
    }

    #[test]
    fn the_idle_one_wins() {
        let unreadable = Device { uuid: None, ..device(9, None, 0, 0) };
        let decoding = Device { decoder_percent: Some(90), ..device(2, Some(5), 0, 0) };
        for (devices, expected) in [
            (vec![], None),
            (vec![unreadable.clone()], None),
            (vec![device(0, Some(80), 1, 10), device(1, Some(10), 9, 10)], Some(1)),
            (vec![device(0, Some(10), 2, 10), device(1, Some(10), 1, 900)], Some(1)),
            (vec![device(0, Some(10), 1, 900), device(1, Some(10), 1, 10)], Some(1)),
            (vec![device(0, None, 0, 0), device(1, None, 0, 0)], Some(0)),
            (vec![device(0, Some(0), 0, 8000), device(1, Some(50), 3, 10)], Some(1)),
            (vec![device(0, Some(0), 0, 8000)], None),
            (vec![device(0, Some(96), 0, 10)], None),
            (vec![device(0, Some(96), 0, 10), device(1, Some(94), 9, 900)], Some(1)),
            (vec![device(0, Some(60), 0, 0), decoding, unreadable], Some(0)),
        ] {
            assert_eq!(least_loaded(&devices).map(|device| device.index), expected, "{devices:?}");
        }
    }
}
