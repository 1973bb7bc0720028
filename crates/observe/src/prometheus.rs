//! The board and the counters as Prometheus text, made when it is asked for.

use std::fmt::Write;

use weir_model::{
    PushStatus, RenditionState, RenditionStatus, RestreamState, SeenStatus, SourceState, SourceStatus, StreamState,
    WebrtcStatus,
};

use crate::{Counter, Observe, WorkerLine};

pub(crate) fn render(observe: &Observe) -> String {
    let mut text = Text::default();
    let uptime = (time::OffsetDateTime::now_utc() - observe.started_at()).as_seconds_f64();
    text.head("weir_uptime_seconds", "gauge", "Since the server started.");
    text.line("weir_uptime_seconds", &[], uptime);
    for counter in Counter::ALL {
        text.head(counter.name(), "counter", counter.help());
        text.line(counter.name(), &[], observe.counters().get(*counter) as f64);
    }
    streams(&mut text, observe);
    restreams(&mut text, observe);
    text.0
}

fn streams(text: &mut Text, observe: &Observe) {
    let lines = observe.board().streams();
    let name = "weir_packaged_segments_total";
    text.head(
        name,
        "counter",
        "Segments of HLS and DASH; a sound that several renditions have is packaged once, with one of them.",
    );
    for (_, line) in &lines {
        for ((rendition, track), count) in line.segments() {
            let labels = [("stream", &*line.name), ("rendition", &rendition), ("track", &track)];
            text.line(name, &labels, count as f64);
        }
    }
    let streams: Vec<_> = lines.into_iter().map(|(_, line)| (line.status_with_viewers(), line.name)).collect();
    let mut series = |name: &str, help: &str, value: &dyn Fn(&weir_model::StreamStatus) -> Option<f64>| {
        text.head(name, "gauge", help);
        for (status, stream) in &streams {
            if let Some(value) = value(status) {
                text.line(name, &[("stream", stream)], value);
            }
        }
    };
    series("weir_stream_live", "1 while media flows.", &|status| {
        Some(f64::from(u8::from(status.state == StreamState::Live)))
    });
    series("weir_ingest_bitrate_bps", "Arriving now.", &|status| Some(status.ingest.as_ref()?.bitrate_bps as f64));
    series("weir_ingest_fps", "Pictures a second arriving now.", &|status| status.ingest.as_ref()?.fps);
    series("weir_ingest_gop_seconds", "Length of the last whole GOP.", &|status| status.ingest.as_ref()?.gop_seconds);
    series("weir_ingest_dropped_frames", "Frames of this session that could not be used.", &|status| {
        Some(status.ingest.as_ref()?.dropped_frames as f64)
    });
    type SourceFigure = fn(&SourceStatus) -> f64;
    let figures: [(&str, &str, SourceFigure); 3] = [
        ("weir_source_live", "1 while pictures come from the source, on air or not.", |source| {
            f64::from(u8::from(source.state == SourceState::Live))
        }),
        ("weir_source_on_air", "1 for the source that is on air.", |source| f64::from(u8::from(source.on_air))),
        ("weir_source_bitrate_bps", "Arriving now, on air or not.", |source| {
            source.ingest.as_ref().map_or(0.0, |ingest| ingest.bitrate_bps as f64)
        }),
    ];
    for (name, help, figure) in figures {
        text.head(name, "gauge", help);
        for (status, stream) in &streams {
            for source in &status.sources {
                text.line(name, &[("stream", stream), ("source", source.slot.as_str())], figure(source));
            }
        }
    }
    type Figure = fn(&RenditionStatus) -> Option<f64>;
    let figures: [(&str, &str, Figure); 5] = [
        ("weir_rendition_live", "1 while it flows.", |rendition| {
            Some(f64::from(u8::from(matches!(rendition.state, RenditionState::Live | RenditionState::Degraded))))
        }),
        ("weir_rendition_degraded", "1 while it is late, or not from the encoder that was wanted.", |rendition| {
            Some(f64::from(u8::from(rendition.state == RenditionState::Degraded)))
        }),
        ("weir_rendition_bitrate_bps", "Its pictures, as encoded now.", |rendition| Some(rendition.bitrate_bps as f64)),
        ("weir_rendition_fps", "Pictures a second now.", |rendition| rendition.fps),
        ("weir_rendition_latency_ms", "What encoding adds.", |rendition| rendition.latency_ms),
    ];
    for (name, help, figure) in figures {
        text.head(name, "gauge", help);
        for (status, stream) in &streams {
            for rendition in &status.renditions {
                let labels = [("stream", &**stream), ("rendition", &rendition.name), ("encoder", &rendition.encoder)];
                if let Some(value) = figure(rendition) {
                    text.line(name, &labels, value);
                }
            }
        }
    }
    type WorkerFigure = fn(&WorkerLine) -> f64;
    let figures: [(&str, &str, &str, WorkerFigure); 4] = [
        ("weir_worker_rss_bytes", "gauge", "Memory of its transcoding process.", |worker| worker.rss_bytes as f64),
        ("weir_worker_cpu_seconds_total", "counter", "CPU time of its transcoding process.", |worker| {
            worker.cpu_seconds
        }),
        (
            "weir_worker_cpu_percent",
            "gauge",
            "CPU that its transcoding process takes now; 100 is one core.",
            |worker| worker.cpu_percent,
        ),
        ("weir_worker_starts_total", "counter", "Transcoding processes so far.", |worker| worker.starts as f64),
    ];
    let workers: Vec<_> = observe.board().workers();
    for (name, kind, help, figure) in figures {
        text.head(name, kind, help);
        for (stream, worker) in &workers {
            text.line(name, &[("stream", stream)], figure(worker));
        }
    }
    type WebrtcCount = fn(&WebrtcStatus) -> u64;
    let counts: [(&str, &str, WebrtcCount); 3] = [
        ("weir_webrtc_keyframes_asked_total", "Keyframes that viewers by WebRTC asked for.", |it| it.keyframes_asked),
        ("weir_webrtc_keyframes_forced_total", "Keyframes that encoders made for them.", |it| it.keyframes_forced),
        ("weir_webrtc_moves_total", "Moves of viewers by WebRTC to other renditions.", |it| it.moves),
    ];
    for (name, help, count) in counts {
        text.head(name, "counter", help);
        for (status, stream) in &streams {
            text.line(name, &[("stream", stream)], count(&status.webrtc) as f64);
        }
    }
    text.head("weir_webrtc_viewers", "gauge", "Viewers by WebRTC, by what they see.");
    for (status, stream) in &streams {
        for SeenStatus { rendition, viewers } in &status.webrtc.seen {
            text.line("weir_webrtc_viewers", &[("stream", stream), ("rendition", rendition)], *viewers as f64);
        }
    }
    text.head("weir_viewers", "gauge", "Who is watching now.");
    for (status, stream) in &streams {
        for (kind, count) in status.viewers.each() {
            let protocol = kind.as_str();
            text.line("weir_viewers", &[("stream", stream), ("protocol", protocol)], count as f64);
        }
    }
}

/// A figure of a push. Where it is its restream's primary, the figure is given the restream's opened connections and warnings.
type PushFigure<'a> = dyn Fn(&PushStatus, Option<(u64, usize)>) -> Option<f64> + 'a;

fn restreams(text: &mut Text, observe: &Observe) {
    let names: std::collections::BTreeMap<_, _> =
        observe.board().streams().into_iter().map(|(id, line)| (id, line.name)).collect();
    let mut pushes = Vec::new();
    for (id, wish, view) in observe.restreams() {
        let stream = names.get(&wish.stream_id).cloned().unwrap_or_default();
        let labels = (id.to_string(), stream, wish.name);
        let warnings = view.warnings().count();
        if let Some(backup) = view.status.backup {
            pushes.push((labels.clone(), "backup", backup, None));
        }
        let of_the_restream = Some((observe.board().connects(id).unwrap_or(0), warnings));
        pushes.push((labels, "primary", view.status.push, of_the_restream));
    }
    let mut series = |name: &str, kind: &str, help: &str, value: &PushFigure<'_>| {
        text.head(name, kind, help);
        for ((id, stream, restream), slot, status, counts) in &pushes {
            if let Some(value) = value(status, *counts) {
                let labels = [("restream_id", id.as_str()), ("stream", stream), ("restream", restream), ("slot", slot)];
                text.line(name, &labels, value);
            }
        }
    };
    for state in [
        RestreamState::Stopped,
        RestreamState::AwaitingStream,
        RestreamState::Connecting,
        RestreamState::Streaming,
        RestreamState::Error,
    ] {
        let name = format!("weir_restream_state_{state}");
        series(&name, "gauge", "1 while in this state.", &|status, _| Some(f64::from(u8::from(status.state == state))));
    }
    series("weir_restream_bitrate_bps", "gauge", "Acknowledged by the destination now.", &|status, _| {
        Some(status.bitrate_bps as f64)
    });
    series("weir_restream_sent_bytes_total", "counter", "Given to the network.", &|status, _| {
        Some(status.sent_bytes as f64)
    });
    series("weir_restream_acked_bytes_total", "counter", "Acknowledged by the destination.", &|status, _| {
        Some(status.acked_bytes as f64)
    });
    series(
        "weir_restream_dropped_frames_total",
        "counter",
        "Passed over because the destination was slow.",
        &|status, _| Some(status.dropped_frames as f64),
    );
    series("weir_restream_rtt_ms", "gauge", "Round trip to the destination.", &|status, _| status.rtt_ms);
    series("weir_restream_connects_total", "counter", "Connections opened, the first included.", &|_, counts| {
        counts.map(|(connects, _)| connects as f64)
    });
    series("weir_restream_warnings", "gauge", "Warnings that its status has, of platform rules too.", &|_, counts| {
        counts.map(|(_, warnings)| warnings as f64)
    });
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// Escapes a label's value as the exposition format asks: a name with a quote in it must not end its label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RestreamLine, RestreamWish};
    use time::OffsetDateTime;
    use weir_model::{RestreamId, RestreamStatus, StreamId, StreamStatus, ViewerKind};

    #[test]
    fn tells_every_stream_and_restream() {
        let observe = Observe::new();
        let now = OffsetDateTime::UNIX_EPOCH;
        observe.board().set_stream(StreamId(1), "cam1", StreamStatus::offline(now));
        let wish = |id: i64, active: bool| {
            let wish = RestreamWish {
                stream_id: StreamId(1),
                name: "to \"tube\"".into(),
                active,
                stop_reason: None,
                changed_at: now,
                sends: "source".into(),
                rendition: None,
                audio_language: None,
                platform: None,
                advice: Vec::new(),
                backup_advice: Vec::new(),
            };
            (RestreamId(id), Some(wish))
        };
        observe.board().wish(vec![wish(7, true), wish(8, false)]);
        let mut status = RestreamStatus::stopped(now);
        status.push.state = RestreamState::Connecting;
        observe.board().set_restream(RestreamId(7), RestreamLine { status, connects: 2 });
        observe.board().count_segment(StreamId(1), "720p", "audio");
        let _viewer = observe.board().viewer(StreamId(1), ViewerKind::Rtmp);
        observe.counters().add(Counter::IngestRefused, 3);
        let text = observe.render_prometheus();
        for expected in [
            "weir_ingest_refused_total 3\n",
            "weir_stream_live{stream=\"cam1\"} 0\n",
            "weir_packaged_segments_total{stream=\"cam1\",rendition=\"720p\",track=\"audio\"} 1\n",
            "weir_viewers{stream=\"cam1\",protocol=\"rtmp\"} 1\n",
            "weir_restream_state_connecting{restream_id=\"7\",stream=\"cam1\",restream=\"to \\\"tube\\\"\",slot=\"primary\"} 1\n",
            "weir_restream_state_stopped{restream_id=\"8\",stream=\"cam1\",restream=\"to \\\"tube\\\"\",slot=\"primary\"} 1\n",
            "weir_restream_connects_total{restream_id=\"7\",stream=\"cam1\",restream=\"to \\\"tube\\\"\",slot=\"primary\"} 2\n",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }
}
