//! Chooses the encoder of a rendition, and what it is told: the first that was proven here and that the policy allows, with the reason.

use weir_media::TrackId;
use weir_model::{AudioCodec, EncoderPolicy, Fit, PictureSettings, SoundSettings};
use weir_pipeline::{AudioOutput, EncoderFile, OutputId, VideoOutput};

use crate::plan::MachineView;

/// An encoder chosen for some settings.
pub(crate) struct Choice<'a> {
    pub(crate) file: &'a EncoderFile,
    pub(crate) device: Option<u32>,
    reason: String,
    pub(crate) degraded: bool,
}

/// The first encoder of the codec that was proven and that the policy allows; the files' order is the preference.
pub(crate) fn choose<'a>(
    picture: &PictureSettings,
    policy: EncoderPolicy,
    machine: &MachineView<'a>,
) -> Result<Choice<'a>, String> {
    let Some(version) = machine.abilities.gstreamer else {
        return Err(nothing_works(machine));
    };
    let fits = |file: &&EncoderFile| {
        file.is_for(version)
            && file.codec == picture.codec
            && picture.profile.as_ref().is_none_or(|profile| file.profiles.contains_key(profile))
    };
    let (mut hardware_missing, mut software_missing) = (Vec::new(), Vec::new());
    for file in machine.encoders.all().iter().filter(fits) {
        let allowed = match policy {
            EncoderPolicy::PreferHardware => true,
            EncoderPolicy::HardwareOnly => file.is_hardware(),
            EncoderPolicy::SoftwareOnly => !file.is_hardware(),
        };
        if !allowed {
            continue;
        }
        let missing = if file.is_hardware() { &mut hardware_missing } else { &mut software_missing };
        if let Some(why) = machine.avoided.get(&file.family) {
            missing.push(format!("{} {why}", file.title));
            continue;
        }
        match machine.abilities.encoders.get(&file.id) {
            Some(proof) if proof.ok => {}
            Some(proof) => {
                missing.push(format!("{}: {}", file.title, proof.reason.as_deref().unwrap_or("it does not work")));
                continue;
            }
            None => continue,
        }
        let failed = |file: &EncoderFile| machine.avoided.contains_key(&file.family);
        let degraded = !file.is_hardware() && machine.encoders.all().iter().filter(fits).any(failed);
        let reason = match policy {
            _ if file.is_hardware() => format!("{} works here", file.title),
            EncoderPolicy::SoftwareOnly => "only software is wanted".to_owned(),
            _ if hardware_missing.is_empty() => "no hardware encodes this codec".to_owned(),
            _ => hardware_missing.join("; "),
        };
        return Ok(Choice { file, device: machine.devices.get(&file.family).copied(), reason, degraded });
    }
    hardware_missing.extend(software_missing);
    let codec = picture.codec.as_str();
    let of = picture.profile.as_ref().map(|profile| format!(" {profile}")).unwrap_or_default();
    Err(match (policy, hardware_missing.is_empty()) {
        (EncoderPolicy::HardwareOnly, true) => format!("no hardware encoder of {codec}{of} is known"),
        (_, true) => format!("no encoder of {codec}{of} is known"),
        (EncoderPolicy::HardwareOnly, false) => {
            format!("no hardware encoder of {codec}{of} works here: {}", hardware_missing.join("; "))
        }
        (_, false) => format!("no encoder of {codec}{of} works here: {}", hardware_missing.join("; ")),
    })
}

/// Why this encoder was chosen, and why its pictures leave the card.
pub(crate) fn reason_of(choice: &Choice<'_>, video: &VideoOutput) -> String {
    let mut reason = choice.reason.clone();
    if video.picture.fit == Fit::Crop && choice.file.is_hardware() {
        reason.push_str("; pictures are cut in system memory");
    }
    if video.overlaid {
        reason.push_str("; the logo is laid on in system memory");
    }
    reason
}

pub(crate) fn video_output(picture: &PictureSettings, choice: &Choice<'_>, logo: bool) -> VideoOutput {
    let mut output = VideoOutput {
        id: OutputId(0),
        picture: picture.clone(),
        encoder: choice.file.id.clone(),
        device: choice.device,
        overlaid: logo && choice.file.is_hardware(),
    };
    output.id = number_of(&format!("{output:?}"));
    output
}

pub(crate) fn audio_output(
    source: TrackId,
    sound: &SoundSettings,
    machine: &MachineView<'_>,
) -> Result<AudioOutput, String> {
    if machine.abilities.gstreamer.is_none() {
        return Err(nothing_works(machine));
    }
    let opus = &machine.abilities.opus;
    if sound.codec == AudioCodec::Opus && !opus.ok {
        return Err(format!("Opus can't be made here: {}", opus.reason.as_deref().unwrap_or("it does not work")));
    }
    let mut output = AudioOutput { id: OutputId(0), source: source.0, sound: *sound };
    output.id = number_of(&format!("{output:?}"));
    Ok(output)
}

/// Without a worker all proofs give the same reason.
fn nothing_works(machine: &MachineView<'_>) -> String {
    let reason = machine.abilities.cuda_decoding.reason.clone().unwrap_or_default();
    format!("nothing can be encoded here: {reason}")
}

/// FNV-1a: equal texts have equal numbers. That two of a stream's few dozen encodes meet in one of 2^32 numbers happens about never.
pub(crate) fn number_of(what: &str) -> OutputId {
    let hash = what.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    OutputId(hash)
}
