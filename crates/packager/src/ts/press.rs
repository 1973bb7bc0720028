//! Makes the TS segments that are asked for. Each is made once for all who wait for it, on a thread that may be busy, and is kept for those
//! who ask next.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use weir_model::StreamId;

use crate::shelf::{ReadFault, StreamShelf};
use crate::store::live::lock;
use crate::ts::Recipe;

/// So many bytes of segments are kept. Viewers follow the newest ones, and at 4 Mbps this is a minute. For a viewer who plays further back
/// they are made again.
const BYTES_MAX: usize = 32 << 20;

/// So many segments of one stream are being made, or wait for their turn, at most. A segment of 2 s takes milliseconds, so many more than
/// viewers follow means that somebody asks for all that there are.
const MAKING_MAX: usize = 16;

/// A player that has waited for so long is told to come again, because it gives up a little later.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many segments are made at once, of all streams together. They take half of the cores, so that media goes on.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.div_ceil(2))
});

/// A segment is known by its rendition, its number and its run, because a number may come again after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TsSegmentId {
    pub(crate) rendition: String,
    pub(crate) number: u64,
    pub(crate) run: u64,
}

/// Why a segment is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmade {
    /// There is too much to do, so the player should come again.
    Busy,
    /// There is no such segment, or it can't be MPEG-TS.
    Gone,
}

type Made = Result<Bytes, Unmade>;

/// Makes and keeps the TS segments of one stream. A clone is the same press.
#[derive(Clone, Debug)]
pub(crate) struct TsPress {
    stream_id: StreamId,
    /// The disk's part of the window. None if the window does not reach beyond memory.
    beyond: Option<Arc<StreamShelf>>,
    shelf: Arc<Mutex<Shelf>>,
}

impl TsPress {
    pub(crate) fn new(stream_id: StreamId, beyond: Option<Arc<StreamShelf>>) -> Self {
        Self { stream_id, beyond, shelf: Arc::default() }
    }

    /// Reads a file of the window on disk.
    pub(crate) async fn read(&self, path: PathBuf) -> Made {
        let beyond = self.beyond.clone().ok_or(Unmade::Gone)?;
        beyond.read(path).await.map_err(|fault| match fault {
            ReadFault::Busy => Unmade::Busy,
            ReadFault::Gone => Unmade::Gone,
        })
    }

    /// The segment as it was made before, or as it is made now by `recipe`. If there is no recipe, there is no such segment.
    pub(crate) async fn get(&self, id: TsSegmentId, recipe: impl FnOnce() -> Option<Recipe>) -> Made {
        let found = lock(&self.shelf).find(&id);
        let mut made = match found {
            Some(Found::Kept(body)) => return Ok(body),
            Some(Found::Making(made)) => made,
            None => {
                // The recipe takes the store's lock, so the shelf is not locked meanwhile, and may have the segment by now.
                let recipe = recipe().ok_or(Unmade::Gone)?;
                let mut shelf = lock(&self.shelf);
                match shelf.find(&id) {
                    Some(Found::Kept(body)) => return Ok(body),
                    Some(Found::Making(made)) => made,
                    None => {
                        let tell = shelf.begin(&id).ok_or(Unmade::Busy)?;
                        let made = tell.subscribe();
                        // A task of its own makes the segment. If the one who asked leaves, the work goes on for the others who wait.
                        tokio::spawn(self.clone().make(id, recipe, tell));
                        made
                    }
                }
            }
        };
        match timeout(PATIENCE, made.wait_for(Option::is_some)).await {
            Ok(Ok(made)) => made.clone().unwrap_or(Err(Unmade::Busy)),
            // Whoever makes the segment is gone or slow.
            Ok(Err(_)) | Err(_) => Err(Unmade::Busy),
        }
    }
}

impl TsPress {
    async fn make(self, id: TsSegmentId, recipe: Recipe, tell: watch::Sender<Option<Made>>) {
        let made = self.press(&id, recipe).await;
        lock(&self.shelf).end(id, &made);
        tell.send_replace(Some(made));
    }

    async fn press(&self, id: &TsSegmentId, mut recipe: Recipe) -> Made {
        for path in recipe.files() {
            let body = self.read(path.clone()).await?;
            recipe.give(&path, &body);
        }
        let turn = TURNS.acquire().await.map_err(|_| Unmade::Busy)?;
        let made = tokio::task::spawn_blocking(move || recipe.make()).await;
        drop(turn);
        match made {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => {
                let TsSegmentId { rendition, number, .. } = id;
                tracing::warn!(stream_id = %self.stream_id, rendition, number, %error, "a segment can't be made as MPEG-TS");
                Err(Unmade::Gone)
            }
            // The making panicked, which has been logged, or the server is stopping.
            Err(_) => Err(Unmade::Gone),
        }
    }
}

enum Found {
    Kept(Bytes),
    Making(watch::Receiver<Option<Made>>),
}

#[derive(Debug, Default)]
struct Shelf {
    /// The segments that are kept. The one that was asked for last is at the end.
    kept: VecDeque<(TsSegmentId, Bytes)>,
    bytes: usize,
    making: Vec<(TsSegmentId, watch::Receiver<Option<Made>>)>,
}

impl Shelf {
    fn find(&mut self, id: &TsSegmentId) -> Option<Found> {
        if let Some(at) = self.kept.iter().rposition(|(kept, _)| kept == id) {
            let found = self.kept.remove(at)?;
            let body = found.1.clone();
            self.kept.push_back(found);
            return Some(Found::Kept(body));
        }
        self.making.iter().find(|(making, _)| making == id).map(|(_, made)| Found::Making(made.clone()))
    }

    /// Notes that a segment is being made, and returns where the maker tells the result. None if too many are being made.
    fn begin(&mut self, id: &TsSegmentId) -> Option<watch::Sender<Option<Made>>> {
        // A segment whose maker has gone without a word will not come.
        self.making.retain(|(_, made)| made.has_changed().is_ok());
        if self.making.len() >= MAKING_MAX {
            return None;
        }
        let (tell, made) = watch::channel(None);
        self.making.push((id.clone(), made));
        Some(tell)
    }

    /// Keeps a segment that was made, however large it is. The one that nobody has asked for for the longest time goes first.
    fn end(&mut self, id: TsSegmentId, made: &Made) {
        self.making.retain(|(making, _)| *making != id);
        let Ok(body) = made else { return };
        self.bytes += body.len();
        self.kept.push_back((id, body.clone()));
        while self.bytes > BYTES_MAX && self.kept.len() > 1 {
            self.bytes -= self.kept.pop_front().map_or(0, |(_, body)| body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(rendition: &str, number: u64) -> TsSegmentId {
        TsSegmentId { rendition: rendition.to_owned(), number, run: 0 }
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let (mut shelf, body) = (Shelf::default(), Bytes::from(vec![0; BYTES_MAX / 4]));
        let is_kept = |shelf: &mut Shelf, id: TsSegmentId| matches!(shelf.find(&id), Some(Found::Kept(_)));
        for number in 0..4 {
            shelf.end(id("source", number), &Ok(body.clone()));
        }
        assert!(is_kept(&mut shelf, id("source", 0)) && !is_kept(&mut shelf, id("720p", 0)));
        shelf.end(id("720p", 0), &Ok(body.clone()));
        assert!(!is_kept(&mut shelf, id("source", 1)), "the one that nobody asked for longest");
        assert!(is_kept(&mut shelf, id("source", 0)) && is_kept(&mut shelf, id("720p", 0)));
        shelf.end(id("source", 9), &Ok(Bytes::from(vec![0; BYTES_MAX * 2])));
        assert_eq!((shelf.kept.len(), shelf.bytes), (1, BYTES_MAX * 2));
        shelf.end(id("source", 10), &Ok(body.clone()));
        assert_eq!((shelf.kept.len(), shelf.bytes), (1, body.len()));
    }

    #[test]
    fn so_many_are_made_and_no_more() {
        let mut shelf = Shelf::default();
        let mut makers: Vec<_> =
            (0..MAKING_MAX as u64).map(|number| shelf.begin(&id("source", number)).unwrap()).collect();
        assert!(shelf.begin(&id("source", 99)).is_none());
        assert!(matches!(shelf.find(&id("source", 3)), Some(Found::Making(_))));
        shelf.end(id("source", 3), &Err(Unmade::Gone));
        assert!(shelf.find(&id("source", 3)).is_none(), "a fault is not kept");
        assert!(shelf.begin(&id("source", 3)).is_some());
        makers.clear();
        assert!(shelf.begin(&id("source", 99)).is_some(), "those whose maker is gone are forgotten");
    }
}
