// One picture of a stream's way: source, ladder, outputs. A box is a button: it opens its graph and events.

import { Cpu, MonitorPlay, Send, Shuffle, Video } from "lucide-react";
import { type ReactNode, useLayoutEffect, useRef, useState } from "react";
import type { Rendition, Restream, Stream } from "../api/types";
import { bitrate, codec, fps, size } from "../format";
import { isSoundAlone } from "../ladders/ladders";
import { t } from "../text";
import { Dot, StateBadge, type Tone, toneOf } from "../ui/state";
import { Attempt } from "../restreams/retry";
import { type Flow, flowOf, type NodeId, type OutputNode, type RenditionNode, SOURCE_RENDITION } from "./flow_layout";

interface FlowProps {
  stream: Stream;
  restreams: Restream[];
  ladder: Rendition[];
  selected: NodeId;
  onSelect: (id: NodeId) => void;
}

export function FlowPicture({ stream, restreams, ladder, selected, onSelect }: FlowProps) {
  const flow = flowOf(stream, restreams, ladder);
  const box = useRef<HTMLDivElement>(null);
  const lines = useLines(box, flow);
  const node = (id: NodeId, tone: Tone, content: ReactNode, label: string) => (
    <button key={id} type="button" className={`node ${tone}`} data-node={id} aria-pressed={selected === id} onClick={() => onSelect(id)}>
      <span className="sr-only">{label}</span>
      {content}
    </button>
  );
  const { ingest, state } = stream.status;
  return (
    <div className="flow" ref={box}>
      <svg className="flow-lines" aria-hidden>
        {lines.map(({ key, path, tone }) => <path key={key} d={path} className={`line ${tone}`} />)}
      </svg>
      <div className="flow-column" role="group" aria-label={t.flow.source}>
        <p className="flow-heading">{t.flow.source}</p>
        <div className="flow-nodes">
          {node("source", toneOf(state), (
            <>
              <span className="node-head"><Video aria-hidden size={15} /><b>{ingest ? t.protocol(ingest.protocol) : t.flow.noSource}</b></span>
              {ingest ? (
                <>
                  <span className="node-figure">{bitrate(ingest.bitrate_bps)}</span>
                  <span className="node-note">{size(ingest.width, ingest.height)} · {t.fps(fps(ingest.fps))}</span>
                  <span className="node-note">{codec(ingest.video_codec)} · {ingest.audio_codec ? codec(ingest.audio_codec) : t.flow.noAudio} · {ingest.slot}</span>
                </>
              ) : (
                <span className="node-note">{t.flow.waiting}</span>
              )}
              <StateBadge state={state} />
              {stream.status.sources.length > 1 && stream.status.sources.filter(({ on_air }) => !on_air).map(({ slot, state: standby }) => (
                <span key={slot} className="node-note"><Dot tone={toneOf(standby)} /> {slot}: {t.states[standby as "live"] ?? standby}</span>
              ))}
            </>
          ), t.flow.source)}
        </div>
      </div>
      <div className="flow-column" role="group" aria-label={t.flow.ladder}>
        <p className="flow-heading">{t.flow.ladder}</p>
        <div className="flow-nodes">{flow.renditions.map((rendition) => node(rendition.id, renditionTone(rendition, stream), <RenditionBox node={rendition} />, t.flow.renditionLabel(rendition.label)))}</div>
      </div>
      <div className="flow-column" role="group" aria-label={t.flow.outputs}>
        <p className="flow-heading">{t.flow.outputs}</p>
        <div className="flow-nodes">{flow.outputs.map((output) => node(output.id, outputTone(output, stream), <OutputBox node={output} />, outputLabel(output)))}</div>
      </div>
    </div>
  );
}

function RenditionBox({ node: { name, label, passthrough, status, wanted } }: { node: RenditionNode }) {
  const target = status?.target_bps;
  return (
    <>
      <span className="node-head">
        {passthrough ? <Shuffle aria-hidden size={15} /> : <Cpu aria-hidden size={15} />}
        <b>{name === SOURCE_RENDITION ? t.flow.asIs : label}</b>
        {status && <span className="node-figure">{bitrate(status.bitrate_bps)}</span>}
      </span>
      <span className="node-note">
        {passthrough
          ? t.flow.untouched
          : [wanted && isSoundAlone(wanted) ? t.rendition.soundAlone : wanted?.video ? t.rendition.pictureAsItIs : size(status?.width ?? wanted?.width, status?.height ?? wanted?.height), status ? encoderName(status.encoder, status.device) : t.flow.notRunning].join(" · ")}
      </span>
      {target != null && status && (
        <span className="node-target" title={t.flow.target(bitrate(target))}>
          <span style={{ transform: `scaleX(${Math.min(1, status.bitrate_bps / target)})` }} />
        </span>
      )}
    </>
  );
}

export function encoderName(encoder: string, device: string | null | undefined): string {
  return device ? `${encoder} · ${device}` : encoder;
}

function OutputBox({ node }: { node: OutputNode }) {
  if (node.kind === "viewers") {
    return (
      <span className="node-head">
        <MonitorPlay aria-hidden size={15} />
        <b>{t.protocol(node.protocol)}</b>
        <span className="node-note">{t.flow.viewers(node.count)}</span>
      </span>
    );
  }
  if (node.kind === "more") {
    return (
      <span className="node-head">
        <Send aria-hidden size={15} />
        <b>{t.flow.more(node.count)}</b>
      </span>
    );
  }
  const { name, status } = node.restream;
  return (
    <>
      <span className="node-head">
        <Send aria-hidden size={15} />
        <b>{name}</b>
        {status.state === "streaming" ? <span className="node-figure">{bitrate(status.bitrate_bps)}</span> : null}
      </span>
      <span className="node-row">
        <StateBadge state={status.state} />
        <Attempt status={status} />
      </span>
      {status.state === "error" && status.reason && <span className="node-note bad">{status.reason.message}</span>}
    </>
  );
}

function renditionTone({ status }: RenditionNode, stream: Stream): Tone {
  return stream.status.live && status ? toneOf(status.state) : "idle";
}

function outputTone(node: OutputNode, stream: Stream): Tone {
  if (node.kind === "restream") return toneOf(node.restream.status.state);
  return node.kind === "viewers" && stream.status.live && node.count > 0 ? "good" : "idle";
}

function outputLabel(node: OutputNode): string {
  if (node.kind === "viewers") return t.flow.viewersOf;
  if (node.kind === "more") return t.nav.restreams;
  return t.restreams.one;
}

interface DrawnLine {
  key: string;
  path: string;
  tone: string;
}

/** Drawn from where the boxes have come to lie. */
function useLines(box: React.RefObject<HTMLDivElement | null>, flow: Flow): DrawnLine[] {
  const [lines, setLines] = useState<DrawnLine[]>([]);
  const shape = JSON.stringify(flow.edges);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const draw = () => setLines(linesBetween(element, JSON.parse(shape) as Flow["edges"]));
    draw();
    const resized = new ResizeObserver(draw);
    resized.observe(element);
    element.querySelectorAll("[data-node]").forEach((each) => resized.observe(each));
    return () => resized.disconnect();
  }, [box, shape]);
  const tones = new Map<string, string>();
  box.current?.querySelectorAll<HTMLElement>("[data-node]").forEach((each) => tones.set(each.dataset["node"] ?? "", each.className.replace("node ", "")));
  return lines.map((line) => ({ ...line, tone: tones.get(line.key.split(">")[1] ?? "") ?? "" }));
}

function linesBetween(element: HTMLElement, edges: Flow["edges"]): DrawnLine[] {
  const origin = element.getBoundingClientRect();
  const at = new Map<string, DOMRect>();
  element.querySelectorAll<HTMLElement>("[data-node]").forEach((each) => at.set(each.dataset["node"] ?? "", each.getBoundingClientRect()));
  return edges.flatMap(([from, to]) => {
    const [one, other] = [at.get(from), at.get(to)];
    // Stacked on a phone: nothing lies beside anything.
    if (!one || !other || other.left < one.right + 8) return [];
    const [x1, y1] = [one.right - origin.left, one.top + Math.min(one.height / 2, 60) - origin.top];
    const [x2, y2] = [other.left - origin.left, other.top + Math.min(other.height / 2, 28) - origin.top];
    const bend = (x2 - x1) / 2;
    return [{ key: `${from}>${to}`, tone: "", path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` }];
  });
}

