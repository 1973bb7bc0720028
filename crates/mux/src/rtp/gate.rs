//! The gate in front of whoever takes pictures: after a loss, none goes through before the next keyframe.

use bytes::Bytes;
use weir_media::TrackInfo;

use super::PictureEvent;

#[derive(Debug)]
pub(super) struct Gate {
    config: Option<Bytes>,
    awaits_keyframe: bool,
    /// The time of the picture that was left out last: more of its packets may follow the lost ones.
    left_out: Option<i64>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { config: None, awaits_keyframe: true, left_out: None }
    }

    pub(super) fn awaits_keyframe(&self) -> bool {
        self.awaits_keyframe
    }

    /// Shuts the gate, because packets are lost.
    pub(super) fn shut(&mut self) {
        self.awaits_keyframe = true;
    }

    /// Tells the track if it has changed.
    pub(super) fn track(&mut self, info: TrackInfo, tell: &mut impl FnMut(PictureEvent)) {
        if self.config.as_ref() != Some(&info.config) {
            self.config = Some(info.config.clone());
            tell(PictureEvent::Track(info));
        }
    }

    /// Lets a picture through, if a decoder can begin or go on with it.
    pub(super) fn picture(&mut self, ticks: i64, keyframe: bool, payload: Bytes, tell: &mut impl FnMut(PictureEvent)) {
        if self.config.is_none() || (self.awaits_keyframe && !keyframe) {
            return self.leave_out(ticks, tell);
        }
        self.awaits_keyframe = false;
        tell(PictureEvent::Picture { ticks, keyframe, payload });
    }

    pub(super) fn leave_out(&mut self, ticks: i64, tell: &mut impl FnMut(PictureEvent)) {
        self.awaits_keyframe = true;
        if self.left_out.replace(ticks) != Some(ticks) {
            tell(PictureEvent::LeftOut);
        }
    }
}
