//! What must be done so that what runs is what is wanted; pure, and the only way in which anything starts or stops.

use std::collections::BTreeMap;

use weir_model::{Reason, RestreamId, RestreamSpec, Stream, StreamId};

/// What is stored: every stream, and of its restreams those that are to run, each resolved or with the fault in its settings.
#[derive(Clone, Debug)]
pub(crate) struct DesiredStream {
    pub(crate) stream: Stream,
    pub(crate) restreams: BTreeMap<RestreamId, Result<RestreamSpec, Reason>>,
}

/// What runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActualStream {
    pub(crate) stream: Stream,
    pub(crate) restreams: BTreeMap<RestreamId, Result<RestreamSpec, Reason>>,
}

/// One step. The order of the list is the order to take them in: stops come first, so that a changed restream's old
/// connection has left before the new one claims the same key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    StopRestream(RestreamId),
    /// Its restreams have been stopped by steps before.
    StopStream(StreamId),
    StartStream(Box<Stream>),
    UpdateStream(Box<Stream>),
    StartRestream(Box<RestreamSpec>),
    /// Nothing but its name changed: no reason to reconnect.
    RenameRestream(Box<RestreamSpec>),
    /// It can't even be tried: show why.
    ShowFault {
        stream_id: StreamId,
        restream_id: RestreamId,
        reason: Reason,
    },
}

/// Compares; equal things are left alone, so that one change disturbs nothing else.
pub(crate) fn reconcile(
    desired: &BTreeMap<StreamId, DesiredStream>,
    actual: &BTreeMap<StreamId, ActualStream>,
) -> Vec<Step> {
    let (mut stops, mut starts) = (Vec::new(), Vec::new());
    for (id, runs) in actual {
        let wanted = desired.get(id);
        for (restream_id, spec) in &runs.restreams {
            let wanted = wanted.and_then(|wanted| wanted.restreams.get(restream_id));
            if wanted != Some(spec) && !wanted.is_some_and(|wanted| differ_in_name_only(wanted, spec)) {
                stops.push(Step::StopRestream(*restream_id));
            }
        }
        if wanted.is_none() {
            stops.push(Step::StopStream(*id));
        }
    }
    for (id, wanted) in desired {
        let runs = actual.get(id);
        match runs {
            None => starts.push(Step::StartStream(Box::new(wanted.stream.clone()))),
            Some(runs) if runs.stream != wanted.stream => {
                starts.push(Step::UpdateStream(Box::new(wanted.stream.clone())));
            }
            Some(_) => {}
        }
        for (restream_id, spec) in &wanted.restreams {
            let running = runs.and_then(|runs| runs.restreams.get(restream_id));
            if running == Some(spec) {
                continue;
            }
            let rename = running.is_some_and(|running| differ_in_name_only(spec, running));
            starts.push(match spec {
                Ok(spec) if rename => Step::RenameRestream(Box::new(spec.clone())),
                Ok(spec) => Step::StartRestream(Box::new(spec.clone())),
                Err(reason) => Step::ShowFault { stream_id: *id, restream_id: *restream_id, reason: reason.clone() },
            });
        }
    }
    stops.extend(starts);
    stops
}

fn differ_in_name_only(wanted: &Result<RestreamSpec, Reason>, running: &Result<RestreamSpec, Reason>) -> bool {
    let (Ok(wanted), Ok(running)) = (wanted, running) else { return false };
    wanted.name != running.name && RestreamSpec { name: running.name.clone(), ..wanted.clone() } == *running
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
