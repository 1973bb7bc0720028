//! Writes the NVIDIA devices as Prometheus text, with one line for each figure that their driver tells.

use std::fmt::Write as _;

use weir_gpu::{Device, Inventory};

type Figure = fn(&Device) -> Option<f64>;

const FIGURES: [(&str, &str, Figure); 7] = [
    ("weir_gpu_memory_total_bytes", "The memory of the GPU.", |device| Some(device.memory_total_bytes? as f64)),
    ("weir_gpu_memory_used_bytes", "The memory that programs take.", |device| Some(device.memory_used_bytes? as f64)),
    ("weir_gpu_utilization_percent", "Load of the compute units.", |device| device.utilization_percent.map(f64::from)),
    ("weir_gpu_encoder_percent", "Load of the encoders.", |device| device.encoder_percent.map(f64::from)),
    ("weir_gpu_decoder_percent", "Load of the decoders.", |device| device.decoder_percent.map(f64::from)),
    ("weir_gpu_encoder_sessions", "Sessions of all programs.", |device| device.encoder_sessions.map(f64::from)),
    ("weir_gpu_temperature_celsius", "Temperature of the chip.", |device| device.temperature_celsius.map(f64::from)),
];

/// The text, which is empty if there are no devices.
pub(crate) fn render(inventory: &Inventory) -> String {
    let mut text = String::new();
    for (name, help, figure) in FIGURES {
        let mut lines = inventory.devices.iter().filter_map(|device| Some((device, figure(device)?))).peekable();
        if lines.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (device, value) in lines {
            let uuid = device.uuid.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{name}{{gpu=\"{}\",uuid=\"{uuid}\"}} {value}", device.index);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_a_line() {
        assert_eq!(render(&Inventory::default()), "");
        let busy = Device { uuid: Some("GPU-1".to_owned()), encoder_percent: Some(65), ..Device::default() };
        let silent = Device { index: 1, ..Device::default() };
        let text = render(&Inventory { devices: vec![busy, silent], ..Inventory::default() });
        assert_eq!(
            text,
            "# HELP weir_gpu_encoder_percent Load of the encoders.\n# TYPE weir_gpu_encoder_percent gauge\n\
             weir_gpu_encoder_percent{gpu=\"0\",uuid=\"GPU-1\"} 65\n"
        );
    }
}
