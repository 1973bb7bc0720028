//! Renditions that are made only while somebody watches: whoever needs one holds a demand, and what is demanded is a fact of what should run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use weir_model::{MadeStatus, Rendition, RenditionState, RenditionStatus, StreamId};
use weir_transcode::shared_name;

/// So many renditions of one stream at once. A ladder has 16 at most, and each may be needed with another sound.
const DEMANDED_MAX: usize = 16;

/// What is demanded of all streams. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demands {
    table: Arc<Mutex<BTreeMap<StreamId, Vec<Demanded>>>>,
}

#[derive(Debug)]
struct Demanded {
    rendition: Rendition,
    why: String,
    /// Who watches it, or waits for it.
    holders: usize,
}

/// What became of somebody's demand.
pub(crate) struct Demanding {
    pub(crate) name: String,
    /// Nobody had demanded it, so that it must be begun.
    pub(crate) is_new: bool,
}

impl Demands {
    fn table(&self) -> MutexGuard<'_, BTreeMap<StreamId, Vec<Demanded>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one more holder. None where as much is made of the stream as may be, or the rendition is the source as it is.
    pub(crate) fn add(&self, stream: StreamId, rendition: Rendition, why: &str) -> Option<Demanding> {
        let name = shared_name(&rendition)?;
        let mut table = self.table();
        let of_stream = table.entry(stream).or_default();
        if let Some(known) = of_stream.iter_mut().find(|demanded| demanded.rendition.name == name) {
            known.holders += 1;
            return Some(Demanding { name, is_new: false });
        }
        if of_stream.len() >= DEMANDED_MAX {
            return None;
        }
        let rendition = Rendition { name: name.clone(), ..rendition };
        of_stream.push(Demanded { rendition, why: why.to_owned(), holders: 1 });
        Some(Demanding { name, is_new: true })
    }

    fn release(&self, stream: StreamId, name: &str) {
        let mut table = self.table();
        let of_stream = table.get_mut(&stream).map(Vec::as_mut_slice).unwrap_or_default();
        if let Some(demanded) = of_stream.iter_mut().find(|demanded| demanded.rendition.name == name) {
            demanded.holders = demanded.holders.saturating_sub(1);
        }
    }

    /// Forgets what nobody holds any more; true where there was any. It is looked for twice a second, so that viewers who come and go
    /// quickly change nothing.
    pub(crate) fn prune(&self) -> bool {
        let mut is_any = false;
        self.table().retain(|_, of_stream| {
            let before = of_stream.len();
            of_stream.retain(|demanded| demanded.holders > 0);
            is_any |= of_stream.len() != before;
            !of_stream.is_empty()
        });
        is_any
    }

    pub(crate) fn of(&self, stream: StreamId) -> Vec<Rendition> {
        let table = self.table();
        let of_stream = table.get(&stream).map(Vec::as_slice).unwrap_or_default();
        of_stream.iter().map(|demanded| demanded.rendition.clone()).collect()
    }

    /// What is made of a stream for those who watch, and why. What nobody watches any more, but `before` was made, is told as long as it
    /// is among the renditions that run.
    pub(crate) fn told(&self, stream: StreamId, before: &[MadeStatus], running: &[RenditionStatus]) -> Vec<MadeStatus> {
        let table = self.table();
        let of_stream = table.get(&stream).map(Vec::as_slice).unwrap_or_default();
        let told = |demanded: &Demanded| MadeStatus {
            rendition: demanded.rendition.name.clone(),
            reason: demanded.why.clone(),
        };
        let mut made: Vec<MadeStatus> = of_stream.iter().map(told).collect();
        let runs_on = |old: &&MadeStatus| {
            made.iter().all(|made| made.rendition != old.rendition)
                && running.iter().any(|running| running.name == old.rendition)
        };
        let run_on: Vec<_> = before.iter().filter(runs_on).cloned().collect();
        made.extend(run_on);
        made
    }
}

/// A rendition is made as long as somebody holds this, and ten seconds more.
#[derive(Debug)]
pub struct Demand {
    demands: Demands,
    stream: StreamId,
    rendition: String,
    statuses: watch::Receiver<Vec<RenditionStatus>>,
}

impl Demand {
    pub(crate) fn new(
        demands: Demands,
        (stream, rendition): (StreamId, String),
        statuses: watch::Receiver<Vec<RenditionStatus>>,
    ) -> Self {
        Self { demands, stream, rendition, statuses }
    }

    /// The hub's name of the rendition.
    pub fn rendition(&self) -> &str {
        &self.rendition
    }

    /// Waits until the rendition is begun, or this machine refuses to make it, with the reason.
    pub async fn begun(&mut self) -> Result<(), String> {
        let Self { rendition, statuses, .. } = self;
        let ours = |statuses: &Vec<RenditionStatus>| statuses.iter().any(|status| status.name == *rendition);
        let gone = || "the stream has ended".to_owned();
        let statuses = statuses.wait_for(ours).await.map_err(|_| gone())?;
        let status = statuses.iter().find(|status| status.name == *rendition).ok_or_else(gone)?;
        match status.state {
            RenditionState::Failed => Err(status.reason.clone().unwrap_or_default()),
            _ => Ok(()),
        }
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.demands.release(self.stream, &self.rendition);
    }
}

#[cfg(test)]
mod tests {
    use weir_model::{Audio, AudioCodec, SoundSettings, Video};

    use super::*;

    const STREAM: StreamId = StreamId(1);

    fn opus(bitrate_kbps: u32) -> Rendition {
        let sound = SoundSettings { bitrate_kbps, codec: AudioCodec::Opus, loudness_lufs: None };
        Rendition { name: "any".to_owned(), video: Video::Source, audio: Audio::Encode(sound) }
    }

    fn status(name: &str, state: RenditionState) -> RenditionStatus {
        RenditionStatus { state, ..RenditionStatus::failed(name.to_owned(), "no room".to_owned()) }
    }

    /// Somebody's demand of a rendition with Opus of this bitrate.
    fn demand(demands: &Demands, kbps: u32) -> Option<(Demand, bool)> {
        let Demanding { name, is_new } = demands.add(STREAM, opus(kbps), "the sound is aac")?;
        Some((Demand::new(demands.clone(), (STREAM, name), watch::channel(Vec::new()).1), is_new))
    }

    #[test]
    fn what_is_demanded_is_made_once_and_until_nobody_holds_it() {
        let demands = Demands::default();
        assert!(!demands.prune() && demands.of(STREAM).is_empty());
        let (first, is_new) = demand(&demands, 96).unwrap();
        let (second, is_new_again) = demand(&demands, 96).unwrap();
        assert_eq!((is_new, is_new_again, first.rendition()), (true, false, second.rendition()));
        assert_eq!(demands.of(STREAM), [Rendition { name: first.rendition().to_owned(), ..opus(96) }]);
        assert!(demands.of(StreamId(2)).is_empty());
        drop(first);
        assert!(!demands.prune(), "somebody holds it");
        drop(second);
        let (third, is_new) = demand(&demands, 96).unwrap();
        assert!(!is_new && !demands.prune(), "who comes back in time begins nothing");
        drop(third);
        assert!(demands.prune() && demands.of(STREAM).is_empty());
        assert!(demands.add(STREAM, Rendition::passthrough("source"), "").is_none(), "the source is there");
        let held: Vec<_> = (0..).map_while(|at| demand(&demands, 32 + at)).collect();
        assert_eq!(held.len(), DEMANDED_MAX);
    }

    #[test]
    fn what_is_made_is_told_until_it_has_ended() {
        let demands = Demands::default();
        let (held, _) = demand(&demands, 96).unwrap();
        let name = held.rendition().to_owned();
        let made = vec![MadeStatus { rendition: name.clone(), reason: "the sound is aac".to_owned() }];
        assert_eq!(demands.told(STREAM, &[], &[]), made);
        let running = [status(&name, RenditionState::Live)];
        assert_eq!(demands.told(STREAM, &made, &running), made, "and once");
        drop(held);
        assert!(demands.prune());
        assert_eq!(demands.told(STREAM, &made, &running), made, "it runs on for a while");
        assert_eq!(demands.told(STREAM, &made, &[]), []);
    }

    #[tokio::test]
    async fn who_waits_hears_that_it_is_begun_or_why_not() {
        let demands = Demands::default();
        let (tell, statuses) = watch::channel(Vec::new());
        let name = demands.add(STREAM, opus(96), "").unwrap().name;
        let mut held = Demand::new(demands, (STREAM, name.clone()), statuses);
        tell.send_replace(vec![status("720p", RenditionState::Live)]);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), held.begun()).await;
        assert!(waits.is_err(), "others are not ours");
        tell.send_replace(vec![status(&name, RenditionState::Failed)]);
        assert_eq!(held.begun().await, Err("no room".to_owned()));
        tell.send_replace(vec![status(&name, RenditionState::Starting)]);
        assert_eq!(held.begun().await, Ok(()));
        drop(tell);
        assert_eq!(held.begun().await, Ok(()), "what is known is known");
    }
}
