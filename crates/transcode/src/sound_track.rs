//! One sound of a rendition on its way: what has come of it and waits for pictures, where it stands, and silence where it has none.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_media::{Frame, MediaTime, TrackId, TrackInfo};
use weir_model::AudioCodec;
use weir_pipeline::{OutputId, WireFrame};

use crate::plan::SoundPlan;
use crate::sound::{self, Sound};

/// Two seconds: encoders of pictures take up to one for their first. Pictures that are later than this are not waited for.
const WAITING_MAX: usize = 96;

#[derive(Debug)]
pub(crate) struct SoundTrack {
    /// The source's number of what it is made of.
    source: TrackId,
    /// Its own number in the rendition.
    id: TrackId,
    info: Option<Arc<TrackInfo>>,
    /// Of an encoder of ours; None where the source's own frames are kept.
    made: Option<Made>,
    /// Sound is out of its encoder sooner than the pictures of its time are out of theirs. It waits for them: who cuts segments
    /// where pictures have keyframes must not have read the sound beyond.
    waiting: VecDeque<WireFrame>,
    last: Option<MediaTime>,
    /// The tracks in force do not have it as it is now: what comes is left out until the next keyframe says what it is.
    pub(crate) is_unknown: bool,
}

#[derive(Debug)]
struct Made {
    output: OutputId,
    /// Where it stands, and the silence that it needs.
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

    /// Goes on as the plan has it now; whether another encoder gives it, whose frames are others.
    pub(crate) fn go_on(&mut self, plan: &SoundPlan, codec: AudioCodec) -> bool {
        self.info = plan.track(codec);
        let Some(made) = self.made.as_mut().filter(|made| made.output != plan.output) else { return false };
        made.output = plan.output;
        made.sound.go_on_as(codec);
        self.id = plan.number();
        self.waiting.clear();
        true
    }

    /// The source's own says what it is; whether that is news.
    pub(crate) fn say(&mut self, info: &Arc<TrackInfo>) -> bool {
        let is_news = self.info.as_ref() != Some(info);
        if is_news {
            self.info = Some(Arc::clone(info));
        }
        is_news
    }

    /// Takes a frame that waits; gives one back where too many do.
    pub(crate) fn push(&mut self, frame: WireFrame) -> Option<WireFrame> {
        self.waiting.push_back(frame);
        if self.waiting.len() > WAITING_MAX { self.waiting.pop_front() } else { None }
    }

    /// The next that waits, if it is of before that time; None: whatever its time.
    pub(crate) fn pop(&mut self, before: Option<MediaTime>) -> Option<WireFrame> {
        self.waiting.pop_front_if(|frame| before.is_none_or(|before| frame.dts < before))
    }

    /// How far it has come, what waits included.
    pub(crate) fn newest(&self) -> Option<MediaTime> {
        self.waiting.back().map(|frame| frame.dts).max(self.last)
    }

    pub(crate) fn last(&self) -> Option<MediaTime> {
        self.last
    }

    /// Whether a frame of that time may be published, which it then is. Beside pictures there is no sound before the first.
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

    /// A picture was published: the silence that is due now. Where the source's own sound is kept there is none.
    pub(crate) fn silence_beside(&mut self, picture: MediaTime, source_has_sound: bool) -> Vec<Frame> {
        if self.is_unknown {
            return Vec::new();
        }
        let silence = self.made.as_mut().map(|made| made.sound.picture(picture, source_has_sound));
        self.own(silence.unwrap_or_default())
    }

    /// The source has come to that time, and there are no pictures to go by.
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
    /// Renditions whose sound is made by one encoder have the same frames, and so the same number. The source's order comes first in it:
    /// the first sound is what is played where nobody chose.
    fn number(&self) -> TrackId {
        const MADE_BITS: u32 = 24;
        let order = self.source.id.0.min(TrackId::FIRST_MADE.0 - 2) + 1;
        TrackId(order << MADE_BITS | self.output.0 & ((1 << MADE_BITS) - 1))
    }

    /// The track of what the worker gives, called as the source calls it.
    fn track(&self, codec: AudioCodec) -> Option<Arc<TrackInfo>> {
        let track = sound::track(codec)?;
        let (id, language, label) = (self.number(), self.source.language, self.source.label.clone());
        Some(Arc::new(TrackInfo { id, language, label, ..track }))
    }
}
