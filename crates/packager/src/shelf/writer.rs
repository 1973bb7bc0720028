//! The task that brings a stream's backlog to disk. It does one job after another, on a thread that may wait for the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir_model::EventKind;
use weir_observe::fields;

use super::StreamShelf;
use crate::shelf::disk::NoSpace;
use crate::store::backlog::Job;
use crate::store::live::Live;

/// The time between two tries on a disk that is full.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often the task looks at a job that takes long, and whether trouble is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A disk counts as well again when nothing has failed for so long. At a limit, every other write fails and makes room for the next.
const WELL_AFTER: Duration = Duration::from_secs(5);
/// The last sixteenth of the space is kept for streams that have less than their share.
const RESERVE_SHARE: u64 = 16;

/// Writes the stream's backlog, as long as this future is polled.
pub(crate) async fn write(live: Arc<Live>, shelf: Arc<StreamShelf>) {
    let mut version = live.version.subscribe();
    let mut health = Health::new(&live);
    loop {
        version.mark_unchanged();
        make_room_for_others(&live, &shelf);
        let Some(job) = live.store().next_job() else {
            health.look(true);
            let waiting = async {
                if health.is_ill() {
                    sleep(LOOK_EVERY).await;
                } else {
                    // The sender lives in `live`, so this does not fail.
                    let _ = version.changed().await;
                }
            };
            waiting.await;
            continue;
        };
        let on_disk = Arc::clone(&shelf);
        let mut doing = tokio::task::spawn_blocking(move || on_disk.perform(job));
        let done = loop {
            tokio::select! {
                done = &mut doing => break done,
                () = sleep(LOOK_EVERY) => health.look(false),
            }
        };
        match done {
            Ok((job, Ok(()))) => settle(&live, job),
            Ok((job, Err(error))) => {
                health.failed(error.code(), &error.to_string());
                // The oldest segments give their room to the newest.
                if live.store().shrink(job_bytes(&job)) == 0 {
                    sleep(RETRY_AFTER).await;
                }
            }
            // The job panicked, which has been logged, or the server is stopping.
            Err(_) => sleep(RETRY_AFTER).await,
        }
    }
}

/// Leaves the last of the space to streams that have little of it.
fn make_room_for_others(live: &Live, shelf: &StreamShelf) {
    let max = shelf.space().limits.max_bytes;
    let over = shelf.space().used().saturating_sub(max - max / RESERVE_SHARE);
    let beyond = shelf.own_bytes().saturating_sub(shelf.share_bytes());
    if over.min(beyond) > 0 {
        live.store().shrink(over.min(beyond));
    }
}

fn job_bytes(job: &Job) -> u64 {
    match job {
        Job::Segment { bytes, .. } => *bytes,
        // This is a block, which is the least that a file system gives.
        _ => 4096,
    }
}

fn settle(live: &Live, job: Job) {
    let mut store = live.store();
    match job {
        Job::Delete(_) => {}
        Job::Line { of, .. } => store.line_saved(&of),
        Job::Index { lines, .. } => store.index_saved(lines),
        Job::Segment { track, number, file, bytes, .. } => store.segment_saved(&track, number, file, bytes),
    }
}

impl StreamShelf {
    /// Does a job, and returns it with whether it was done. This blocks.
    fn perform(&self, job: Job) -> (Job, Result<(), NoSpace>) {
        let deleted = self.gate();
        let done = match &job {
            _ if *deleted => Ok(()),
            Job::Delete(files) => {
                self.delete_files(files);
                Ok(())
            }
            Job::Line { text, .. } => self.append(text),
            Job::Index { text, .. } => self.disk().replace(&self.index(), text.as_bytes()).map_err(NoSpace::from),
            Job::Segment { file, pieces, line, .. } => {
                self.write_segment(&self.folder.join(file), &pieces.concat(), line)
            }
        };
        drop(deleted);
        (job, done)
    }

    fn delete_files(&self, files: &[(PathBuf, u64)]) {
        for (file, bytes) in files {
            match self.disk().remove(&self.folder.join(file)) {
                Ok(()) => self.release(*bytes),
                // The file takes its room until the next start, which deletes what no index knows.
                Err(error) => tracing::warn!(%error, "a segment of a window could not be deleted"),
            }
        }
    }

    fn write_segment(&self, path: &std::path::Path, body: &[u8], line: &str) -> Result<(), NoSpace> {
        let bytes = body.len() as u64;
        self.claim(bytes)?;
        let written = self.disk().write(path, body).map_err(NoSpace::from).and_then(|()| self.append(line));
        if written.is_err() {
            let _ = self.disk().remove(path);
            self.release(bytes);
        }
        written
    }

    /// Adds a line to the index. After an error the line may be there in part, and the next one must not be taken for its end.
    fn append(&self, line: &str) -> Result<(), NoSpace> {
        let torn = self.torn.load(Ordering::Relaxed);
        let text = if torn { format!("\n{line}") } else { line.to_owned() };
        let appended = self.disk().append(&self.index(), text.as_bytes());
        self.torn.store(appended.is_err(), Ordering::Relaxed);
        Ok(appended?)
    }
}

/// Watches whether the disk keeps up. It tells once that the disk does not, and once that it does again.
struct Health<'a> {
    live: &'a Live,
    ill: bool,
    last_failure: Instant,
    lost_before: u64,
}

impl<'a> Health<'a> {
    fn new(live: &'a Live) -> Self {
        Self { live, ill: false, last_failure: Instant::now(), lost_before: 0 }
    }

    fn is_ill(&self) -> bool {
        self.ill
    }

    fn failed(&mut self, code: &str, message: &str) {
        self.last_failure = Instant::now();
        if !self.ill {
            self.ill = true;
            tracing::warn!(stream_id = %self.live.stream_id, code, message, "the window can't be written to disk");
            self.tell(EventKind::DvrDiskFull, code);
        }
    }

    /// Looks whether segments were lost, which is how a slow disk shows, and whether all has been well for long enough.
    fn look(&mut self, idle: bool) {
        let lost = self.live.store().backlog.as_ref().map_or(0, |backlog| backlog.lost);
        if lost > self.lost_before {
            self.lost_before = lost;
            self.failed("too_slow", "segments left memory before they were written");
        }
        if idle && self.ill && self.last_failure.elapsed() >= WELL_AFTER {
            self.ill = false;
            self.tell(EventKind::DvrDiskRecovered, "");
        }
    }

    fn tell(&self, event: EventKind, code: &str) {
        let mut about =
            fields([("stream_id", self.live.stream_id.0.into()), ("segments_lost", self.lost_before.into())]);
        if !code.is_empty() {
            about.insert("reason".to_owned(), code.into());
        }
        self.live.observe.events().emit(event, about);
    }
}
