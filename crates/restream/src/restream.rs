//! A running restream: its primary push, its backup push beside it, and the handle that control holds.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_media::Language;
use weir_model::{PushStatus, PushUrl, RestreamSpec, RestreamState, RestreamStatus};
use weir_net::Eagerness;
use weir_observe::RestreamLine;

use crate::push::{PushContext, PushOutcome, PushPlan, PushTask};
use crate::target;

/// How a restream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestreamOutcome {
    Stopped,
    /// The source stayed away for `give_up`, so the restream is to be stopped for good.
    GaveUp,
}

/// A running restream. Dropping the handle stops it, without the goodbye that [`RestreamHandle::stop`] waits for.
#[derive(Debug)]
pub struct RestreamHandle {
    stop: CancellationToken,
    retry: RetryHandle,
    language: watch::Sender<Option<Language>>,
    task: JoinHandle<RestreamOutcome>,
}

/// Reaches a restream's pushes from elsewhere. A clone reaches the same pushes.
#[derive(Clone, Debug, Default)]
pub struct RetryHandle {
    pushes: Vec<Arc<Notify>>,
}

impl RetryHandle {
    /// Has the pushes try at once, whatever they are waiting for.
    pub fn retry(&self) {
        for push in &self.pushes {
            push.notify_one();
        }
    }
}

impl RestreamHandle {
    pub fn retry_handle(&self) -> RetryHandle {
        self.retry.clone()
    }

    /// Changes the sound that is sent to the one that `spec` now wishes for. This means something only where one sound alone is sent.
    pub fn speak(&self, spec: &RestreamSpec) {
        let language = language_of(spec);
        self.language.send_if_modified(|now| std::mem::replace(now, language) != language);
    }

    /// Says goodbye to the destinations and ends the restream, within about a second. Returns how the restream ended, if it had ended by
    /// itself before.
    pub async fn stop(mut self) -> RestreamOutcome {
        self.stop.cancel();
        (&mut self.task).await.unwrap_or(RestreamOutcome::Stopped)
    }

    /// Whether the restream has ended by itself.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for RestreamHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a restream of the hub's rendition of that name, on `lane`. The caller owns the handle that is returned.
pub fn start(spec: &RestreamSpec, rendition: &str, context: &PushContext, lane: &Handle) -> RestreamHandle {
    let now = OffsetDateTime::now_utc();
    let waiting = || PushStatus { state: RestreamState::AwaitingStream, ..PushStatus::stopped(now) };
    context.observe.board().set_restream(
        spec.id,
        RestreamLine {
            status: RestreamStatus { push: waiting(), backup: spec.backup.as_ref().map(|_| waiting()) },
            connects: 0,
        },
    );
    let stop = CancellationToken::new();
    let language = watch::Sender::new(language_of(spec));
    let mut retry = RetryHandle::default();
    let mut prepare = |url: &PushUrl, backup: bool| {
        let wish = Arc::new(Notify::new());
        retry.pushes.push(Arc::clone(&wish));
        let plan = plan((spec, rendition), url, backup, language.subscribe());
        let (mut task, stop) = (PushTask::new(context.clone(), plan), stop.clone());
        // The push is boxed. Otherwise the future of `together` would hold it several times over, and also room for a backup, which most
        // restreams don't have.
        Box::pin(async move { task.run(&stop, &wish).await })
    };
    let primary = prepare(&spec.primary, false);
    let backup = spec.backup.as_ref().map(|url| prepare(url, true));
    let task = lane.spawn(together(primary, backup, stop.clone()));
    RestreamHandle { stop, retry, language, task }
}

/// Runs both pushes. The one that ends first ends the other too, because both follow the same source and the same wish.
async fn together<P, B>(mut primary: P, backup: Option<B>, stop: CancellationToken) -> RestreamOutcome
where
    P: Future<Output = PushOutcome> + Unpin,
    B: Future<Output = PushOutcome> + Unpin,
{
    let outcomes = match backup {
        None => [primary.await, PushOutcome::Stopped],
        Some(mut backup) => {
            tokio::select! {
                outcome = &mut primary => {
                    stop.cancel();
                    [outcome, backup.await]
                }
                outcome = &mut backup => {
                    stop.cancel();
                    [outcome, primary.await]
                }
            }
        }
    };
    if outcomes.contains(&PushOutcome::GaveUp) { RestreamOutcome::GaveUp } else { RestreamOutcome::Stopped }
}

fn language_of(spec: &RestreamSpec) -> Option<Language> {
    spec.audio_language.as_deref().and_then(Language::parse)
}

fn plan(
    (spec, rendition): (&RestreamSpec, &str),
    url: &PushUrl,
    backup: bool,
    language: watch::Receiver<Option<Language>>,
) -> PushPlan {
    PushPlan {
        restream_id: spec.id,
        stream_id: spec.stream_id,
        backup,
        target: target::of(url, spec.enhanced_rtmp),
        rendition: rendition.to_owned(),
        language,
        rules: spec.retry,
        eagerness: Eagerness {
            delay_min: spec.budget.min_backoff,
            delay_max: spec.budget.max_backoff,
            attempts_per_10_minutes: Some(spec.budget.attempts_per_10_minutes),
        },
    }
}
