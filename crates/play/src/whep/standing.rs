//! The rungs that a viewer may stand on, and where it stands. It does what `climb` decides: it finds the rung, follows its feed and asks for its
//! keyframe.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use weir_hub::{FeedHandle, Feeds, RenditionHub, StreamHub};
use weir_media::Language;
use weir_observe::Viewer;
use weir_webrtc::from_frames::carried;
use weir_webrtc::{Heard, Move, RtpBatcher, Steer};

use super::climb::{Climb, Sign, Step};

/// The next rung must differ by so much. Renditions of one picture, which have other sound, differ by less, and are no rungs.
const APART: f64 = 0.8;

/// What is sent is measured over so long at least.
const MEASURED_OVER: Duration = Duration::from_millis(400);

/// What a viewer may be shown, and the feeds of it on the viewer's lane.
#[derive(Debug)]
pub struct Shown {
    pub hub: StreamHub,
    pub feeds: Feeds,
    pub lane: Handle,
    /// The hub's name of the rendition that the viewer begins with, and whose sound it hears.
    pub first: String,
    /// The language that is heard, where there are several.
    pub language: Option<Language>,
    /// The renditions that it may move to. There are none where the viewer chose one.
    pub others: Vec<Other>,
}

/// A rendition of the ladder.
#[derive(Clone, Debug)]
pub struct Other {
    /// The hub's name.
    pub name: String,
    /// The rate at which it is encoded.
    pub bps: f64,
}

#[derive(Debug)]
pub(super) struct Standing {
    shown: Shown,
    climb: Climb,
    at: Place,
    /// Where the viewer was sent, and has not arrived.
    next: Option<Place>,
    /// When and at how many bytes the measuring of what is sent began.
    measured: Option<(Instant, u64)>,
    sent_bps: u64,
    /// What was sent of the first rendition, when last seen. Repetitions make it a little more than it is.
    first_bps: f64,
    /// The viewer is counted while this lives.
    viewer: Option<Viewer>,
}

#[derive(Debug)]
struct Place {
    /// The hub's name.
    name: String,
    rendition: RenditionHub,
    /// The feed runs while this lives. The first rung's is held by whoever plays it.
    _feed: Option<FeedHandle<RtpBatcher>>,
}

impl Standing {
    pub(super) fn new(shown: Shown, viewer: Option<Viewer>, now: Instant) -> Self {
        let at = shown.first_place();
        let mut standing =
            Self { shown, climb: Climb::new(now), at, next: None, measured: None, sent_bps: 0, first_bps: 0.0, viewer };
        if let Some(viewer) = &mut standing.viewer {
            viewer.sees(&standing.at.name);
        }
        standing
    }

    fn is_at_first(&self) -> bool {
        self.at.name == self.shown.first
    }

    fn sign(&mut self, heard: &Heard, now: Instant) -> Sign {
        match *heard {
            Heard::Estimate { bits_per_second } => {
                Sign { loss_permille: None, estimate_bps: Some(bits_per_second), sent_bps: self.sent_bps }
            }
            Heard::Report { loss_permille, sent_bytes } => {
                let (since, bytes) = *self.measured.get_or_insert((now, sent_bytes));
                let passed = now.saturating_duration_since(since);
                if passed >= MEASURED_OVER {
                    let bits = sent_bytes.saturating_sub(bytes) as f64 * 8.0;
                    (self.sent_bps, self.measured) = ((bits / passed.as_secs_f64()) as u64, Some((now, sent_bytes)));
                    if self.is_at_first() {
                        self.first_bps = self.sent_bps as f64;
                    }
                }
                Sign { loss_permille: Some(loss_permille), estimate_bps: None, sent_bps: self.sent_bps }
            }
        }
    }

    fn go(&mut self, name: &str) -> Move {
        let (place, way) = self.shown.place(name);
        // An encoder makes its next keyframe for it. A source does not, and is waited for.
        place.rendition.ask_keyframe();
        self.next = Some(place);
        way
    }
}

impl Shown {
    fn first_place(&self) -> Place {
        Place { name: self.first.clone(), rendition: self.hub.rendition(&self.first), _feed: None }
    }

    fn place(&self, name: &str) -> (Place, Move) {
        if name == self.first {
            return (self.first_place(), Move::ToFirst);
        }
        let feed: FeedHandle<RtpBatcher> = self.feeds.feed(name, self.language, &self.lane);
        let batches = feed.subscribe();
        (Place { name: name.to_owned(), rendition: self.hub.rendition(name), _feed: Some(feed) }, Move::To(batches))
    }

    /// The rungs that are there and differ from the first one, the lowest first.
    fn rungs(&self, first_bps: f64) -> Vec<&Other> {
        let is_there =
            |rung: &&Other| carried(&self.hub.rendition(&rung.name).tracks()).is_ok_and(|it| it.profile_idc.is_some());
        let others = self.others.iter().filter(|rung| rung.bps <= first_bps * APART && rung.name != self.first);
        let mut rungs: Vec<&Other> = others.filter(is_there).collect();
        rungs.sort_by(|one, other| one.bps.total_cmp(&other.bps));
        rungs
    }

    fn bps(&self, name: &str) -> Option<f64> {
        self.others.iter().find(|rung| rung.name == name && rung.name != self.first).map(|rung| rung.bps)
    }

    fn below(&self, at: &str, first_bps: f64) -> Option<String> {
        let bps = self.bps(at).unwrap_or(first_bps);
        let rung = self.rungs(first_bps).into_iter().rfind(|rung| rung.bps <= bps * APART);
        rung.map(|rung| rung.name.clone())
    }

    /// The rung above. Where there is none, this is the first one.
    fn above(&self, at: &str, first_bps: f64) -> String {
        let bps = self.bps(at).unwrap_or(first_bps);
        let rung = self.rungs(first_bps).into_iter().find(|rung| rung.bps * APART >= bps);
        rung.map_or(&self.first, |rung| &rung.name).clone()
    }
}

impl Steer for Standing {
    fn keyframes_wanted(&mut self, count: u64) {
        self.at.rendition.ask_keyframe();
        if let Some(viewer) = &self.viewer {
            viewer.asked_for_keyframes(count);
        }
    }

    fn heard(&mut self, heard: &Heard, now: Instant) -> Option<Move> {
        let sign = self.sign(heard, now);
        if self.shown.others.is_empty() {
            return None;
        }
        let (above, mut lower) = (!self.is_at_first(), None);
        let below = || {
            lower = self.shown.below(&self.at.name, self.first_bps);
            lower.is_some()
        };
        match self.climb.judge(&sign, above, below, now) {
            Step::Stay => None,
            Step::Down => lower.map(|name| self.go(&name)),
            Step::Up => {
                let name = self.shown.above(&self.at.name, self.first_bps);
                Some(self.go(&name))
            }
        }
    }

    fn arrived(&mut self, at_first: bool) {
        let sent_to = self.next.take_if(|next| (next.name == self.shown.first) == at_first);
        self.at = sent_to.unwrap_or_else(|| self.shown.first_place());
        // What is sent is measured anew.
        (self.measured, self.sent_bps) = (None, 0);
        if let Some(viewer) = &mut self.viewer {
            viewer.sees(&self.at.name);
        }
    }
}
