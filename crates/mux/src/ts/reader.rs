//! The reader: bytes in any pieces become tracks, frames, and whatever else a programme carries.

use std::collections::{BTreeMap, VecDeque};

use weir_media::{MediaKind, TrackId};

use super::clock::{Unroller, distance};
use super::elementary::{Sink, TrackFacts, Unpacker};
use super::packet::Packet;
use super::pes::{Gathered, PesAssembler};
use super::psi::{Pmt, TABLE_SCTE35, parse_pat};
use super::section::{LongSection, SectionAssembler};
use super::stream::TsStream;
use super::sync::PacketSync;
use super::{NotCarried, PID_NULL, PID_PAT, PROGRAMS_MAX, SOUNDS_MAX, TsElementary, TsEvent, TsProgram, crc32};

/// A PCR comes at least every 100 ms, so one that leads or lags by more than this has jumped.
const PCR_JUMP_TICKS: i64 = 90_000;

/// Counts of what the reader saw since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsCounts {
    pub packets: u64,
    pub null_packets: u64,
    /// Packets whose counter does not follow on the one before, so that something is missing.
    pub continuity_errors: u64,
    /// Packets that were sent twice, which the standard allows. They are taken once.
    pub duplicates: u64,
    pub sync_losses: u64,
    pub skipped_bytes: u64,
    /// Packets of followed streams that are scrambled, or damaged as the transport says.
    pub unusable_packets: u64,
    /// Sections with a wrong CRC or without an end.
    pub broken_sections: u64,
    /// PES packets and frames that were cut short, too long, or could not be understood.
    pub broken_frames: u64,
    pub pcr_jumps: u64,
    /// Changes of the PMT after the first one.
    pub program_changes: u64,
}

#[derive(Debug)]
enum Content {
    Pat(SectionAssembler),
    Pmt(SectionAssembler),
    Media { track: TrackFacts, pes: PesAssembler, unpacker: Unpacker },
    Splices(SectionAssembler),
}

/// One PID that is followed: that of the PAT, the PMT, the picture, a sound, or splices.
#[derive(Debug)]
struct Followed {
    /// The stream on this PID. The PAT and the PMT have none.
    stream: Option<TsStream>,
    content: Content,
    continuity: Option<u8>,
    repeated: bool,
}

impl Followed {
    fn new(stream: Option<TsStream>, content: Content) -> Self {
        Self { stream, content, continuity: None, repeated: false }
    }
}

/// Reads one programme of a transport stream. Take all events with [`Self::next_event`] before feeding again: beside them the reader
/// holds one unfinished PES packet or section for each PID that is followed.
#[derive(Debug)]
pub struct TsReader {
    wanted: Option<u16>,
    sync: PacketSync,
    followed: BTreeMap<u16, Followed>,
    /// The version and the programmes of each section of the PAT.
    programs: BTreeMap<u8, (u8, Vec<(u16, u16)>)>,
    /// The number and the PMT PID of the programme that is read.
    chosen: Option<(u16, u16)>,
    pmt: Option<Pmt>,
    /// The programme that was asked for is missing, and an event has told so.
    told_missing: bool,
    last_pcr: Option<u64>,
    unroller: Unroller,
    events: VecDeque<TsEvent>,
    counts: TsCounts,
}

impl TsReader {
    /// Reads the programme of that number, or the first one if there is no number.
    pub fn new(program: Option<u16>) -> Self {
        let pat = Followed::new(None, Content::Pat(SectionAssembler::default()));
        Self {
            wanted: program,
            sync: PacketSync::default(),
            followed: BTreeMap::from([(PID_PAT, pat)]),
            programs: BTreeMap::new(),
            chosen: None,
            pmt: None,
            told_missing: false,
            last_pcr: None,
            unroller: Unroller::default(),
            events: VecDeque::new(),
            counts: TsCounts::default(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.sync.feed(bytes);
        while let Some(bytes) = self.sync.next() {
            self.counts.packets += 1;
            match Packet::parse(&bytes) {
                Some(packet) => self.packet(&packet),
                None => self.counts.unusable_packets += 1,
            }
        }
    }

    /// Ends the last picture, because nothing comes any more.
    pub fn finish(&mut self) {
        let pids: Vec<u16> = self.followed.keys().copied().collect();
        for pid in pids {
            let mut gathered = Gathered::default();
            if let Some(Followed { content: Content::Media { pes, .. }, .. }) = self.followed.get_mut(&pid) {
                pes.end(&mut gathered);
            }
            self.unpack(pid, &gathered);
        }
    }

    /// Ends the last picture, because a segment ends here: the next one may come from another muxer, whose counters begin anew.
    pub fn cut(&mut self) {
        self.finish();
        self.followed.values_mut().for_each(|followed| followed.continuity = None);
    }

    /// The next event. `None` means that more bytes are needed.
    pub fn next_event(&mut self) -> Option<TsEvent> {
        self.events.pop_front()
    }

    /// Whether the programme names a sound that is read but has not shown yet what it is.
    pub fn awaits_sound(&self) -> bool {
        self.followed.values().any(|followed| {
            let is_sound = followed.stream.is_some_and(|stream| stream.kind() == Some(MediaKind::Audio));
            is_sound && matches!(&followed.content, Content::Media { track, .. } if track.told.is_none())
        })
    }

    pub fn counts(&self) -> TsCounts {
        TsCounts { sync_losses: self.sync.losses, skipped_bytes: self.sync.skipped_bytes, ..self.counts }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        if packet.pid == PID_NULL {
            self.counts.null_packets += 1;
            return;
        }
        if !packet.damaged && self.pmt.as_ref().is_some_and(|pmt| pmt.pcr_pid == packet.pid) {
            self.pcr(packet);
        }
        let Some(followed) = self.followed.get_mut(&packet.pid) else { return };
        let Some(payload) = packet.payload else { return };
        if packet.damaged || packet.scrambled {
            self.counts.unusable_packets += 1;
            return;
        }
        let before = followed.continuity.replace(packet.continuity);
        if let Some(before) = before.filter(|_| !packet.discontinuity)
            && packet.continuity != (before + 1) & 0x0F
        {
            // The same counter once is a repetition, but a second time it is a loss.
            if packet.continuity == before && !std::mem::replace(&mut followed.repeated, true) {
                self.counts.duplicates += 1;
                return;
            }
            self.counts.continuity_errors += 1;
            self.counts.broken_frames += u64::from(followed.lost());
        }
        followed.repeated = false;
        match &mut followed.content {
            Content::Media { pes, .. } => {
                let gathered = pes.push(packet.start, packet.random_access, payload);
                self.unpack(packet.pid, &gathered);
            }
            Content::Pat(sections) | Content::Pmt(sections) | Content::Splices(sections) => {
                let (found, broken) = sections.push(packet.start, payload);
                self.counts.broken_sections += broken;
                for section in found {
                    if crc32(&section) == 0 {
                        self.section(packet.pid, section);
                    } else {
                        self.counts.broken_sections += 1;
                    }
                }
            }
        }
    }

    fn pcr(&mut self, packet: &Packet<'_>) {
        let Some(pcr) = packet.pcr else { return };
        let step = self.last_pcr.replace(pcr).map_or(0, |last| distance(last, pcr));
        self.counts.pcr_jumps += u64::from(!(0..=PCR_JUMP_TICKS).contains(&step));
    }

    fn unpack(&mut self, pid: u16, gathered: &Gathered) {
        self.counts.broken_frames += gathered.broken;
        let Some(Followed { content: Content::Media { track, unpacker, .. }, .. }) = self.followed.get_mut(&pid) else {
            return;
        };
        let broken = &mut self.counts.broken_frames;
        let mut sink = Sink { pid, track, events: &mut self.events, unroller: &mut self.unroller, broken };
        for pes in &gathered.found {
            unpacker.unpack(pes, &mut sink);
        }
    }

    fn section(&mut self, pid: u16, section: bytes::Bytes) {
        match self.followed.get(&pid).map(|followed| &followed.content) {
            Some(Content::Pat(_)) => {
                if let Some(section) = LongSection::parse(&section) {
                    self.pat(&section);
                }
            }
            Some(Content::Pmt(_)) => {
                let pmt = LongSection::parse(&section).and_then(|section| Pmt::parse(&section));
                // A PID may carry the PMTs of several programmes.
                let ours = pmt.filter(|pmt| self.chosen.is_some_and(|(number, _)| number == pmt.program));
                if let Some(pmt) = ours.filter(|pmt| self.pmt.as_ref() != Some(pmt)) {
                    self.program(pmt);
                }
            }
            Some(Content::Splices(_)) if section.first() == Some(&TABLE_SCTE35) => {
                self.events.push_back(TsEvent::Scte35 { pid, section });
            }
            _ => {}
        }
    }

    fn pat(&mut self, section: &LongSection) {
        let Some(programs) = parse_pat(section) else { return };
        let known = self.programs.get(&section.number);
        if known.is_some_and(|(version, known)| *version == section.version && *known == programs) {
            return;
        }
        // Sections of another version belong to another PAT.
        self.programs.retain(|_, (version, _)| *version == section.version);
        let others: usize = self.programs.values().map(|(_, programs)| programs.len()).sum();
        if others + programs.len() > PROGRAMS_MAX {
            return;
        }
        self.programs.insert(section.number, (section.version, programs));
        self.choose();
    }

    fn available(&self) -> impl Iterator<Item = (u16, u16)> {
        self.programs.values().flat_map(|(_, programs)| programs.iter().copied())
    }

    /// Chooses the programme to read. It stays with the present one as long as that is there.
    fn choose(&mut self) {
        let number = self.wanted.or(self
            .chosen
            .map(|(number, _)| number)
            .filter(|number| self.available().any(|(available, _)| available == *number)));
        let found = match number {
            Some(number) => self.available().find(|(available, _)| *available == number),
            None => self.available().next(),
        };
        if let (None, Some(wanted)) = (found, self.wanted)
            && !std::mem::replace(&mut self.told_missing, true)
        {
            let available = self.available().map(|(number, _)| number).collect();
            self.events.push_back(TsEvent::ProgramMissing { wanted, available });
        }
        if found.is_some() {
            self.told_missing = false;
        }
        if found == self.chosen {
            return;
        }
        let other = found.map(|found| found.0) != self.chosen.map(|chosen| chosen.0);
        if let Some((_, pid)) = self.chosen
            && self.followed.get(&pid).is_some_and(|followed| followed.stream.is_none())
        {
            self.followed.remove(&pid);
        }
        self.chosen = found;
        if other {
            self.end_streams(&[], &[]);
            self.pmt = None;
        }
        if let Some((_, pid)) = found {
            self.followed.insert(pid, Followed::new(None, Content::Pmt(SectionAssembler::default())));
        }
    }

    /// Takes a PMT that differs from the one before.
    fn program(&mut self, pmt: Pmt) {
        self.counts.program_changes += u64::from(self.pmt.is_some());
        let available = self.available().map(|(number, _)| number).collect();
        let (number, streams) = (pmt.program, pmt.streams.clone());
        self.events.push_back(TsEvent::Program(TsProgram { number, streams: streams.clone(), available }));
        let numbers = self.numbers(&streams);
        self.end_streams(&streams, &numbers);
        for (elementary, track) in streams.into_iter().zip(numbers) {
            self.follow(&elementary, track.map(|(_, track)| track));
        }
        self.last_pcr = self.last_pcr.filter(|_| self.pmt.as_ref().is_some_and(|before| before.pcr_pid == pmt.pcr_pid));
        self.pmt = Some(pmt);
    }

    /// The PID and the track number of each stream, if the stream is read. A stream that is read already keeps its number.
    fn numbers(&self, streams: &[TsElementary]) -> Vec<Option<(u16, TrackId)>> {
        let known = |elementary: &TsElementary| match self.followed.get(&elementary.pid) {
            Some(Followed { stream: Some(stream), content: Content::Media { track, .. }, .. })
                if *stream == elementary.stream =>
            {
                Some(track.id)
            }
            _ => None,
        };
        let mut taken: Vec<TrackId> = streams.iter().filter_map(known).collect();
        let picture =
            streams.iter().position(|it| it.stream.is_carried() && it.stream.kind() == Some(MediaKind::Video));
        let mut sounds = 0;
        let number = |(at, elementary): (usize, &TsElementary)| {
            let id = match elementary.stream.kind().filter(|_| elementary.stream.is_carried())? {
                MediaKind::Video => (Some(at) == picture).then_some(TrackId::SOURCE_VIDEO)?,
                MediaKind::Audio if sounds == SOUNDS_MAX => return None,
                MediaKind::Audio => {
                    sounds += 1;
                    known(elementary)
                        .or_else(|| (TrackId::SOURCE_AUDIO.0..).map(TrackId).find(|id| !taken.contains(id)))?
                }
            };
            taken.push(id);
            Some((elementary.pid, id))
        };
        streams.iter().enumerate().map(number).collect()
    }

    /// Reads a stream as that track, or tells why not. A stream that is read already may have another name now.
    fn follow(&mut self, elementary: &TsElementary, track: Option<TrackId>) {
        let &TsElementary { pid, stream, language, label } = elementary;
        let Some(id) = track else {
            if stream == TsStream::Scte35 {
                let splices = Followed::new(Some(stream), Content::Splices(SectionAssembler::default()));
                self.followed.entry(pid).or_insert(splices);
                return;
            }
            let why = if stream.is_carried() { NotCarried::Another } else { NotCarried::Unsupported };
            return self.events.push_back(TsEvent::NotCarried { pid, stream, why });
        };
        match self.followed.get_mut(&pid) {
            Some(Followed { content: Content::Media { track, .. }, .. }) => {
                self.events.extend(track.rename(language, label).map(TsEvent::Track));
            }
            Some(_) => {}
            None => {
                let Some(unpacker) = Unpacker::of(stream) else { return };
                let track = TrackFacts { id, language, label, told: None };
                let media = Content::Media { track, pes: PesAssembler::default(), unpacker };
                self.followed.insert(pid, Followed::new(Some(stream), media));
            }
        }
    }

    /// Ends the streams that are no longer read. A track whose number is not used any more is told as ended.
    fn end_streams(&mut self, streams: &[TsElementary], kept: &[Option<(u16, TrackId)>]) {
        let mut ended = Vec::new();
        self.followed.retain(|pid, followed| {
            let same = |stream| streams.iter().any(|it| it.pid == *pid && it.stream == stream);
            let keep = match (&followed.content, followed.stream) {
                (Content::Media { .. }, Some(stream)) => {
                    same(stream) && kept.iter().flatten().any(|(read, _)| read == pid)
                }
                (_, Some(stream)) => same(stream),
                (_, None) => true,
            };
            if let (false, Content::Media { track, .. }) = (keep, &followed.content) {
                ended.push(track.id);
            }
            keep
        });
        ended.retain(|id| kept.iter().flatten().all(|(_, kept)| kept != id));
        self.events.extend(ended.into_iter().map(TsEvent::TrackEnded));
    }
}

impl Followed {
    /// Notes that bytes are missing, so that what was being gathered is dropped. Returns whether there was an unfinished frame.
    fn lost(&mut self) -> bool {
        match &mut self.content {
            Content::Media { pes, unpacker, .. } => {
                unpacker.lost();
                pes.reset()
            }
            Content::Pat(sections) | Content::Pmt(sections) | Content::Splices(sections) => {
                sections.reset();
                false
            }
        }
    }
}
