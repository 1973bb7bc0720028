//! What should run for a stream, as a set of parts. It is pure: made from
//! what is stored, and from the few facts that bind what runs already.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_model::{PullUrl, Reason, Rendition, RestreamId, RestreamSpec, Slot, SourceKind, Stream};
use weir_packager::{Cuts, PackagerConfig};
use weir_transcode::Wants;

use crate::catalogue::Misconfigured;
use crate::renditions;

/// The key of a part of a stream. Their order is the order in which parts are started: a part that needs another comes after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartKey {
    /// Encodes the stream's renditions, when there are any.
    Transcoder,
    /// Fetches the source of that slot.
    Pull(Slot),
    /// Reports the state of the stream.
    Status,
    /// Makes segments and keeps them.
    Packager,
    /// Follows one rendition for the packager.
    Packaging {
        name: String,
        in_hub: String,
    },
    Recording,
    Restream(RestreamId),
}

/// How a part should run. A part whose spec stays equal is left alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PartSpec {
    Transcoder(Wants),
    Pull(PullUrl),
    Status {
        name: String,
        /// The slot and the kind of each source.
        sources: Vec<(Slot, &'static str)>,
    },
    Packager(PackagerConfig),
    /// The configuration of the packager that it works for, and where segments end.
    Packaging(PackagerConfig, Cuts),
    Recording {
        /// The name of its files.
        name: String,
    },
    /// Pushes that rendition of the hub.
    Restream(Box<RestreamSpec>, String),
    /// A restream that can't even be tried, and why.
    Fault(Reason),
}

/// Facts of the stream that runs, which bind what comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// The packager that runs. The keyframe distance that it announced holds for as long as the playlist is there, whatever is encoded.
    pub(crate) packager: Option<PackagerConfig>,
    /// The renditions that those who watch need beside what the stream has. They are made for nobody else: no playlist, recording or push
    /// knows of them.
    pub(crate) demanded: Vec<Rendition>,
}

/// A restream that is started, as it is stored.
pub(crate) type Restream = Result<RestreamSpec, Misconfigured>;

/// What should run.
pub(crate) fn parts(stream: &Stream, restreams: Vec<Restream>, facts: Facts) -> BTreeMap<PartKey, PartSpec> {
    let mut parts = BTreeMap::new();
    for restream in restreams {
        let (id, part) = match restream {
            Ok(spec) => (spec.id, push(stream, spec).unwrap_or_else(PartSpec::Fault)),
            Err(misconfigured) => (misconfigured.id, PartSpec::Fault(misconfigured.fault.reason())),
        };
        parts.insert(PartKey::Restream(id), part);
    }
    let pushes = parts.values().filter_map(|part| match part {
        PartSpec::Restream(spec, _) => Some(&**spec),
        _ => None,
    });
    let wants = renditions::wants(stream, pushes, facts.demanded);
    parts.insert(PartKey::Transcoder, PartSpec::Transcoder(wants));
    let name = stream.name.to_string();
    let packager = packager_config(stream, facts.packager);
    if stream.hls || stream.dash {
        for (name, in_hub) in renditions::offered(stream) {
            let cuts = renditions::cuts(stream, &name);
            parts.insert(PartKey::Packaging { name, in_hub }, PartSpec::Packaging(packager, cuts));
        }
    }
    parts.insert(PartKey::Packager, PartSpec::Packager(packager));
    if stream.record {
        parts.insert(PartKey::Recording, PartSpec::Recording { name: name.clone() });
    }
    for source in stream.sources.iter().filter(|_| stream.active) {
        // What is stored was checked before, and an address of an earlier version that is none any more is fetched from nowhere.
        if let SourceKind::Pull { uri } = &source.kind
            && let Ok(url) = PullUrl::parse(uri.expose())
        {
            parts.insert(PartKey::Pull(source.slot.clone()), PartSpec::Pull(url));
        }
    }
    let sources = stream.sources.iter().map(|source| (source.slot.clone(), source.kind.as_str())).collect();
    parts.insert(PartKey::Status, PartSpec::Status { name, sources });
    parts
}

/// Gives a restream the rendition of the hub that serves it. A wish that the source serves is changed to "the source as it is": when the
/// ladder's rendition of that name becomes an encoded one, the restream's spec differs, and it takes the encoded one.
fn push(stream: &Stream, mut spec: RestreamSpec) -> Result<PartSpec, Reason> {
    renditions::settle(stream, &mut spec)?;
    let rendition = renditions::of_wish(stream, &spec.rendition)?;
    Ok(PartSpec::Restream(Box::new(spec), rendition))
}

/// How long slots on the stream's clock are.
pub(crate) fn slot(stream: &Stream) -> Duration {
    packager_config(stream, None).slot()
}

fn packager_config(stream: &Stream, running: Option<PackagerConfig>) -> PackagerConfig {
    let config = PackagerConfig {
        window: Duration::from_secs(u64::from(stream.dvr_seconds)),
        keyframes_apart: renditions::keyframes_apart(stream),
        hls: stream.hls,
        dash: stream.dash,
        ..PackagerConfig::default()
    };
    let as_announced = running.map(|runs| PackagerConfig { keyframes_apart: runs.keyframes_apart, ..config });
    as_announced.filter(|kept| running == Some(*kept)).unwrap_or(config)
}

/// One step of a reconciliation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Stop(PartKey),
    Start(PartKey, PartSpec),
    /// The part goes on running with some of its settings changed.
    Retune(PartKey, PartSpec),
}

/// Compares what is wanted with what runs. The stops come first, so that a changed
/// restream's old connection has left before the new one claims the same key.
pub(crate) fn diff<'a>(
    wanted: &BTreeMap<PartKey, PartSpec>,
    running: impl Iterator<Item = (&'a PartKey, &'a PartSpec)>,
) -> Vec<Step> {
    let running: BTreeMap<_, _> = running.collect();
    let is_retuned = |key: &PartKey| match (wanted.get(key), running.get(key)) {
        (Some(wanted), Some(runs)) => wanted != *runs && runs.can_become(wanted),
        _ => false,
    };
    let stays = |key: &PartKey| wanted.get(key) == running.get(key).copied() || is_retuned(key);
    // A part that needs another one ends before it.
    let stops = running.keys().rev().filter(|key| !stays(key)).map(|key| Step::Stop((*key).clone()));
    let starts = wanted.iter().filter_map(|(key, spec)| match running.get(key) {
        Some(_) if is_retuned(key) => Some(Step::Retune(key.clone(), spec.clone())),
        Some(_) if stays(key) => None,
        _ => Some(Step::Start(key.clone(), spec.clone())),
    });
    stops.chain(starts).collect()
}

impl PartSpec {
    /// Whether a part that runs like this can go on as `other` without being started anew.
    fn can_become(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Transcoder(_), Self::Transcoder(_)) => true,
            // Only its name or its language has changed, which is no reason to reconnect.
            (Self::Restream(runs, from), Self::Restream(wanted, to)) => {
                let (name, audio_language) = (runs.name.clone(), runs.audio_language.clone());
                from == to && RestreamSpec { name, audio_language, ..RestreamSpec::clone(wanted) } == **runs
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
