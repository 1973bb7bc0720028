//! One worker's life: the source's frames to it, its renditions to the hub, until it is not needed or fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use weir_hub::{Entry, Next, SourcePulse, Subscriber, Tracks};
use weir_media::{Codec, MediaKind, MediaTime, TrackInfo};
use weir_pipeline::{
    LinkFault, LinkReader, LinkWriter, Logo, Message, OutputId, TrackConfig, WireFrame, Worker, WorkerFault,
    WorkerPlan, WorkerProgress,
};

use crate::rendition_publisher::RenditionPublisher;
use crate::stage::RunningStage;
use crate::wants::LogoWish;
use crate::watchdog::{Complaint, Watchdog};

/// How often time itself is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A worker whose socket was closed ends in milliseconds; one that hangs is killed.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// What encoders still hold when the source has ended is out in a fraction of a second.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// Why a worker's life ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The stream is closed for good.
    Closed,
    /// The source's codec is another one: another graph.
    OtherCodec,
    /// The stage no longer wants this worker.
    Left,
    /// The source has ended, and all that was made of it is published.
    Drained,
    Failed(WorkerFault),
}

/// Renditions that are being published, by name.
pub(crate) type RenditionPublishers = BTreeMap<String, RenditionPublisher>;

/// What the worker is made of the source by.
#[derive(Debug)]
pub(crate) struct WorkerInput {
    pub(crate) source: Subscriber,
    /// Followed as it changes.
    pub(crate) plan: watch::Receiver<WorkerPlan>,
    /// What lies over all renditions; followed too.
    pub(crate) logo: watch::Receiver<Option<LogoWish>>,
    /// Whether the source still has a publisher.
    pub(crate) pulse: watch::Receiver<SourcePulse>,
}

/// A worker and both ways to it.
#[derive(Debug)]
pub(crate) struct WorkerRun {
    pub(crate) worker: Worker,
    pub(crate) writer: LinkWriter,
    pub(crate) reader: LinkReader,
    /// One that takes more is ended before it takes the machine's.
    pub(crate) memory_max_bytes: u64,
}

impl WorkerRun {
    /// Runs until it ends.
    pub(crate) async fn run(self, input: WorkerInput, stage: &mut RunningStage<'_>) -> End {
        let Self { mut worker, writer, mut reader, memory_max_bytes } = self;
        let mut watchdog = Watchdog::new(Instant::now());
        let sound = watch::Sender::new(false);
        let (plan, pulse) = (input.plan.clone(), input.pulse.clone());
        let mut draining_since: Option<Instant> = None;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = {
            let mut input = std::pin::pin!(feed(writer, input, &sound));
            loop {
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
                        // Parsers complain of an end without any picture: there was nothing in it to be lost.
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
                        // What it says of itself is better than a broken pipe.
                        Err(fault) => break last_words(&mut reader, &mut worker, &fault).await,
                    },
                    next = next_kept(stage.kept()) => if !keep(next, stage.publishers()) {
                        break End::Closed;
                    },
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
        // The input half is dropped with its scope: the worker sees the end of its socket. One that failed is not waited for.
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
        Complaint::Silent => WorkerFault { output: None, message: "the worker gave no sign of life".to_owned() },
        Complaint::Stuck(id) => WorkerFault { output: Some(id), message: "an encoder gives nothing".to_owned() },
    })
}

async fn gone(worker: &mut Worker, fault: &LinkFault) -> End {
    let status = tokio::time::timeout(END_PATIENCE, worker.exited()).await.ok().flatten();
    let message = status.map_or_else(|| fault.to_string(), |status| format!("the worker ended: {status}"));
    End::Failed(WorkerFault { output: None, message })
}

async fn last_words(reader: &mut LinkReader, worker: &mut Worker, fault: &LinkFault) -> End {
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
        | Message::Progress(_)
        | Message::Fault(_)
        | Message::End => {}
    }
    Ok(())
}

/// Sound alone follows the pictures of the others.
fn follow(publishers: &mut RenditionPublishers, now: Instant) {
    let any = publishers.values().any(RenditionPublisher::has_picture);
    let newest = publishers.values().filter_map(RenditionPublisher::last_picture).max();
    // Before the first picture nothing is known of where segments begin.
    let follow = any.then(|| newest.unwrap_or(MediaTime::from_nanos(i64::MIN)));
    publishers.values_mut().for_each(|publisher| publisher.follow(follow, now));
}

/// What the source has next for those who keep some of it. Cancel-safe; without any it never comes.
pub(crate) async fn next_kept(source: &mut Option<Subscriber>) -> Next<Entry> {
    match source {
        Some(source) => source.next().await,
        None => std::future::pending().await,
    }
}

/// Gives it to them; false when the stream is over.
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

/// How the way in ended.
enum InputEnd {
    /// The source's publisher has gone, and the worker has been told so behind its last frame.
    Ended,
    Over(End),
}

/// The way in: the plan, what the tracks are, and the frames. While the worker does not read, this waits and the source does not:
/// the subscriber falls out of the window and goes on at the newest keyframe.
async fn feed(
    mut writer: LinkWriter,
    WorkerInput { mut source, mut plan, mut logo, mut pulse }: WorkerInput,
    sound: &watch::Sender<bool>,
) -> Result<InputEnd, LinkFault> {
    let first = plan.borrow_and_update().clone();
    // Of what nothing is made nothing is decoded. A plan that makes something of it again is for another worker.
    let feeds = |info: &TrackInfo| match info.kind() {
        MediaKind::Video => !first.video.is_empty(),
        MediaKind::Audio => !first.audio.is_empty(),
    };
    writer.send(&Message::Plan(first.clone())).await?;
    // Before any picture.
    writer.send(&logo_message(&mut logo)).await?;
    let (mut told, mut lost) = (Arc::new(Tracks::default()), false);
    loop {
        // What it wrote last is in the window before it is seen to be gone.
        let gone = !pulse.borrow_and_update().attached;
        let next = tokio::select! {
            biased;
            // Before the frames: a worker that is behind always has some waiting, and a smaller plan is what helps it.
            changed = plan.changed() => {
                if changed.is_err() {
                    return Ok(InputEnd::Over(End::Left));
                }
                let message = Message::Plan(plan.borrow_and_update().clone());
                writer.send(&message).await?;
                continue;
            }
            Ok(()) = logo.changed() => {
                writer.send(&logo_message(&mut logo)).await?;
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
        if !Arc::ptr_eq(&entry.tracks, &told) {
            for now in worked_on(&entry.tracks).filter(|now| feeds(now)) {
                let before = told.by_id(now.id);
                if before == Some(now) {
                    continue;
                }
                if before.is_some_and(|before| before.codec != now.codec) {
                    return Ok(InputEnd::Over(End::OtherCodec));
                }
                writer.send(&Message::Track(track_config(now))).await?;
            }
            sound.send_replace(entry.tracks.audio().is_some());
            told = Arc::clone(&entry.tracks);
        }
        let is_worked_on = worked_on(&entry.tracks).any(|worked_on| worked_on.id == entry.frame.track);
        if !is_worked_on || !feeds(entry.track()) {
            continue;
        }
        let frame = entry.frame;
        let message = Message::Frame(WireFrame {
            track: frame.track.0,
            dts: frame.dts,
            pts: frame.pts,
            keyframe: frame.flags.keyframe,
            discontinuity: frame.flags.discontinuity || std::mem::take(&mut lost),
            payload: frame.payload,
        });
        match writer.send(&message).await {
            // A frame of more than the protocol carries is not a picture.
            Err(LinkFault::TooLarge) => tracing::warn!("a frame was too large for the transcoder"),
            sent => sent?,
        }
    }
}

fn logo_message(logo: &mut watch::Receiver<Option<LogoWish>>) -> Message {
    Message::Logo(logo.borrow_and_update().as_ref().map(Logo::from))
}

/// What a worker is given: the picture, and all sounds.
fn worked_on(tracks: &Tracks) -> impl Iterator<Item = &Arc<TrackInfo>> {
    tracks.video().into_iter().chain(tracks.audios())
}

fn track_config(info: &TrackInfo) -> TrackConfig {
    // Decoders of MP3 need none.
    let config = if info.codec == Codec::Mp3 { bytes::Bytes::new() } else { info.config.clone() };
    TrackConfig { track: info.id.0, codec: info.codec, config }
}
