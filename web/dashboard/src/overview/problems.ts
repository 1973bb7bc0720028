// What needs somebody, worst first. Pure: from what the server says to what an operator reads.

import type { Restream, RestreamState, Stream, StreamState } from "../api/types";
import { t } from "../text";

export interface Trouble {
  key: string;
  /** 2 is down, 1 is at risk. */
  weight: 1 | 2;
  stream: Stream;
  restream?: Restream;
  title: string;
  reason: string;
  since: string;
}

export function troublesOf(streams: Stream[], restreams: Restream[]): Trouble[] {
  const byId = new Map(streams.map((stream) => [stream.id, stream]));
  const troubles: Trouble[] = [];
  for (const stream of streams) {
    const { state, reason, since, warnings } = stream.status;
    if ((state as StreamState) === "stalled" || (state as StreamState) === "failed") {
      troubles.push({ key: `stream/${stream.id}`, weight: 2, stream, title: stream.name, reason: reason?.message ?? t.overview.reasons[state] ?? state, since });
    }
    for (const warning of warnings) {
      troubles.push({ key: `stream/${stream.id}/${warning.code}`, weight: 1, stream, title: stream.name, reason: warning.message, since: warning.since });
    }
  }
  for (const restream of restreams) {
    const stream = byId.get(restream.stream_id);
    if (!stream) continue;
    const { state, reason, since, backup } = restream.status;
    if ((state as RestreamState) === "error") {
      troubles.push({ key: `restream/${restream.id}`, weight: 2, stream, restream, title: restream.name, reason: reason?.message ?? t.states.error, since });
    } else if (backup?.state === "error") {
      troubles.push({ key: `restream/${restream.id}/backup`, weight: 1, stream, restream, title: t.overview.backupOf(restream.name), reason: backup.reason?.message ?? t.states.error, since: backup.since });
    }
  }
  return troubles.sort((one, other) => other.weight - one.weight || other.since.localeCompare(one.since));
}

const ORDER: Record<StreamState, number> = { failed: 0, stalled: 0, starting: 2, live: 3, offline: 4 };

/** Problems first, then what is live, then what is not. */
export function inOrder(streams: Stream[], restreams: Restream[]): Stream[] {
  const inTrouble = new Set(troublesOf(streams, restreams).map(({ stream }) => stream.id));
  const rank = ({ id, status }: Stream) => {
    const order = ORDER[status.state as StreamState] ?? 4;
    return inTrouble.has(id) ? Math.min(order, 1) : order;
  };
  return [...streams].sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name, "en", { numeric: true }));
}

export function viewersOf({ status: { viewers } }: Stream): number {
  return viewers.hls + viewers.dash + viewers.webrtc + viewers.rtmp + viewers.srt;
}
