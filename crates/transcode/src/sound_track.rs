//! One sound of a rendition: the frames that wait for pictures, how far it has come, and the silence where it has none.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_media::{Frame, MediaTime, TrackId, TrackInfo};
use weir_model::AudioCodec;
use weir_pipeline::{OutputId, WorkerFrame};

use crate::plan::SoundPlan;
use crate::sound::{self, Sound};

/// Two seconds of sound: encoders of pictures take up to one for their first. Sound does not wait for pictures that are later than this.
const WAITING_MAX: usize = 96;

#[derive(Debug)]
pub(crate) struct SoundTrack {
    /// The track of the source that it is made from, or is.
    source: TrackId,
    /// Its own track number in the rendition.
    id: TrackId,
    info: Option<Arc<TrackInfo>>,
    /// What is needed where the sound is encoded; None where the source's own frames are kept.
    made: Option<Made>,
    /// Sound leaves its encoder sooner than the pictures of its time leave theirs, and waits here for them: a reader that cuts segments
    /// at the pictures' keyframes must not have read sound from beyond.
    waiting: VecDeque<WorkerFrame>,
    last: Option<MediaTime>,
    /// The published tracks do not describe this sound as it is now; its frames are left out until the next keyframe announces it.
    pub(crate) is_unknown: bool,
}

#[derive(Debug)]
struct Made {
    output: OutputId,
    /// How far the sound has come, and the silence that it needs.
    sound: Sound,
}

impl SoundTrack {
    pub(crate) fn made(plan: &SoundPlan, codec: AudioCodec) -> Self {
        let made = Made { output: plan.output, sound: Sound::new(codec) };
        let info = plan.track(codec);
        Self {
            source: plan.source.id,
            id: plan.number(),
            info,
            made: Some(made),
            waiting: VecDeque::new(),
            last: None,
            is_unknown: false,
        }
    }

    pub(crate) fn kept(info: Arc<TrackInfo>, is_unknown: bool) -> Self {
        let (id, info) = (info.id, Some(info));
        Self { source: id, id, info, made: None, waiting: VecDeque::new(), last: None, is_unknown }
    }

    pub(crate) fn source(&self) -> TrackId {
        self.source
    }

    pub(crate) fn id(&self) -> TrackId {
        self.id
    }

    pub(crate) fn info(&self) -> Option<&Arc<TrackInfo>> {
        self.info.as_ref()
    }

    pub(crate) fn is_of(&self, output: OutputId) -> bool {
        self.made.as_ref().is_some_and(|made| made.output == output)
    }

    /// Goes on as the plan has it now; true when another encoder gives it from now on, whose frames differ.
    pub(crate) fn go_on(&mut self, plan: &SoundPlan, codec: AudioCodec) -> bool {
        self.info = plan.track(codec);
        let Some(made) = self.made.as_mut().filter(|made| made.output != plan.output) else { return false };
        made.output = plan.output;
        made.sound.go_on_as(codec);
        self.id = plan.number();
        self.waiting.clear();
        true
    }

    /// Notes how the source describes this sound; true when that has changed.
    pub(crate) fn say(&mut self, info: &Arc<TrackInfo>) -> bool {
        let is_news = self.info.as_ref() != Some(info);
        if is_news {
            self.info = Some(Arc::clone(info));
        }
        is_news
    }

    /// Takes a frame that waits; gives the oldest one back where too many wait.
    pub(crate) fn push(&mut self, frame: WorkerFrame) -> Option<WorkerFrame> {
        self.waiting.push_back(frame);
        if self.waiting.len() > WAITING_MAX { self.waiting.pop_front() } else { None }
    }

    /// The next waiting frame if it is from before that time; where that is None, whatever its time.
    pub(crate) fn pop(&mut self, before: Option<MediaTime>) -> Option<WorkerFrame> {
        self.waiting.pop_front_if(|frame| before.is_none_or(|before| frame.dts < before))
    }

    /// How far the sound has come, waiting frames included.
    pub(crate) fn newest(&self) -> Option<MediaTime> {
        self.waiting.back().map(|frame| frame.dts).max(self.last)
    }

    pub(crate) fn last(&self) -> Option<MediaTime> {
        self.last
    }

    /// Whether a frame of that time may be published; the caller then publishes
    /// it. Beside pictures there is no sound before the first picture.
    pub(crate) fn take(&mut self, dts: MediaTime, is_alone: bool, has_begun: bool) -> bool {
        if let Some(made) = self.made.as_mut().filter(|_| is_alone) {
            made.sound.begin(dts);
        }
        if self.is_unknown || self.last.is_some_and(|last| dts <= last) {
            return false;
        }
        let fits = match &mut self.made {
            Some(made) => made.sound.take(dts),
            None => is_alone || has_begun,
        };
        if fits {
            self.last = Some(dts);
        }
        fits
    }

    /// The silence that is due when a picture is published. Where the source's own sound is kept there is none.
    pub(crate) fn silence_beside(&mut self, picture: MediaTime, source_has_sound: bool) -> Vec<Frame> {
        if self.is_unknown {
            return Vec::new();
        }
        let silence = self.made.as_mut().map(|made| made.sound.picture(picture, source_has_sound));
        self.own(silence.unwrap_or_default())
    }

    /// The silence that is due where there are no pictures, when the source has come to that time.
    pub(crate) fn silence_alone(&mut self, source: MediaTime, source_has_sound: bool) -> Vec<Frame> {
        let silence = self.made.as_mut().map(|made| made.sound.alone(source, source_has_sound));
        self.own(silence.unwrap_or_default())
    }

    fn own(&mut self, mut silence: Vec<Frame>) -> Vec<Frame> {
        silence.iter_mut().for_each(|frame| frame.track = self.id);
        self.last = silence.last().map(|frame| frame.dts).or(self.last);
        silence
    }
}

impl SoundPlan {
    /// Renditions whose sound one encoder makes have the same frames, and so the same number. The source's order comes first in the
    /// number: the first sound is what plays where nobody chose.
    fn number(&self) -> TrackId {
        const MADE_BITS: u32 = 24;
        let order = self.source.id.0.min(TrackId::FIRST_MADE.0 - 2) + 1;
        TrackId(order << MADE_BITS | self.output.0 & ((1 << MADE_BITS) - 1))
    }

    /// The track of what the worker gives, with the language and label that the source's sound has.
    fn track(&self, codec: AudioCodec) -> Option<Arc<TrackInfo>> {
        let track = sound::track(codec)?;
        let (id, language, label) = (self.number(), self.source.language, self.source.label.clone());
        Some(Arc::new(TrackInfo { id, language, label, ..track }))
    }
}
