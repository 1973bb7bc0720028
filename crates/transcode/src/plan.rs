//! What one worker is to run: a pure function of what is wanted, what the source is and what the machine can do.

use std::collections::BTreeMap;

use weir_media::{Language, TrackId, TrackInfo};
use weir_model::{EncoderPolicy, Rendition, Video};
use weir_pipeline::{
    Abilities, AudioOutput, DECODE_CUDA, DECODE_VA, Encoders, Memory, OutputId, VideoOutput, WorkerPlan,
};

use crate::admission::Costs;
use crate::choice::{audio_output, choose, reason_of, video_output};

/// The profile that keeps ten bits, and HDR with them.
pub(crate) const MAIN10: &str = "main10";

/// The source as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceShape {
    pub width: u32,
    pub height: u32,
    pub fps: Option<f64>,
    /// More than eight bits a sample: most such pictures are HDR.
    pub deep: bool,
    /// Its pictures may consist of two fields of different times, as broadcast has them.
    pub interlaced: bool,
    /// The source has no picture, and so no rendition of it can have one.
    pub sound_alone: bool,
    /// The sounds of the source; each is encoded for each rendition that encodes sound. Empty while none has come.
    pub sounds: Vec<SourceSound>,
}

/// A sound of the source. The sound that is made from it has the same language and label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSound {
    pub id: TrackId,
    pub language: Option<Language>,
    pub label: Option<String>,
}

impl SourceSound {
    /// The sound that is planned for while the source has shown none.
    const FIRST: Self = Self { id: TrackId::SOURCE_AUDIO, language: None, label: None };
}

impl From<&TrackInfo> for SourceSound {
    fn from(info: &TrackInfo) -> Self {
        Self { id: info.id, language: info.language, label: info.label.clone() }
    }
}

/// The machine as the plan sees it.
#[derive(Clone, Debug)]
pub struct MachineView<'a> {
    pub abilities: &'a Abilities,
    pub encoders: &'a Encoders,
    /// Encoder families that can't be used for now, each with the reason.
    pub avoided: BTreeMap<String, String>,
    /// Cores that this stream may plan with.
    pub cores_free: f64,
    /// The least loaded device of each family that has devices.
    pub devices: BTreeMap<String, u32>,
    /// Renditions that run already go on: nothing is stopped to make room.
    pub running: &'a [RenditionPlan],
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscodePlan {
    pub worker: WorkerPlan,
    pub renditions: Vec<RenditionPlan>,
    pub refused: Vec<Refused>,
    /// The cores that the plan keeps busy, as far as their cost was measured.
    pub cores: f64,
}

/// What one rendition is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct RenditionPlan {
    /// The wish, with the rendition's name in the hub.
    pub rendition: Rendition,
    /// The encoder output that gives its picture; None where no picture is encoded for it.
    pub video: Option<OutputId>,
    /// The sounds that are encoded for it, in the order of the source's.
    pub sounds: Vec<SoundPlan>,
    /// The family of the picture's encoder.
    pub family: Option<String>,
    /// The GStreamer element of its encoder, as the API shows it.
    pub element: String,
    pub device: Option<u32>,
    /// Why this encoder was chosen.
    pub reason: String,
    /// A hardware encoder was wanted, and this one is software.
    pub degraded: bool,
}

/// One sound of a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundPlan {
    pub source: SourceSound,
    pub output: OutputId,
}

impl RenditionPlan {
    pub fn name(&self) -> &str {
        &self.rendition.name
    }

    /// The bitrate that was asked for; None where the source decides what the rendition takes.
    pub fn target_bps(&self) -> Option<u64> {
        let picture_kbps = match &self.rendition.video {
            Video::Source => return None,
            Video::Encode(picture) => picture.bitrate_kbps,
            Video::None => 0,
        };
        Some(u64::from(picture_kbps + self.rendition.sound()?.bitrate_kbps) * 1000)
    }
}

/// A rendition that this machine can't make, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub name: String,
    pub reason: String,
    /// Only room is missing, which there may be later.
    pub for_room: bool,
}

/// Settings that hold for all renditions of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub policy: EncoderPolicy,
    /// A logo lies over the pictures.
    pub logo: bool,
}

impl From<EncoderPolicy> for Terms {
    fn from(policy: EncoderPolicy) -> Self {
        Self { policy, logo: false }
    }
}

/// Plans one worker. Equal wishes are one encode. Renditions that run
/// already come first; the others get what is left in the order of `wants`.
pub fn plan(
    source: &SourceShape,
    wants: &[Rendition],
    terms: impl Into<Terms>,
    machine: &MachineView<'_>,
) -> TranscodePlan {
    let terms = terms.into();
    let costs = Costs { encoders: machine.encoders, source, slowdown: machine.abilities.slowdown() };
    let mut plan = TranscodePlan::default();
    let (running, new): (Vec<_>, Vec<_>) = wants.iter().partition(|want| runs(want, machine.running));
    for (want, is_new) in running.into_iter().map(|want| (want, false)).chain(new.into_iter().map(|want| (want, true)))
    {
        let planned = plan_rendition(want, source, terms, machine, &plan.worker).and_then(|(rendition, mut worker)| {
            worker.decode_in = decode_in(&worker, source, machine);
            let cores = costs.of(&worker);
            // Sound, and what a card does, take too little to be refused.
            let adds_pictures = costs.pictures(&worker) > costs.pictures(&plan.worker);
            if is_new && adds_pictures && cores > machine.cores_free {
                return Err((no_room(cores - plan.cores, machine.cores_free - plan.cores), true));
            }
            Ok((rendition, worker, cores))
        });
        match planned {
            Ok((rendition, worker, cores)) => {
                plan.renditions.push(rendition);
                (plan.worker, plan.cores) = (worker, cores);
            }
            Err((reason, for_room)) => plan.refused.push(Refused { name: want.name.clone(), reason, for_room }),
        }
    }
    plan
}

fn runs(want: &Rendition, running: &[RenditionPlan]) -> bool {
    running.iter().any(|it| it.rendition == *want)
}

fn no_room(takes: f64, free: f64) -> String {
    format!("the machine has no room for it: it takes about {takes:.2} cores and {:.2} are free", free.max(0.0))
}

/// Plans one rendition, and answers with the worker's plan that includes it. The error says why it can't be made here; its false means
/// that more room would not help.
fn plan_rendition(
    want: &Rendition,
    source: &SourceShape,
    terms: Terms,
    machine: &MachineView<'_>,
    worker: &WorkerPlan,
) -> Result<(RenditionPlan, WorkerPlan), (String, bool)> {
    let mut worker = worker.clone();
    let never = |reason| (reason, false);
    if want.video != Video::None && source.sound_alone {
        return Err(never("the source has no picture".to_owned()));
    }
    let mut rendition = RenditionPlan {
        rendition: want.clone(),
        video: None,
        sounds: Vec::new(),
        family: None,
        element: String::new(),
        device: None,
        reason: match want.video {
            Video::None => "sound alone".to_owned(),
            Video::Source | Video::Encode(_) => "the picture is the source's".to_owned(),
        },
        degraded: false,
    };
    if let Some(sound) = want.sound() {
        rendition.element = AudioOutput::element(sound.codec).to_owned();
        let sources = if source.sounds.is_empty() { &[SourceSound::FIRST][..] } else { &source.sounds };
        for source in sources {
            let audio = audio_output(source.id, sound, machine).map_err(never)?;
            rendition.sounds.push(SoundPlan { source: source.clone(), output: audio.id });
            if !worker.audio.contains(&audio) {
                worker.audio.push(audio);
            }
        }
    }
    if let Some(picture) = want.picture() {
        let choice = choose(picture, terms.policy, machine).map_err(never)?;
        let video = video_output(picture, &choice, terms.logo);
        rendition.video = Some(video.id);
        rendition.reason = reason_of(&choice, &video);
        rendition.family = Some(choice.file.family.clone());
        rendition.element.clone_from(&choice.file.element);
        (rendition.device, rendition.degraded) = (choice.device, choice.degraded);
        if !worker.video.contains(&video) {
            worker.video.push(video);
        }
    }
    Ok((rendition, worker))
}

/// Where hardware encodes, pictures are decoded into its memory and stay there. Where none encodes but a card can decode (a compute card
/// without an encoder), the card decodes, and each picture comes down once.
fn decode_in(plan: &WorkerPlan, source: &SourceShape, machine: &MachineView<'_>) -> Memory {
    // Deinterlacing is done in system memory.
    if source.interlaced {
        return Memory::System;
    }
    // HDR is tone-mapped in system memory; on a card the picture would come out dark.
    if source.deep && plan.video.iter().any(|output| output.picture.profile.as_deref() != Some(MAIN10)) {
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
    let fails = decoding(preferred).is_some_and(|name| machine.avoided.contains_key(name));
    if machine.abilities.decodes_in(preferred) && !fails { preferred } else { Memory::System }
}

/// The name that decoding into a card's memory has among the families that failed lately.
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
