//! One device as it reports itself now. Each answer that it refuses is left out, and the refusal is noted.

use nvml_wrapper::Device as NvmlDevice;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// The device's number by the driver's count, which is also CUDA's when CUDA is told to count by the bus.
    pub index: u32,
    pub name: Option<String>,
    /// The name that `CUDA_VISIBLE_DEVICES` takes.
    pub uuid: Option<String>,
    /// The device is divided into slices; it does not report its utilisation then.
    pub mig: bool,
    pub memory_total_bytes: Option<u64>,
    pub memory_used_bytes: Option<u64>,
    pub utilization_percent: Option<u32>,
    pub encoder_percent: Option<u32>,
    pub decoder_percent: Option<u32>,
    /// The encoder sessions of all programs together.
    pub encoder_sessions: Option<u32>,
    pub temperature_celsius: Option<u32>,
    /// What the device did not report, and why.
    pub missing: Vec<String>,
}

/// A device that can't even be opened: it fell off the bus, or this process may not use it.
pub(crate) fn unreadable(index: u32, error: &NvmlError) -> Device {
    Device { index, missing: vec![format!("the device: {error}")], ..Device::default() }
}

pub(crate) fn read(index: u32, device: &NvmlDevice<'_>) -> Device {
    let mut missing = Vec::new();
    let mut answers = Answers { missing: &mut missing };
    let memory = answers.take("memory", device.memory_info());
    let utilization = answers.take("utilisation", device.utilization_rates());
    let encoder = answers.take("encoder utilisation", device.encoder_utilization());
    let decoder = answers.take("decoder utilisation", device.decoder_utilization());
    let sessions = answers.take("encoder sessions", device.encoder_stats());
    let temperature = answers.take("temperature", device.temperature(TemperatureSensor::Gpu));
    let name = answers.take("name", device.name());
    let uuid = answers.take("uuid", device.uuid());
    // Cards that can't be divided answer "not supported", so they are not divided.
    let mig = device.mig_mode().is_ok_and(|mode| mode.current == MIG_ENABLED);
    Device {
        index,
        name,
        uuid,
        mig,
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.map(|memory| memory.used),
        utilization_percent: utilization.map(|utilization| utilization.gpu),
        encoder_percent: encoder.map(|encoder| encoder.utilization),
        decoder_percent: decoder.map(|decoder| decoder.utilization),
        encoder_sessions: sessions.map(|sessions| sessions.session_count),
        temperature_celsius: temperature,
        missing,
    }
}

/// `NVML_DEVICE_MIG_ENABLE`.
const MIG_ENABLED: u32 = 1;

struct Answers<'a> {
    missing: &'a mut Vec<String>,
}

impl Answers<'_> {
    fn take<T>(&mut self, what: &str, answer: Result<T, NvmlError>) -> Option<T> {
        answer.inspect_err(|error| self.missing.push(format!("{what}: {error}"))).ok()
    }
}
