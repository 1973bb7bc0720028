// The box that was clicked in the picture: its figures, its graph, what happened to it.

import type { ReactNode } from "react";
import type { Restream, Stream, WeirEvent } from "../api/types";
import { EventList } from "../events/event_list";
import { bitrate, codec, count, fps, milliseconds, percent, seconds, size } from "../format";
import { useEvents } from "../live/events";
import { keys } from "../live/history";
import { RestreamFacts } from "../restreams/restream_facts";
import { t } from "../text";
import { Chart, Legend, type Line } from "../ui/chart";
import { Facts } from "../ui/facts";
import { Panel } from "../ui/page";
import { encoderName } from "./flow";
import { renditionLabel } from "./flow_layout";

interface InspectorProps {
  stream: Stream;
  restreams: Restream[];
  selected: string;
}

export function Inspector({ stream, restreams, selected }: InspectorProps) {
  const [kind, rest = ""] = selected.split(/\/(.*)/);
  const restream = kind === "restream" ? restreams.find(({ id }) => String(id) === rest) : undefined;
  if (restream) {
    return (
      <Around title={restream.name} chart={<Graph lines={restreamLines(restream)} label={t.graphs.of(restream.name)} />} facts={<RestreamFacts restream={restream} />}
        wanted={(event) => event["restream_id"] === restream.id} />
    );
  }
  if (kind === "rendition") return <RenditionInspector stream={stream} restreams={restreams} name={rest} />;
  if (kind === "viewers") return <ViewersInspector stream={stream} protocol={rest} />;
  return <SourceInspector stream={stream} />;
}

function ViewersInspector({ stream, protocol }: { stream: Stream; protocol: string }) {
  const name = t.protocol(protocol);
  const lines: Line[] = [{ key: keys.viewers(stream.id, protocol), label: t.overview.viewersTitle, colour: "--chart-1" }];
  const { hls, dash, whep } = stream.play_urls;
  const address = { hls, dash, webrtc: whep }[protocol];
  const facts: [string, ReactNode][] = [
    [t.overview.viewersTitle, count(stream.status.viewers[protocol as keyof Stream["status"]["viewers"]])],
    ...(address ? [[t.push.address, <span className="mono">{address}</span>] as [string, ReactNode]] : []),
  ];
  return (
    <Around title={name} chart={<Chart lines={lines} label={t.graphs.viewersOf(name)} height={170} format={(value) => (Number.isInteger(value) ? count(value) : "")} />} facts={<Facts facts={facts} />}
      wanted={(event) => event["stream_id"] === stream.id && event.type === "segment_late"} />
  );
}

function Around({ title, chart, facts, wanted }: { title: string; chart: ReactNode; facts: ReactNode; wanted: (event: WeirEvent) => boolean }) {
  const events = useEvents().filter(wanted).slice(0, 20);
  return (
    <Panel title={title} className="inspector">
      <div className="inspector-body">
        <div className="inspector-chart">{chart}</div>
        {facts}
      </div>
      <EventList events={events} compact />
    </Panel>
  );
}

function Graph({ lines, label }: { lines: Line[]; label: string }) {
  return (
    <>
      <Chart lines={lines} label={label} height={170} />
      <Legend lines={lines} />
    </>
  );
}

export function restreamLines(restream: Restream): Line[] {
  return [
    { key: keys.restream(restream.id), label: t.restreams.sent, colour: "--chart-1", target: restream.status.target_bps },
    { key: keys.acked(restream.id), label: t.restreams.acked, colour: "--chart-2" },
  ];
}

function SourceInspector({ stream }: { stream: Stream }) {
  const { ingest } = stream.status;
  const lines: Line[] = [{ key: keys.ingest(stream.id), label: t.graphs.ingest, colour: "--chart-1" }];
  const facts: [string, string][] = ingest
    ? [
        [t.ingest.remote, ingest.remote ?? t.ingest.local],
        [t.ingest.video, `${codec(ingest.video_codec)} · ${size(ingest.width, ingest.height)}`],
        ...soundFacts(stream),
        [t.ingest.fps, fps(ingest.fps)],
        [t.ingest.gop, seconds(ingest.gop_seconds)],
        [t.ingest.dropped, count(ingest.dropped_frames)],
        ...(ingest.rtt_ms != null ? [[t.ingest.rtt, milliseconds(ingest.rtt_ms)] as [string, string]] : []),
        ...(ingest.latency_ms != null ? [[t.ingest.latency, milliseconds(ingest.latency_ms)] as [string, string]] : []),
        ...(ingest.loss_percent != null ? [[t.ingest.loss, percent(ingest.loss_percent)] as [string, string]] : []),
      ]
    : [[t.ingest.state, t.flow.waiting]];
  return (
    <Around title={t.flow.source} chart={<Graph lines={lines} label={t.graphs.of(t.graphs.ingest)} />} facts={<Facts facts={facts} />}
      wanted={(event) => event["stream_id"] === stream.id && event["restream_id"] === undefined} />
  );
}

/** Each sound of the source with its language, the default one first. */
function soundFacts({ status }: Stream): [string, string][] {
  const sounds = (status.tracks ?? []).filter((track) => track.kind === "audio");
  if (sounds.length === 0) return [[t.ingest.audio, status.ingest?.audio_codec ? codec(status.ingest.audio_codec) : t.flow.noAudio]];
  return sounds.map((track, index) => {
    const said = [track.label, track.language, codec(track.codec), bitrate(track.bitrate_bps)].filter(Boolean).join(" · ");
    return [index === 0 ? t.ingest.audio : t.ingest.audioNumber(index + 1), said];
  });
}

function RenditionInspector({ stream, restreams, name }: { stream: Stream; restreams: Restream[]; name: string }) {
  const status = stream.status.renditions.find((rendition) => rendition.name === name);
  const label = renditionLabel(name, restreams, status);
  const lines: Line[] = [{ key: keys.rendition(stream.id, name), label, colour: "--chart-1", target: status?.target_bps }];
  const facts: [string, string][] = status
    ? [
        [t.rendition.encoder, encoderName(status.encoder, status.device)],
        [t.rendition.size, size(status.width, status.height)],
        [t.ingest.fps, fps(status.fps)],
        [t.rendition.now, bitrate(status.bitrate_bps)],
        [t.rendition.target, bitrate(status.target_bps)],
        [t.ingest.state, t.states[status.state as "live"] ?? status.state],
      ]
    : [[t.ingest.state, t.flow.notRunning]];
  return (
    <Around title={t.flow.renditionLabel(label)} chart={<Graph lines={lines} label={t.graphs.of(label)} />} facts={<Facts facts={facts} />}
      wanted={(event) => event["stream_id"] === stream.id && (event["rendition"] === name || event.type === "worker_failed")} />
  );
}
