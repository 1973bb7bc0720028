// The picture of one stream's way, as plain data: boxes in three columns and who feeds whom. Pure.

import type { Rendition, RenditionStatus, Restream, Stream } from "../api/types";

export type NodeId = string;

export interface SourceNode {
  kind: "source";
  id: NodeId;
}
export interface RenditionNode {
  kind: "rendition";
  id: NodeId;
  name: string;
  /** What people call it. */
  label: string;
  passthrough: boolean;
  /** What it is doing; missing while nothing runs. */
  status: RenditionStatus | undefined;
  /** What was asked for. */
  wanted: Rendition | undefined;
}
export interface ViewersNode {
  kind: "viewers";
  id: NodeId;
  protocol: string;
  count: number;
}
export interface RestreamNode {
  kind: "restream";
  id: NodeId;
  restream: Restream;
}
export interface MoreNode {
  kind: "more";
  id: NodeId;
  count: number;
}
export type OutputNode = ViewersNode | RestreamNode | MoreNode;
export type FlowNode = SourceNode | RenditionNode | OutputNode;

export interface Flow {
  source: SourceNode;
  renditions: RenditionNode[];
  outputs: OutputNode[];
  /** From, to. */
  edges: [NodeId, NodeId][];
}

export const SOURCE_RENDITION = "source";
/** More restreams than this do not fit into a picture; the table below has all. */
const RESTREAMS_SHOWN = 8;

const renditionId = (name: string): NodeId => `rendition/${name}`;

/** `ladder` is what the stream's ladder is made of, where its name is known. */
export function flowOf(stream: Stream, restreams: Restream[], ladder: Rendition[]): Flow {
  const source: SourceNode = { kind: "source", id: "source" };
  const renditions = renditionsOf(stream, restreams, ladder);
  const known = new Set(renditions.map(({ name }) => name));
  const edges: [NodeId, NodeId][] = renditions.map(({ id }) => [source.id, id]);
  const outputs: OutputNode[] = [];

  // A protocol over HTTP is shown where the stream has it on. Every other protocol is shown while somebody watches by it.
  const isOn: Record<string, boolean> = { hls: stream.hls, dash: stream.dash, webrtc: stream.webrtc && Boolean(stream.play_urls.whep) };
  const inLadder = new Set(ladder.map(({ name }) => name));
  for (const [protocol, count] of Object.entries(stream.status.viewers)) {
    if (!(isOn[protocol] ?? count > 0)) continue;
    const node: ViewersNode = { kind: "viewers", id: `viewers/${protocol}`, protocol, count };
    outputs.push(node);
    // Viewers choose among the ladder's renditions, or take the source where there is none.
    for (const { id, name } of renditions) {
      if (inLadder.size === 0 ? name === SOURCE_RENDITION : inLadder.has(name)) edges.push([id, node.id]);
    }
  }

  const ordered = [...restreams].sort((one, other) => urgency(one) - urgency(other) || one.id - other.id);
  const shown = ordered.length > RESTREAMS_SHOWN ? ordered.slice(0, RESTREAMS_SHOWN - 1) : ordered;
  for (const restream of shown) {
    const node: RestreamNode = { kind: "restream", id: `restream/${restream.id}`, restream };
    outputs.push(node);
    const name = renditionOf(restream);
    edges.push([known.has(name) ? renditionId(name) : source.id, node.id]);
  }
  if (ordered.length > shown.length) {
    const node: MoreNode = { kind: "more", id: "more", count: ordered.length - shown.length };
    outputs.push(node);
    edges.push([renditions[0]?.id ?? source.id, node.id]);
  }
  return { source, renditions, outputs, edges };
}

/** The rendition that a restream takes, as the server names it. */
export function renditionOf({ status }: Restream): string {
  return status.rendition;
}

/** What people call a rendition: its own name, or that of the wish that it was made for beside the ladder. */
export function renditionLabel(name: string, restreams: Restream[], status: RenditionStatus | undefined): string {
  const wishes = new Set<string>();
  for (const restream of restreams) {
    const { rendition } = restream;
    if (rendition && typeof rendition !== "string" && renditionOf(restream) === name) wishes.add(rendition.name);
  }
  if (name === SOURCE_RENDITION) return name;
  return [...wishes].join(", ") || status?.label || name;
}

function renditionsOf(stream: Stream, restreams: Restream[], ladder: Rendition[]): RenditionNode[] {
  const running = new Map(stream.status.renditions.map((status) => [status.name, status]));
  const wanted = new Map<string, Rendition | undefined>(ladder.map((rendition) => [rendition.name, rendition]));
  for (const restream of restreams) {
    const { rendition } = restream;
    const name = renditionOf(restream);
    if (rendition && typeof rendition !== "string" && name !== SOURCE_RENDITION && !wanted.has(name)) wanted.set(name, rendition);
  }
  const takesSource = ladder.length === 0 || restreams.some((restream) => renditionOf(restream) === SOURCE_RENDITION);
  const names = new Set<string>([...(takesSource || running.has(SOURCE_RENDITION) ? [SOURCE_RENDITION] : []), ...wanted.keys(), ...running.keys()]);
  return [...names].map((name) => {
    const status = running.get(name);
    const asked = wanted.get(name);
    const label = renditionLabel(name, restreams, status);
    return { kind: "rendition", id: renditionId(name), name, label, status, wanted: asked, passthrough: asked ? Boolean(asked.passthrough) : name === SOURCE_RENDITION };
  });
}

const URGENCY: Record<string, number> = { error: 0, connecting: 1, streaming: 2, awaiting_stream: 3, stopped: 4 };
function urgency({ status }: Restream): number {
  return status.failing_since ? 0 : (URGENCY[status.state] ?? 4);
}
