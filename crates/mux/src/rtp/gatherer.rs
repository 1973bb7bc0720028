//! Gathers the packets of a picture, however its codec cuts it, and gives it to the gate when it is whole.

use std::fmt::Debug;

use super::gate::Gate;
use super::{PictureEvent, RtpPayload};

/// How a codec's pictures are cut into packets.
pub(super) trait PayloadFormat: Debug {
    /// What is gathered of one picture.
    type Picture: Debug;

    fn begin(&self) -> Self::Picture;

    /// Adds a packet. None where the picture can't become whole any more.
    fn add(&self, picture: &mut Self::Picture, bytes: &[u8]) -> Option<()>;

    /// Gives a picture, of which no packet is missing, to the gate. None where it can't be used after all.
    fn finish(
        &mut self,
        picture: Self::Picture,
        ticks: i64,
        gate: &mut Gate,
        tell: &mut impl FnMut(PictureEvent),
    ) -> Option<()>;
}

#[derive(Debug)]
pub(super) struct Gatherer<F: PayloadFormat> {
    format: F,
    gathered: Option<Gathered<F::Picture>>,
    gate: Gate,
}

#[derive(Debug)]
struct Gathered<T> {
    ticks: i64,
    picture: T,
    is_broken: bool,
}

impl<F: PayloadFormat> Gatherer<F> {
    pub(super) fn of(format: F) -> Self {
        Self { format, gathered: None, gate: Gate::new() }
    }

    pub(super) fn awaits_keyframe(&self) -> bool {
        self.gate.awaits_keyframe()
    }

    pub(super) fn packet(&mut self, packet: RtpPayload<'_>, mut tell: impl FnMut(PictureEvent)) {
        if self.gathered.as_ref().is_some_and(|gathered| gathered.ticks != packet.ticks) {
            self.finish(&mut tell);
        }
        let new = || Gathered { ticks: packet.ticks, picture: self.format.begin(), is_broken: false };
        let gathered = self.gathered.get_or_insert_with(new);
        if !gathered.is_broken {
            gathered.is_broken = self.format.add(&mut gathered.picture, packet.bytes).is_none();
        }
        if packet.marker {
            self.finish(&mut tell);
        }
    }

    pub(super) fn lost(&mut self, mut tell: impl FnMut(PictureEvent)) {
        if let Some(gathered) = &mut self.gathered {
            gathered.is_broken = true;
            self.finish(&mut tell);
        }
        self.gate.shut();
    }

    /// The picture that is being gathered.
    #[cfg(test)]
    pub(super) fn picture(&self) -> Option<&F::Picture> {
        self.gathered.as_ref().map(|gathered| &gathered.picture)
    }

    fn finish(&mut self, tell: &mut impl FnMut(PictureEvent)) {
        let Some(Gathered { ticks, picture, is_broken }) = self.gathered.take() else { return };
        if is_broken || self.format.finish(picture, ticks, &mut self.gate, tell).is_none() {
            self.gate.leave_out(ticks, tell);
        }
    }
}
