//! TS segments that are asked for: each is made once for all who wait for it, on a thread that may be busy, and kept for those
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

/// Viewers follow the newest segments: of 4 Mbps and 2 s these are a minute. Who plays further back has them made again.
const BYTES_MAX: usize = 32 << 20;

/// Segments of one stream that are being made or wait for their turn: a segment of 2 s takes milliseconds, so that many more
/// than viewers follow means that someone asks for all there are.
const MAKING_MAX: usize = 16;

/// Who waits longer is told to come again: a player gives up after some more.
const PATIENCE: Duration = Duration::from_secs(5);

/// Made at once, of all streams: half of the cores, so that media goes on.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.div_ceil(2))
});

/// Of a rendition, number and run: a number may come again after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TsSegmentId {
    pub(crate) rendition: String,
    pub(crate) number: u64,
    pub(crate) run: u64,
}

/// Why a segment is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmade {
    /// There is too much to do: come again.
    Busy,
    /// There is no such segment, or it can't be MPEG-TS.
    Gone,
}

type Made = Result<Bytes, Unmade>;

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct TsPress {
    stream_id: StreamId,
    /// Where the window reaches beyond memory.
    beyond: Option<Arc<StreamShelf>>,
    shelf: Arc<Mutex<Shelf>>,
}

impl TsPress {
    pub(crate) fn new(stream_id: StreamId, beyond: Option<Arc<StreamShelf>>) -> Self {
        Self { stream_id, beyond, shelf: Arc::default() }
    }

    /// A file of the window on disk.
    pub(crate) async fn read(&self, path: PathBuf) -> Made {
        let beyond = self.beyond.clone().ok_or(Unmade::Gone)?;
        beyond.read(path).await.map_err(|fault| match fault {
            ReadFault::Busy => Unmade::Busy,
            ReadFault::Gone => Unmade::Gone,
        })
    }

    /// The segment as it was made, or is made now as `recipe` says. None as recipe: there is no such segment.
    pub(crate) async fn get(&self, id: TsSegmentId, recipe: impl FnOnce() -> Option<Recipe>) -> Made {
        let found = lock(&self.shelf).find(&id);
        let mut made = match found {
            Some(Found::Kept(body)) => return Ok(body),
            Some(Found::Making(made)) => made,
            None => {
                // What the store's lock is taken for: the shelf is not locked meanwhile, and may have it by now.
                let recipe = recipe().ok_or(Unmade::Gone)?;
                let mut shelf = lock(&self.shelf);
                match shelf.find(&id) {
                    Some(Found::Kept(body)) => return Ok(body),
                    Some(Found::Making(made)) => made,
                    None => {
                        let tell = shelf.begin(&id).ok_or(Unmade::Busy)?;
                        let made = tell.subscribe();
                        // Not the asker's own work: it goes on when the asker leaves, for the others who wait.
                        tokio::spawn(self.clone().make(id, recipe, tell));
                        made
                    }
                }
            }
        };
        match timeout(PATIENCE, made.wait_for(Option::is_some)).await {
            Ok(Ok(made)) => made.clone().unwrap_or(Err(Unmade::Busy)),
            // Whoever made it is gone, or is slow.
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
                tracing::warn!(stream_id = %self.stream_id, rendition, number, %error, "a segment can't be MPEG-TS");
                Err(Unmade::Gone)
            }
            // It panicked, and has said so; or the server is stopping.
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
    /// The one asked for last at the end.
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

    /// None where too many are being made.
    fn begin(&mut self, id: &TsSegmentId) -> Option<watch::Sender<Option<Made>>> {
        // Whose maker is gone without a word will not come.
        self.making.retain(|(_, made)| made.has_changed().is_ok());
        if self.making.len() >= MAKING_MAX {
            return None;
        }
        let (tell, made) = watch::channel(None);
        self.making.push((id.clone(), made));
        Some(tell)
    }

    /// Keeps the newest one whatever it takes; the longest unasked goes first.
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
