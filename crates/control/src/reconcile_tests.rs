//! The reconciler held by tables, and by the rule that carrying out leaves nothing to do.

use super::*;

use weir_model::{
    EncoderPolicy, PushUrl, ReasonCode, RenditionWish, RetryBudget, RetryRules, Slot, Source, SourceKind, StreamName,
};

fn spec(id: i64, stream_id: i64, uri: &str) -> RestreamSpec {
    RestreamSpec {
        id: RestreamId(id),
        stream_id: StreamId(stream_id),
        name: format!("restream {id}"),
        primary: PushUrl::parse(uri).unwrap(),
        backup: None,
        rendition: RenditionWish::AsIs,
        retry: RetryRules::default(),
        budget: RetryBudget::default(),
        enhanced_rtmp: false,
    }
}

fn stream(id: i64) -> Stream {
    let name = StreamName::new(format!("cam{id}")).unwrap();
    Stream { id: StreamId(id), ..Stream::draft(name) }
}

/// One stream and its restreams, each with a URL or None for a fault in its settings.
type Row<'a> = (i64, &'a [(i64, Option<&'a str>)]);

fn restreams(stream_id: i64, list: &[(i64, Option<&str>)]) -> BTreeMap<RestreamId, Result<RestreamSpec, Reason>> {
    let fault = || Reason::new(ReasonCode::Internal, "the destination is gone");
    let spec = |id, uri: &Option<&str>| uri.map(|uri| spec(id, stream_id, uri)).ok_or_else(fault);
    list.iter().map(|(id, uri)| (RestreamId(*id), spec(*id, uri))).collect()
}

fn desired(rows: &[Row<'_>]) -> BTreeMap<StreamId, DesiredStream> {
    let row =
        |(id, list): &Row<'_>| (StreamId(*id), DesiredStream { stream: stream(*id), restreams: restreams(*id, list) });
    rows.iter().map(row).collect()
}

fn actual(rows: &[Row<'_>]) -> BTreeMap<StreamId, ActualStream> {
    let as_runs = |(id, wanted): (StreamId, DesiredStream)| {
        (id, ActualStream { stream: wanted.stream, restreams: wanted.restreams })
    };
    desired(rows).into_iter().map(as_runs).collect()
}

fn steps(wanted: &[Row<'_>], runs: &[Row<'_>]) -> Vec<String> {
    let name = |step| match step {
        Step::StopRestream(id) => format!("stop restream {id}"),
        Step::StopStream(id) => format!("stop stream {id}"),
        Step::StartStream(stream) => format!("start stream {}", stream.id),
        Step::UpdateStream(stream) => format!("update stream {}", stream.id),
        Step::StartRestream(spec) => format!("start restream {}", spec.id),
        Step::RenameRestream(spec) => format!("rename restream {}", spec.id),
        Step::ShowFault { restream_id, .. } => format!("fault {restream_id}"),
    };
    reconcile(&desired(wanted), &actual(runs)).into_iter().map(name).collect()
}

const A: Option<&str> = Some("rtmp://a/live/k");
const B: Option<&str> = Some("rtmp://b/live/k");

#[test]
fn makes_what_runs_what_is_wanted() {
    type Case<'a> = (&'a str, &'a [Row<'a>], &'a [Row<'a>], &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        ("nothing", &[], &[], &[]),
        (
            "a restart rebuilds all",
            &[(1, &[(7, A), (8, B)])],
            &[],
            &["start stream 1", "start restream 7", "start restream 8"],
        ),
        ("all as wanted", &[(1, &[(7, A)])], &[(1, &[(7, A)])], &[]),
        ("one more disturbs none", &[(1, &[(7, A), (8, B)])], &[(1, &[(7, A)])], &["start restream 8"]),
        ("one less disturbs none", &[(1, &[(7, A)])], &[(1, &[(7, A), (8, B)])], &["stop restream 8"]),
        (
            "a changed one leaves first",
            &[(1, &[(7, B), (8, B)])],
            &[(1, &[(7, A), (8, B)])],
            &["stop restream 7", "start restream 7"],
        ),
        ("a deleted stream", &[(2, &[])], &[(1, &[(7, A)]), (2, &[])], &["stop restream 7", "stop stream 1"]),
        ("a fault is shown", &[(1, &[(7, None)])], &[(1, &[(7, A)])], &["stop restream 7", "fault 7"]),
        ("a fault is mended", &[(1, &[(7, A)])], &[(1, &[(7, None)])], &["stop restream 7", "start restream 7"]),
    ];
    for (name, wanted, runs, expected) in cases {
        assert_eq!(steps(wanted, runs), expected, "{name}");
    }
}

#[test]
fn a_new_name_reconnects_nothing() {
    let mut wanted = desired(&[(1, &[(7, A), (8, B)])]);
    let runs = actual(&[(1, &[(7, A), (8, B)])]);
    if let Some(Ok(spec)) = wanted.get_mut(&StreamId(1)).unwrap().restreams.get_mut(&RestreamId(7)) {
        spec.name = "renamed".to_owned();
    }
    let steps = reconcile(&wanted, &runs);
    assert!(matches!(&steps[..], [Step::RenameRestream(spec)] if spec.name == "renamed"), "{steps:?}");
}

#[test]
fn settings_of_a_stream_touch_no_restream() {
    let mut wanted = desired(&[(1, &[(7, A)])]);
    let stream = &mut wanted.get_mut(&StreamId(1)).unwrap().stream;
    (stream.encoder_policy, stream.active, stream.version) = (EncoderPolicy::SoftwareOnly, false, 9);
    stream.sources = vec![Source { slot: Slot::Primary, kind: SourceKind::Push { stream_key: "new".into() } }];
    let steps = reconcile(&wanted, &actual(&[(1, &[(7, A)])]));
    assert!(matches!(&steps[..], [Step::UpdateStream(_)]), "{steps:?}");
}

#[test]
fn doing_the_steps_leaves_nothing_to_do() {
    let rows: [&[Row<'_>]; 4] =
        [&[], &[(1, &[(7, A)])], &[(1, &[(7, B), (8, None)]), (2, &[(9, A)])], &[(2, &[(9, B), (10, A)])]];
    for from in rows {
        for to in rows {
            let mut runs = actual(from);
            let wanted = desired(to);
            for step in reconcile(&wanted, &runs) {
                match step {
                    Step::StopRestream(id) => runs.values_mut().for_each(|run| drop(run.restreams.remove(&id))),
                    Step::StopStream(id) => {
                        assert!(runs.remove(&id).unwrap().restreams.is_empty(), "stopped with restreams");
                    }
                    Step::StartStream(stream) => {
                        runs.insert(stream.id, ActualStream { stream: *stream, restreams: BTreeMap::new() });
                    }
                    Step::UpdateStream(stream) => {
                        let id = stream.id;
                        runs.get_mut(&id).unwrap().stream = *stream;
                    }
                    Step::StartRestream(spec) | Step::RenameRestream(spec) => {
                        runs.get_mut(&spec.stream_id).unwrap().restreams.insert(spec.id, Ok(*spec));
                    }
                    Step::ShowFault { stream_id, restream_id, reason } => {
                        runs.get_mut(&stream_id).unwrap().restreams.insert(restream_id, Err(reason));
                    }
                }
            }
            assert_eq!(reconcile(&wanted, &runs), []);
        }
    }
}
