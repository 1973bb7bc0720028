//! Why hardware does not encode here, in an operator's words: GStreamer only knows which of its own parts are missing.

use weir_gpu::Inventory;
use weir_pipeline::{Abilities, Encoders, Proof};

use crate::stage::NVENC;

/// The encoder families that reach a card by its render node.
const BY_RENDER_NODE: [&str; 2] = ["qsv", "va"];

/// Whether there is a card that VA-API could reach.
pub(crate) fn has_render_node() -> bool {
    let Ok(nodes) = std::fs::read_dir("/dev/dri") else { return false };
    nodes.flatten().any(|node| node.file_name().to_string_lossy().starts_with("renderD"))
}

/// Replaces GStreamer's reason for a failed proof by what the machine lacks, where that is known.
pub(crate) fn explain(abilities: &mut Abilities, encoders: &Encoders, nvidia: &Inventory, has_render_node: bool) {
    // Without GStreamer no encoder was tried, and the reason is another.
    if abilities.gstreamer.is_none() {
        return;
    }
    let lacks_nvidia = match nvidia {
        Inventory { driver: None, .. } => Some("no NVIDIA driver on this machine"),
        Inventory { devices, .. } if devices.is_empty() => Some("no NVIDIA card on this machine"),
        Inventory { .. } => None,
    };
    // An encoder that works proves that its family lacks nothing, whatever the driver tells of its devices.
    let works = |families: &[&str]| {
        let proofs = encoders.all().iter().filter(|file| families.contains(&file.family.as_str()));
        proofs.filter_map(|file| abilities.encoders.get(&file.id)).any(|proof| proof.ok)
    };
    let lacks_nvidia = lacks_nvidia.filter(|_| !works(&[NVENC]));
    let lacks_node = (!has_render_node && !works(&BY_RENDER_NODE))
        .then_some("no graphics card with a VA-API driver on this machine");
    let put = |proof: &mut Proof, lack: Option<&str>| {
        if let Some(lack) = lack.filter(|_| !proof.ok) {
            proof.reason = Some(lack.to_owned());
        }
    };
    for file in encoders.all() {
        let Some(proof) = abilities.encoders.get_mut(&file.id) else { continue };
        if file.family == NVENC {
            put(proof, lacks_nvidia);
        } else if BY_RENDER_NODE.contains(&file.family.as_str()) {
            put(proof, lacks_node);
        }
    }
    put(&mut abilities.cuda_decoding, lacks_nvidia);
    put(&mut abilities.va_decoding, lacks_node);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_said() {
        let encoders = Encoders::load().unwrap();
        let no_driver = Inventory { driver: None, devices: Vec::new(), reason: None };
        let no_card = Inventory { driver: Some("580".to_owned()), ..no_driver.clone() };
        let reason = |id: &str, ok: bool, nvidia: &Inventory, node: bool| {
            let said = (!ok).then(|| "the GStreamer element is not installed".to_owned());
            let proof = Proof { ok, reason: said, ..Proof::default() };
            let mut abilities = Abilities::none("as told");
            abilities.gstreamer = Some("1.26".to_owned().try_into().unwrap());
            abilities.encoders.insert(id.to_owned(), proof);
            explain(&mut abilities, &encoders, nvidia, node);
            abilities.encoders[id].reason.clone().unwrap_or_default()
        };
        for (id, ok, nvidia, node, expected) in [
            ("nvenc-h264", false, &no_driver, true, "no NVIDIA driver on this machine"),
            ("nvenc-h264", false, &no_card, true, "no NVIDIA card on this machine"),
            ("nvenc-h264", true, &no_driver, true, ""),
            ("qsv-h264", false, &no_driver, false, "no graphics card with a VA-API driver on this machine"),
            ("va-h264", false, &no_driver, true, "the GStreamer element is not installed"),
            ("x265", false, &no_driver, false, "the GStreamer element is not installed"),
        ] {
            assert_eq!(reason(id, ok, nvidia, node), expected, "{id}");
        }
        // One encoder of the family works, so the other one lacks something else.
        let mut abilities = Abilities::none("as told");
        abilities.gstreamer = Some("1.26".to_owned().try_into().unwrap());
        abilities.encoders.insert("nvenc-h264".to_owned(), Proof { ok: true, ..Proof::default() });
        let own = Proof { reason: Some("its element is not installed".to_owned()), ..Proof::default() };
        abilities.encoders.insert("nvenc-h265".to_owned(), own.clone());
        explain(&mut abilities, &encoders, &no_driver, true);
        assert_eq!(abilities.encoders["nvenc-h265"], own);
    }
}
