//! What one worker is to run: pure, from what is wanted, what the source is and what the machine can do.

use std::collections::{BTreeMap, BTreeSet};

use weir_model::{AudioCodec, EncoderPolicy, EncodingSettings, Fit, SoundSettings};
use weir_pipeline::{
    Abilities, AudioOutput, DECODE_CUDA, DECODE_VA, EncoderFile, Encoders, Fps, Memory, OutputId, VideoOutput,
    WorkerPlan,
};

use crate::admission::{cores_for, megapixels_a_second};
use crate::wants::Want;

/// The source as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceShape {
    pub width: u32,
    pub height: u32,
    pub fps: Option<f64>,
    /// More than eight bits: most of these are HDR.
    pub deep: bool,
}

/// The machine as the plan sees it.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    pub abilities: &'a Abilities,
    pub encoders: &'a Encoders,
    /// Families that failed lately.
    pub avoided: BTreeSet<String>,
    /// Cores that are left for this stream.
    pub cores_free: f64,
    /// The least loaded device of each family that has devices.
    pub devices: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscodePlan {
    pub worker: WorkerPlan,
    pub renditions: Vec<RenditionPlan>,
    pub refused: Vec<Refused>,
    /// What it takes of the machine's cores, as far as measured.
    pub cores: f64,
}

/// Where a rendition comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct RenditionPlan {
    pub name: String,
    /// None: sound alone.
    pub picture: Option<EncodingSettings>,
    pub sound: SoundSettings,
    pub video: Option<OutputId>,
    pub audio: OutputId,
    /// Of the picture's encoder.
    pub family: Option<String>,
    /// What the API shows: the GStreamer element.
    pub element: String,
    pub device: Option<u32>,
    /// Why this encoder.
    pub reason: String,
    /// It was to be in hardware, and is not.
    pub degraded: bool,
}

impl RenditionPlan {
    pub fn target_bps(&self) -> u64 {
        let picture_kbps = self.picture.as_ref().map_or(0, |picture| picture.video_bitrate_kbps);
        u64::from(picture_kbps + self.sound.bitrate_kbps) * 1000
    }
}

/// What this machine can't carry, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub name: String,
    pub reason: String,
}

/// What holds for all renditions of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub policy: EncoderPolicy,
    /// A logo lies over them.
    pub logo: bool,
}

impl From<EncoderPolicy> for Terms {
    fn from(policy: EncoderPolicy) -> Self {
        Self { policy, logo: false }
    }
}

/// An encoder chosen for some settings.
struct Choice<'a> {
    file: &'a EncoderFile,
    device: Option<u32>,
    reason: String,
    degraded: bool,
}

/// Equal wishes are one encode; the order of `wants` is the order in which they get what there is.
pub fn plan(source: SourceShape, wants: &[Want], terms: impl Into<Terms>, machine: &Machine<'_>) -> TranscodePlan {
    let terms = terms.into();
    let mut plan = TranscodePlan::default();
    let mut cores = 0.0;
    for want in wants {
        let refused = |reason| Refused { name: want.name.clone(), reason };
        let audio = match audio_output(&want.sound, machine) {
            Ok(audio) => audio,
            Err(reason) => {
                plan.refused.push(refused(reason));
                continue;
            }
        };
        let picture = match &want.picture {
            None => None,
            Some(settings) => match plan_picture(settings, source, terms, machine, cores, &mut plan.worker) {
                Ok(picture) => Some(picture),
                Err(reason) => {
                    plan.refused.push(refused(reason));
                    continue;
                }
            },
        };
        if !plan.worker.audio.contains(&audio) {
            plan.worker.audio.push(audio.clone());
        }
        cores += picture.as_ref().map_or(0.0, |picture| picture.cores);
        let sound = || AudioOutput::element(want.sound.codec).to_owned();
        let choice = picture.as_ref().map(|picture| &picture.choice);
        plan.renditions.push(RenditionPlan {
            name: want.name.clone(),
            picture: want.picture.clone(),
            sound: want.sound,
            video: picture.as_ref().map(|picture| picture.output),
            audio: audio.id,
            family: choice.map(|choice| choice.file.family.clone()),
            element: choice.map_or_else(sound, |choice| choice.file.element.clone()),
            device: choice.and_then(|choice| choice.device),
            reason: picture.as_ref().map_or_else(|| "sound alone".to_owned(), |picture| picture.reason.clone()),
            degraded: choice.is_some_and(|choice| choice.degraded),
        });
    }
    plan.worker.decode_in = decode_in(&plan.worker, source, machine);
    plan.cores = cores;
    plan
}

/// A picture that the worker's plan has.
struct PicturePlan<'a> {
    output: OutputId,
    choice: Choice<'a>,
    /// Why this encoder, and what its pictures leave the card for.
    reason: String,
    /// What it takes beyond what is planned already.
    cores: f64,
}

/// Puts the picture into the worker's plan unless an equal one is there; or says why this machine can't carry it.
fn plan_picture<'a>(
    settings: &EncodingSettings,
    source: SourceShape,
    Terms { policy, logo }: Terms,
    machine: &Machine<'a>,
    cores_planned: f64,
    worker: &mut WorkerPlan,
) -> Result<PicturePlan<'a>, String> {
    let choice = choose(settings, policy, machine)?;
    let video = video_output(settings, &choice, logo);
    let (output, reason) = (video.id, reason_of(&choice, &video));
    if worker.video.contains(&video) {
        return Ok(PicturePlan { output, choice, reason, cores: 0.0 });
    }
    let megapixels = megapixels_a_second(settings.width, settings.height, settings.fps, source);
    let cores = cores_for(choice.file, megapixels);
    let free = (machine.cores_free - cores_planned).max(0.0);
    if cores > free {
        return Err(format!("the machine has no room for it: it takes about {cores:.2} cores and {free:.2} are free"));
    }
    worker.video.push(video);
    Ok(PicturePlan { output, choice, reason, cores })
}

/// The first encoder of the codec that was proven and that the policy allows; the files' order is the preference.
fn choose<'a>(settings: &EncodingSettings, policy: EncoderPolicy, machine: &Machine<'a>) -> Result<Choice<'a>, String> {
    let Some(version) = machine.abilities.gstreamer else {
        return Err(nothing_works(machine));
    };
    let fits = |file: &&EncoderFile| {
        file.is_for(version)
            && file.codec == settings.codec
            && settings.profile.as_ref().is_none_or(|profile| file.profiles.contains_key(profile))
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
        if machine.avoided.contains(&file.family) {
            missing.push(format!("{} failed a moment ago", file.title));
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
        let failed = |file: &EncoderFile| machine.avoided.contains(&file.family);
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
    let codec = settings.codec.as_str();
    let of = settings.profile.as_ref().map(|profile| format!(" {profile}")).unwrap_or_default();
    Err(match (policy, hardware_missing.is_empty()) {
        (EncoderPolicy::HardwareOnly, true) => format!("no hardware encoder of {codec}{of} is known"),
        (_, true) => format!("no encoder of {codec}{of} is known"),
        (EncoderPolicy::HardwareOnly, false) => {
            format!("no hardware encoder of {codec}{of} works here: {}", hardware_missing.join("; "))
        }
        (_, false) => format!("no encoder of {codec}{of} works here: {}", hardware_missing.join("; ")),
    })
}

/// Why this encoder, and what its pictures leave the card for.
fn reason_of(choice: &Choice<'_>, video: &VideoOutput) -> String {
    let mut reason = choice.reason.clone();
    if video.fit == Fit::Crop && choice.file.is_hardware() {
        reason.push_str("; pictures are cut in system memory");
    }
    if video.overlaid {
        reason.push_str("; the logo is laid on in system memory");
    }
    reason
}

fn video_output(settings: &EncodingSettings, choice: &Choice<'_>, logo: bool) -> VideoOutput {
    let mut output = VideoOutput {
        id: OutputId(0),
        codec: settings.codec,
        width: settings.width,
        height: settings.height,
        fps: settings.fps.map(Fps::new),
        bitrate_kbps: settings.video_bitrate_kbps,
        rate_control: settings.rate_control,
        gop_ms: (settings.gop_seconds * 1000.0).round() as u32,
        profile: settings.profile.clone(),
        fit: settings.fit,
        encoder: choice.file.id.clone(),
        device: choice.device,
        overlaid: logo && choice.file.is_hardware(),
    };
    output.id = number_of(&format!("{output:?}"));
    output
}

fn audio_output(sound: &SoundSettings, machine: &Machine<'_>) -> Result<AudioOutput, String> {
    if machine.abilities.gstreamer.is_none() {
        return Err(nothing_works(machine));
    }
    let opus = &machine.abilities.opus;
    if sound.codec == AudioCodec::Opus && !opus.ok {
        return Err(format!("Opus can't be made here: {}", opus.reason.as_deref().unwrap_or("it does not work")));
    }
    let SoundSettings { bitrate_kbps, codec, loudness_lufs } = *sound;
    let mut output = AudioOutput { id: OutputId(0), codec, bitrate_kbps, loudness_lufs };
    output.id = number_of(&format!("{output:?}"));
    Ok(output)
}

/// Without a worker all proofs have the same reason.
fn nothing_works(machine: &Machine<'_>) -> String {
    let reason = machine.abilities.cuda_decoding.reason.clone().unwrap_or_default();
    format!("nothing can be encoded here: {reason}")
}

/// FNV-1a: equal things have equal numbers; two of the few dozen encodes of a stream meet in one of 2^32 about never.
fn number_of(what: &str) -> OutputId {
    let hash = what.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    OutputId(hash)
}

/// Where hardware encodes, pictures are decoded into its memory and stay there. Where none does but a card can decode (a compute
/// card without an encoder), it does, and the pictures come down once.
fn decode_in(plan: &WorkerPlan, source: SourceShape, machine: &Machine<'_>) -> Memory {
    // HDR is mapped in system memory; on a card it would come out dark.
    if source.deep && plan.video.iter().any(|output| output.profile.as_deref() != Some("main10")) {
        return Memory::System;
    }
    let memory =
        |output: &VideoOutput| machine.encoders.get(&output.encoder).map_or(Memory::System, |file| file.memory);
    let count = |wanted| plan.video.iter().filter(|output| memory(output) == wanted).count();
    let (cuda, va) = (count(Memory::Cuda), count(Memory::Va));
    let preferred = match (cuda, va) {
        (0, 0) if machine.abilities.decodes_in(Memory::Cuda) => Memory::Cuda,
        (0, 0) => Memory::System,
        _ if cuda >= va => Memory::Cuda,
        _ => Memory::Va,
    };
    let fails = decoding(preferred).is_some_and(|name| machine.avoided.contains(name));
    if machine.abilities.decodes_in(preferred) && !fails { preferred } else { Memory::System }
}

/// What decoding in a card's memory is called among the families that failed lately.
pub(crate) fn decoding(memory: Memory) -> Option<&'static str> {
    match memory {
        Memory::System => None,
        Memory::Cuda => Some(DECODE_CUDA),
        Memory::Va => Some(DECODE_VA),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
