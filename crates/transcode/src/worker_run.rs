//! One run of a worker: it is given the source's frames, and its renditions go to the hub, until it is no longer needed or fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use weir_hub::{Entry, Next, SourcePulse, Subscriber, Tracks};
use weir_media::{Codec, MediaKind, MediaTime, TrackInfo};
use weir_pipeline::{
    Logo, Message, OutputId, SocketFault, TrackConfig, Worker, WorkerFault, WorkerFrame, WorkerPlan, WorkerProgress,
    WorkerReader, WorkerWriter,
};

use crate::forced_keyframes::ForcedKeyframes;
use crate::rendition_publisher::RenditionPublisher;
use crate::stage::RunningStage;
use crate::wants::LogoWish;
use crate::watchdog::{Complaint, Watchdog};

/// How often the stage and the watchdog look at what time alone has changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A worker whose socket was closed ends in milliseconds; one that hangs is killed.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// Encoders give what they still hold a fraction of a second after the source has ended; a worker that takes longer is not waited for.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// There is one wish for each of some dozen outputs at most; one that finds no place is asked for again.
const KEYFRAMES_WAITING_MAX: usize = 32;

/// Why a worker's run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The stream is closed for good.
    Closed,
    /// The source has changed its codec, which needs another graph, and so another worker.
    OtherCodec,
    /// The stage no longer wants this worker.
    Left,
    /// The source has ended, and all that was made of it is published.
    Drained,
    Failed(WorkerFault),
}

/// Renditions that are being published, by name.
pub(crate) type RenditionPublishers = BTreeMap<String, RenditionPublisher>;

/// All that goes into a worker.
#[derive(Debug)]
pub(crate) struct WorkerInput {
    pub(crate) source: Subscriber,
    /// The plan as it changes; each change is sent to the worker.
    pub(crate) plan: watch::Receiver<WorkerPlan>,
    /// The logo that lies over all renditions, as it changes.
    pub(crate) logo: watch::Receiver<Option<LogoWish>>,
    /// Whether the source still has a publisher.
    pub(crate) pulse: watch::Receiver<SourcePulse>,
    /// Wakes when somebody asks for a keyframe of a rendition.
    pub(crate) keyframe_asks: watch::Receiver<()>,
}

/// A started worker, and both directions of its socket.
#[derive(Debug)]
pub(crate) struct WorkerRun {
    pub(crate) worker: Worker,
    pub(crate) writer: WorkerWriter,
    pub(crate) reader: WorkerReader,
    /// A worker that takes more memory than this is ended before it takes all of the machine's.
    pub(crate) memory_max_bytes: u64,
}

impl WorkerRun {
    /// Runs until the worker ends or is no longer wanted, and says why.
    pub(crate) async fn run(self, input: WorkerInput, stage: &mut RunningStage<'_>) -> End {
        let Self { mut worker, writer, mut reader, memory_max_bytes } = self;
        let mut watchdog = Watchdog::new(Instant::now());
        let sound = watch::Sender::new(false);
        let (plan, pulse) = (input.plan.clone(), input.pulse.clone());
        let (mut keyframe_asks, mut forced) = (input.keyframe_asks.clone(), ForcedKeyframes::default());
        let (keyframes, wanted_keyframes) = mpsc::channel(KEYFRAMES_WAITING_MAX);
        let mut draining_since: Option<Instant> = None;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = {
            let mut input = std::pin::pin!(feed(writer, input, wanted_keyframes, &sound));
            loop {
                let next_forced = forced.next(Instant::now());
                tokio::select! {
                    message = reader.next() => match message {
                        Ok(Message::Progress(progress)) => {
                            let videos: Vec<OutputId> = plan.borrow().video.iter().map(|output| output.id).collect();
                            if let Some(complaint) = watchdog.report(&progress, &videos, Instant::now()) {
                                break failed(complaint);
                            }
                            take_latencies(&progress, stage.publishers());
                        }
                        Ok(Message::End) => break End::Drained,
                        // Parsers report a fault where a source ended without any picture. It is no failure: there was nothing to lose.
                        Ok(Message::Fault(_)) | Err(_) if draining_since.is_some() => break End::Drained,
                        Ok(Message::Fault(fault)) => break End::Failed(fault),
                        Ok(message) => {
                            watchdog.heard(Instant::now());
                            if let Err(fault) = receive(message, stage.publishers(), *sound.borrow()) {
                                break End::Failed(fault);
                            }
                        }
                        Err(fault) => break gone(&mut worker, &fault).await,
                    },
                    ended = &mut input, if draining_since.is_none() => match ended {
                        Ok(InputEnd::Ended) => draining_since = Some(Instant::now()),
                        Ok(InputEnd::Over(end)) => break end,
                        // What the worker says of its fault helps more than "broken pipe".
                        Err(fault) => break last_words(&mut reader, &mut worker, &fault).await,
                    },
                    next = next_kept(stage.kept()) => if !keep(next, stage.publishers()) {
                        break End::Closed;
                    },
                    Ok(()) = keyframe_asks.changed() => {
                        let asked = stage.publishers().values_mut().filter_map(RenditionPublisher::asked_for_keyframe);
                        asked.for_each(|output| forced.ask(output));
                    }
                    () = sleep_until(next_forced.unwrap_or_else(Instant::now).into()), if next_forced.is_some() => {
                        for output in forced.take_due(Instant::now()) {
                            if keyframes.try_send(output).is_ok() {
                                stage.forced_keyframe();
                            }
                        }
                    }
                    _ = ticks.tick() => {
                        if let Some(complaint) = watchdog.look(Instant::now()) {
                            break failed(complaint);
                        }
                        if draining_since.is_some_and(|since| since.elapsed() > DRAIN_MAX) {
                            break End::Drained;
                        }
                        let (source, has_sound, now) = (pulse.borrow().last_frame_time, *sound.borrow(), Instant::now());
                        stage.publishers().values_mut().for_each(|publisher| publisher.fill(source, has_sound, now));
                        let usage = worker.usage();
                        if let Some(usage) = usage.filter(|usage| usage.rss_bytes > memory_max_bytes) {
                            let (takes, may) = (usage.rss_bytes >> 20, memory_max_bytes >> 20);
                            let message = format!("the worker takes {takes} MB of memory, its plan at most {may}");
                            break End::Failed(WorkerFault { output: None, message });
                        }
                        if stage.look(usage) {
                            break End::Left;
                        }
                    }
                }
            }
        };
        if matches!(end, End::Drained) {
            while let Some(next) = stage.kept().as_mut().and_then(Subscriber::try_next) {
                if !keep(next, stage.publishers()) {
                    break;
                }
            }
            let now = Instant::now();
            stage.publishers().values_mut().for_each(|publisher| publisher.end(now));
        }
        drop(reader);
        // The writer was dropped with the scope above, so the worker sees the end of its socket. One that failed is not waited for.
        let patience = if matches!(end, End::Failed(_)) { Duration::ZERO } else { END_PATIENCE };
        worker.end(patience).await;
        end
    }
}

fn take_latencies(progress: &WorkerProgress, publishers: &mut RenditionPublishers) {
    for publisher in publishers.values_mut() {
        let of = progress.outputs.iter().find(|output| Some(output.id) == publisher.plan.video);
        publisher.latency_ms = of.and_then(|output| output.latency_ms).or(publisher.latency_ms);
    }
}

fn failed(complaint: Complaint) -> End {
    End::Failed(match complaint {
        Complaint::Silent => WorkerFault { output: None, message: "the worker has stopped reporting".to_owned() },
        Complaint::Stuck(id) => {
            WorkerFault { output: Some(id), message: "the encoder has stopped giving pictures".to_owned() }
        }
    })
}

async fn gone(worker: &mut Worker, fault: &SocketFault) -> End {
    let status = tokio::time::timeout(END_PATIENCE, worker.exited()).await.ok().flatten();
    let message = status.map_or_else(|| fault.to_string(), |status| format!("the worker ended: {status}"));
    End::Failed(WorkerFault { output: None, message })
}

async fn last_words(reader: &mut WorkerReader, worker: &mut Worker, fault: &SocketFault) -> End {
    let words = async {
        loop {
            match reader.next().await {
                Ok(Message::Fault(fault)) => return Some(fault),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    };
    match tokio::time::timeout(END_PATIENCE, words).await {
        Ok(Some(fault)) => End::Failed(fault),
        _ => gone(worker, fault).await,
    }
}

fn receive(message: Message, publishers: &mut RenditionPublishers, source_has_sound: bool) -> Result<(), WorkerFault> {
    match message {
        Message::Track(track) => {
            let id = OutputId(track.track);
            for publisher in publishers.values_mut().filter(|publisher| publisher.plan.video == Some(id)) {
                let configured = publisher.configure(track.codec, track.config.clone());
                configured.map_err(|error| WorkerFault {
                    output: Some(id),
                    message: format!("an encoder's configuration can't be read: {error}"),
                })?;
            }
        }
        Message::Frame(frame) => {
            let (id, now) = (OutputId(frame.track), Instant::now());
            for publisher in publishers.values_mut() {
                if publisher.plan.video == Some(id) {
                    publisher.picture(&frame, source_has_sound, now);
                } else {
                    publisher.sound(id, &frame, now);
                }
            }
            follow(publishers, now);
        }
        Message::Hello(_)
        | Message::Plan(_)
        | Message::Logo(_)
        | Message::Keyframe(_)
        | Message::Progress(_)
        | Message::Fault(_)
        | Message::End => {}
    }
    Ok(())
}

/// Lets renditions of sound alone go on up to the newest picture of the others, so that their segments begin at the same times.
fn follow(publishers: &mut RenditionPublishers, now: Instant) {
    let any = publishers.values().any(RenditionPublisher::has_picture);
    let newest = publishers.values().filter_map(RenditionPublisher::last_picture).max();
    // Before the first picture it is not known where segments begin, and so no sound may go on.
    let follow = any.then(|| newest.unwrap_or(MediaTime::from_nanos(i64::MIN)));
    publishers.values_mut().for_each(|publisher| publisher.follow(follow, now));
}

/// The next entry of the source for the renditions that keep some of it as it
/// is. It is cancel-safe, and pending for ever where there is no such rendition.
pub(crate) async fn next_kept(source: &mut Option<Subscriber>) -> Next<Entry> {
    match source {
        Some(source) => source.next().await,
        None => std::future::pending().await,
    }
}

/// Gives the entry to those renditions; the answer is false when the stream is over.
pub(crate) fn keep(next: Next<Entry>, publishers: &mut RenditionPublishers) -> bool {
    let now = Instant::now();
    match next {
        Next::Item(entry) => {
            publishers.values_mut().for_each(|publisher| publisher.keep(&entry, now));
            follow(publishers, now);
        }
        Next::Skipped { items } => {
            tracing::warn!(items, "renditions that keep the source's picture fell behind it");
            publishers.values_mut().for_each(RenditionPublisher::lost);
        }
        Next::Closed => return false,
    }
    true
}

/// How the worker's input ended.
enum InputEnd {
    /// The source's publisher has gone, and the worker has been told so behind its last frame.
    Ended,
    Over(End),
}

/// Sends the worker its plan, its tracks and the frames. While the worker does not read, this function waits, but the source does not:
/// the subscriber falls out of the window and goes on at the newest keyframe.
async fn feed(
    mut writer: WorkerWriter,
    WorkerInput { mut source, mut plan, mut logo, mut pulse, .. }: WorkerInput,
    mut keyframes: mpsc::Receiver<OutputId>,
    sound: &watch::Sender<bool>,
) -> Result<InputEnd, SocketFault> {
    let first = plan.borrow_and_update().clone();
    let mut kinds = FedKinds::of(&first);
    writer.send(&Message::Plan(first)).await?;
    // The logo must be there before the first picture.
    writer.send(&logo_message(&mut logo)).await?;
    let (mut seen, mut told, mut lost) = (None::<Arc<Tracks>>, Tracks::default(), false);
    loop {
        // The publisher's state is read before the frames: the last frame is in the window before the publisher is seen to be gone.
        let gone = !pulse.borrow_and_update().attached;
        let next = tokio::select! {
            biased;
            // A new plan goes before the frames: a worker that is behind always has frames waiting, and a smaller plan is what helps it.
            changed = plan.changed() => {
                if changed.is_err() {
                    return Ok(InputEnd::Over(End::Left));
                }
                let now = plan.borrow_and_update().clone();
                kinds.change(FedKinds::of(&now));
                // A track that was of no use before may be needed now.
                seen = None;
                writer.send(&Message::Plan(now)).await?;
                continue;
            }
            Ok(()) = logo.changed() => {
                writer.send(&logo_message(&mut logo)).await?;
                continue;
            }
            Some(output) = keyframes.recv() => {
                writer.send(&Message::Keyframe(output)).await?;
                continue;
            }
            next = source.next() => next,
            () = std::future::ready(()), if gone => {
                writer.send(&Message::End).await?;
                return Ok(InputEnd::Ended);
            }
            changed = pulse.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Ok(InputEnd::Over(End::Closed)),
            },
        };
        let entry = match next {
            Next::Item(entry) => entry,
            Next::Skipped { items } => {
                tracing::warn!(items, "the transcoder fell behind its source and goes on at the newest keyframe");
                lost = true;
                continue;
            }
            Next::Closed => return Ok(InputEnd::Over(End::Closed)),
        };
        if seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(&entry.tracks, seen)) {
            for now in worked_on(&entry.tracks).filter(|now| kinds.feeds(now)) {
                let before = told.by_id(now.id);
                if before == Some(now) {
                    continue;
                }
                if before.is_some_and(|before| before.codec != now.codec) {
                    return Ok(InputEnd::Over(End::OtherCodec));
                }
                writer.send(&Message::Track(track_config(now))).await?;
                told.put(Arc::clone(now));
            }
            sound.send_replace(entry.tracks.audio().is_some());
            seen = Some(Arc::clone(&entry.tracks));
        }
        let is_worked_on = worked_on(&entry.tracks).any(|worked_on| worked_on.id == entry.frame.track);
        if !is_worked_on || !kinds.feeds(entry.track()) {
            continue;
        }
        if entry.is_video() && std::mem::take(&mut kinds.awaits_keyframe) {
            kinds.awaits_keyframe = !entry.frame.is_keyframe();
            if kinds.awaits_keyframe {
                continue;
            }
            lost = true;
        }
        let frame = entry.frame;
        let message = Message::Frame(WorkerFrame {
            track: frame.track.0,
            dts: frame.dts,
            pts: frame.pts,
            keyframe: frame.flags.keyframe,
            discontinuity: frame.flags.discontinuity || std::mem::take(&mut lost),
            payload: frame.payload,
        });
        match writer.send(&message).await {
            // No picture is larger than the protocol carries, so the frame is broken, and left out.
            Err(SocketFault::TooLarge) => tracing::warn!("a frame is larger than the transcoder takes and is left out"),
            sent => sent?,
        }
    }
}

/// What a worker is given of the source. A track of which the plan makes nothing is not sent, and so not decoded.
#[derive(Clone, Copy, Debug, Default)]
struct FedKinds {
    picture: bool,
    sound: bool,
    /// Pictures that begin in the middle of a stream begin with a keyframe.
    awaits_keyframe: bool,
}

impl FedKinds {
    fn of(plan: &WorkerPlan) -> Self {
        Self { picture: !plan.video.is_empty(), sound: !plan.audio.is_empty(), awaits_keyframe: false }
    }

    fn change(&mut self, now: Self) {
        let awaits_keyframe = now.picture && (self.awaits_keyframe || !self.picture);
        *self = Self { awaits_keyframe, ..now };
    }

    fn feeds(&self, info: &TrackInfo) -> bool {
        match info.kind() {
            MediaKind::Video => self.picture,
            MediaKind::Audio => self.sound,
        }
    }
}

fn logo_message(logo: &mut watch::Receiver<Option<LogoWish>>) -> Message {
    Message::Logo(logo.borrow_and_update().as_ref().map(Logo::from))
}

/// The tracks that a worker is given: the picture, and all sounds.
fn worked_on(tracks: &Tracks) -> impl Iterator<Item = &Arc<TrackInfo>> {
    tracks.video().into_iter().chain(tracks.audios())
}

fn track_config(info: &TrackInfo) -> TrackConfig {
    // A decoder of MP3 needs no configuration.
    let config = if info.codec == Codec::Mp3 { bytes::Bytes::new() } else { info.config.clone() };
    TrackConfig { track: info.id.0, codec: info.codec, config }
}
