//! Graphics cards that this machine has, as NVIDIA's management library (NVML) tells.

use crate::config::{DeviceConfig, any_gpu_task};
use nvml_wrapper::Nvml;

/// The cards, in NVML's order; none where there is no driver.
pub fn found() -> Vec<DeviceConfig> {
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(e) => {
            tracing::debug!(error = %e, "no graphics cards are asked for");
            return Vec::new();
        }
    };
    let count = nvml.device_count().unwrap_or(0);
    let card = |index| {
        let memory = nvml.device_by_index(index).and_then(|device| device.memory_info());
        match memory {
            Ok(memory) => Some(DeviceConfig {
                name: format!("gpu{index}"),
                memory_mb: memory.total >> 20,
                slots: 1,
                pools: any_gpu_task(),
                cuda: Some(index.to_string()),
            }),
            Err(e) => {
                tracing::warn!(error = %e, "graphics card {index} cannot be asked, and is left alone");
                None
            }
        }
    };
    (0..count).filter_map(card).collect()
}
