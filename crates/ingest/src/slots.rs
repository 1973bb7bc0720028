//! The slots of one stream: who publishes into each, which one is on air, and how another one comes on air in its place.

mod source_slot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use weir_hub::{Next, Publisher, StreamHub, Tracks};
use weir_media::{Frame, MediaKind, Splice, Stamped, TimelineEvent, TrackId, WireClock};
use weir_model::Slot;

use crate::intake::{Eviction, Occupied};
use crate::meter::IngestMeter;
use crate::selector::{Selector, SelectorRules, SwitchCause};

#[cfg(test)]
pub(crate) use self::source_slot::TAKEOVER_AFTER;
use self::source_slot::{Holder, SourceSlot, Standby};

/// Everything of a stream's sources that is changed together. It lies under one lock, which a frame takes once.
#[derive(Debug)]
pub(crate) struct StreamSlots {
    /// In order of preference.
    slots: Vec<SourceSlot>,
    selector: Selector,
    hub: StreamHub,
    /// What writes the stream's program into the hub, while any slot has a publisher.
    program: Option<Publisher>,
    /// Where one slot's frames follow another's in the program.
    splice: Splice,
    next_id: u64,
}

/// A publisher's place: its slot and its session there. It has none any more when another one came in, or the slot is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotSession {
    slot_id: u64,
    session: u64,
}

/// Another slot has come on air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switched {
    pub(crate) from: Slot,
    pub(crate) to: Slot,
    pub(crate) cause: SwitchCause,
}

/// Why a slot can't be switched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotSwitch {
    /// The stream has no such slot.
    NoSlot,
    /// The slot gives no pictures.
    NotLive,
}

/// What one slot does.
#[derive(Clone, Debug)]
pub(crate) struct SlotSeen {
    pub(crate) slot: Slot,
    pub(crate) on_air: bool,
    pub(crate) attached: bool,
    pub(crate) started: bool,
    pub(crate) live: bool,
    pub(crate) meter: Option<Arc<IngestMeter>>,
}

/// A frame on the clock of the publisher that sent it.
pub(crate) struct Stamp {
    pub(crate) track: TrackId,
    pub(crate) kind: MediaKind,
    pub(crate) dts_ticks: u64,
    pub(crate) cts_ticks: i64,
    /// The stream's time when the frame came.
    pub(crate) came_at: Duration,
}

impl StreamSlots {
    pub(crate) fn new(hub: StreamHub, rules: SelectorRules) -> Self {
        let (slots, splice) = (Vec::new(), Splice::default());
        Self { slots, selector: Selector::new(rules), hub, program: None, splice, next_id: 0 }
    }

    /// Takes over the stream's sources as they are from now on. Publishers in slots that are gone are sent away.
    pub(crate) fn arrange(&mut self, names: &[Slot], rules: SelectorRules) {
        self.selector.set_rules(rules);
        if self.slots.iter().map(|slot| &slot.name).eq(names) {
            return;
        }
        let places: Vec<Option<usize>> = names.iter().map(|name| self.place_of(name)).collect();
        let mut old: Vec<Option<SourceSlot>> = std::mem::take(&mut self.slots).into_iter().map(Some).collect();
        for (name, place) in names.iter().zip(&places) {
            let kept = place.and_then(|place| old[place].take());
            let slot = kept.unwrap_or_else(|| self.new_slot(name.clone()));
            self.slots.push(slot);
        }
        for holder in old.into_iter().flatten().filter_map(|slot| slot.holder) {
            let _ = holder.evict.send(Eviction("the source was taken off its stream".to_owned()));
        }
        self.selector.arrange(&places);
        self.have_windows();
        if !self.selector.is_any_attached() {
            self.program = None;
        }
    }

    fn new_slot(&mut self, name: Slot) -> SourceSlot {
        self.next_id += 1;
        SourceSlot::new(self.next_id, name)
    }

    /// A stream's only slot needs no window beside the program's.
    fn have_windows(&mut self) {
        let several = self.slots.len() > 1;
        for slot in &mut self.slots {
            match (several, &slot.standby) {
                (true, None) => slot.standby = Some(Standby::new(&slot.tracks)),
                (false, Some(_)) => slot.standby = None,
                _ => {}
            }
        }
    }

    fn place_of(&self, name: &Slot) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name == *name)
    }

    /// Lets a publisher into a slot. One that has gone silent is replaced.
    pub(crate) fn admit(
        &mut self,
        name: &Slot,
        (meter, clock): (&Arc<IngestMeter>, WireClock),
        now: Instant,
    ) -> Result<(SlotSession, oneshot::Receiver<Eviction>), Occupied> {
        let at = match self.place_of(name) {
            Some(at) => at,
            // Whoever admits knows the stream as it is now, and may be ahead of the supervisor, which puts the slot into its order.
            None => {
                let names: Vec<Slot> = self.slots.iter().map(|slot| &slot.name).chain([name]).cloned().collect();
                self.arrange(&names, self.selector.rules());
                self.slots.len() - 1
            }
        };
        let alone = !self.selector.is_any_attached();
        let slot = &mut self.slots[at];
        if let Some(holder) = slot.holder.take() {
            if !holder.is_silent(now) {
                slot.holder = Some(holder);
                return Err(Occupied);
            }
            // Sending fails if the old connection is gone already, and that is no fault.
            let _ = holder.evict.send(Eviction("another encoder took over this silent session".to_owned()));
        }
        let session = slot.timeline.begin_session(clock);
        let (evict, evicted) = oneshot::channel();
        slot.holder = Some(Holder { session, meter: Arc::clone(meter), admitted_at: now, evict });
        if slot.standby.is_some() {
            // The new session must never be joined by what the one before has left.
            slot.standby = Some(Standby::new(&Tracks::default()));
        }
        let by_the_same = self.selector.on_air() == Some(at);
        self.selector.attached(at);
        if alone || by_the_same {
            self.selector.went_on_air(at);
            self.program = Some(self.hub.publish_source(now));
            // A publisher that comes into the slot which was on air goes on with the slot's own timeline.
            if !by_the_same || self.splice.is_moved() {
                self.splice.cut();
            }
        }
        Ok((SlotSession { slot_id: self.slots[at].id, session }, evicted))
    }

    /// Whether nobody publishes into the slot, or only a publisher that has gone silent.
    pub(crate) fn is_free(&self, name: &Slot, now: Instant) -> bool {
        let holder = self.place_of(name).and_then(|at| self.slots[at].holder.as_ref());
        holder.is_none_or(|holder| holder.is_silent(now))
    }

    /// Sends all publishers away.
    pub(crate) fn evict(&mut self, why: &str) {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            if let Some(holder) = slot.holder.take() {
                slot.timeline.end_session();
                self.selector.detached(at);
                let _ = holder.evict.send(Eviction(why.to_owned()));
            }
        }
        self.program = None;
    }

    /// The publisher has left. Another slot may come on air at once, with the pictures that it has sent already.
    pub(crate) fn leave(&mut self, session: SlotSession, now: Instant) -> Option<Switched> {
        let at = self.place(session)?;
        self.slots[at].holder = None;
        self.slots[at].timeline.end_session();
        self.selector.detached(at);
        if self.selector.is_any_attached() {
            return self.switch_from_window(now).map(|(_, switched)| switched)?;
        }
        self.program = None;
        None
    }

    /// The place of the publisher's slot, while the slot is its own.
    fn place(&self, session: SlotSession) -> Option<usize> {
        let at = self.slots.iter().position(|slot| slot.id == session.slot_id)?;
        self.slots[at].holder.as_ref().is_some_and(|holder| holder.session == session.session).then_some(at)
    }

    pub(crate) fn set_tracks(&mut self, session: SlotSession, tracks: &Tracks) {
        let Some(at) = self.place(session) else { return };
        let slot = &mut self.slots[at];
        slot.tracks.clone_from(tracks);
        if let Some(standby) = &mut slot.standby {
            standby.publisher.set_tracks(tracks.clone());
        }
        if self.selector.on_air() == Some(at) {
            self.set_program_tracks(tracks);
        }
    }

    fn set_program_tracks(&mut self, tracks: &Tracks) {
        if let Some(program) = &mut self.program {
            program.set_tracks(tracks.clone());
        }
    }

    /// Writes a frame of the slot on air into the program, and says whether a subscriber can start there.
    fn write(&mut self, mut frame: Frame, is_video: bool, now: Instant) -> bool {
        self.splice.place(&mut frame, is_video)
            && self.program.as_mut().is_some_and(|program| program.write(frame, now))
    }

    /// Puts a frame on the slot's timeline. None where the publisher has no place any more: what it still sends goes nowhere.
    pub(crate) fn stamp(&mut self, session: SlotSession, stamp: &Stamp) -> Option<(Stamped, Option<TimelineEvent>)> {
        let at = self.place(session)?;
        let Stamp { track, kind, dts_ticks, cts_ticks, came_at } = *stamp;
        Some(self.slots[at].timeline.stamp(track, kind, dts_ticks, cts_ticks, came_at))
    }

    /// Takes a frame that was stamped. Where its slot is on air, it is part of the program. With its keyframe, a slot may come on air.
    pub(crate) fn frame(
        &mut self,
        session: SlotSession,
        frame: Frame,
        kind: MediaKind,
        now: Instant,
    ) -> Option<Switched> {
        let at = self.place(session)?;
        let is_video = kind == MediaKind::Video;
        let slot = &mut self.slots[at];
        let tells = is_video || slot.tracks.video().is_none();
        let Some(standby) = &mut slot.standby else {
            let is_start = if self.selector.on_air() == Some(at) {
                self.write(frame, is_video, now)
            } else {
                // The slot that was on air was taken off the stream, and this one is the only one left.
                let is_start = tells && frame.is_keyframe();
                if is_start {
                    self.go_on_air(at);
                    self.write(frame, is_video, now);
                }
                is_start
            };
            if tells {
                self.selector.picture(at, is_start, now);
            }
            return None;
        };
        let is_start = standby.publisher.write(frame.clone(), now);
        if tells {
            self.selector.picture(at, is_start, now);
        }
        let wish = self.selector.wish(now);
        if let Some(wish) = wish.filter(|wish| wish.slot == at && is_start) {
            let from = self.go_on_air(at);
            self.write(frame, is_video, now);
            return self.switched(from, at, wish.cause);
        }
        if wish.is_some()
            && let Some((to, switched)) = self.switch_from_window(now)
        {
            // What came on air came with all that its window had, this frame included.
            debug_assert!(self.selector.on_air() == Some(to), "the slot is on air");
            return switched;
        }
        if self.selector.on_air() == Some(at) {
            self.write(frame, is_video, now);
        }
        None
    }

    /// Puts another slot on air in place of one that was lost, if it has sent a keyframe behind what was on air. If it has none yet, its
    /// next one is waited for.
    fn switch_from_window(&mut self, now: Instant) -> Option<(usize, Option<Switched>)> {
        let wish = self.selector.wish(now).filter(|wish| wish.cause == SwitchCause::Lost)?;
        let mut cached = self.slots[wish.slot].standby.as_ref()?.window.subscribe_unhurried();
        let Some(Next::Item(first)) = cached.try_next() else { return None };
        if first.is_video() && !self.splice.is_before(first.frame.track, first.frame.dts) {
            return None;
        }
        let from = self.go_on_air(wish.slot);
        let mut next = Some(first);
        while let Some(entry) = next {
            self.set_program_tracks(&entry.tracks);
            self.write(entry.frame.clone(), entry.is_video(), now);
            next = match cached.try_next() {
                Some(Next::Item(entry)) => Some(entry),
                _ => None,
            };
        }
        Some((wish.slot, self.switched(from, wish.slot, wish.cause)))
    }

    /// Puts a slot on air, whose next frame is a keyframe. Returns what was on air.
    fn go_on_air(&mut self, at: usize) -> Option<usize> {
        let from = self.selector.on_air().filter(|from| *from != at);
        self.selector.went_on_air(at);
        self.splice.cut();
        let tracks = self.slots[at].tracks.clone();
        self.set_program_tracks(&tracks);
        from
    }

    fn switched(&self, from: Option<usize>, to: usize, cause: SwitchCause) -> Option<Switched> {
        let name = |at: usize| self.slots[at].name.clone();
        from.map(|from| Switched { from: name(from), to: name(to), cause })
    }

    /// Prefers a slot to all others from now on, and puts it on air with its next keyframe. None goes back to the stream's order.
    pub(crate) fn switch(&mut self, name: Option<&Slot>, now: Instant) -> Result<(), CannotSwitch> {
        let Some(name) = name else {
            self.selector.switch(None);
            return Ok(());
        };
        let at = self.place_of(name).ok_or(CannotSwitch::NoSlot)?;
        if !self.selector.is_live(at, now) {
            return Err(CannotSwitch::NotLive);
        }
        self.selector.switch(Some(at));
        Ok(())
    }

    pub(crate) fn by_hand(&self) -> Option<Slot> {
        self.selector.by_hand().map(|at| self.slots[at].name.clone())
    }

    /// What each slot does.
    pub(crate) fn seen(&self, now: Instant) -> Vec<SlotSeen> {
        let on_air = self.selector.on_air();
        let seen = self.slots.iter().enumerate().map(|(at, slot)| SlotSeen {
            slot: slot.name.clone(),
            on_air: on_air == Some(at) && self.selector.is_any_attached(),
            attached: self.selector.is_attached(at),
            started: self.selector.has_started(at),
            live: self.selector.is_live(at, now),
            meter: slot.holder.as_ref().map(|holder| Arc::clone(&holder.meter)),
        });
        seen.collect()
    }

    #[cfg(test)]
    pub(crate) fn is_held_by(&self, session: SlotSession) -> bool {
        self.place(session).is_some()
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
