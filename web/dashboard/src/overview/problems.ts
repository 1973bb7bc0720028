// What needs somebody, worst first. Pure: from what the server says to what an operator reads.

import type { Restream, Stream, StreamState, Webhook } from "../api/types";
import { groupBy } from "../group";
import { renditionLabel } from "../streams/flow_layout";
import { t } from "../text";

export interface Trouble {
  key: string;
  /** 2 is down, 1 is at risk. */
  weight: 1 | 2;
  /** Where more is said of it. */
  to: string;
  /** Of which stream; none of the machine's own troubles. */
  stream?: Stream;
  restream?: Restream;
  title: string;
  reason: string;
  /** Since when, where that is known. */
  since?: string;
}

export function troublesOf(streams: Stream[], restreams: Restream[]): Trouble[] {
  const byId = new Map(streams.map((stream) => [stream.id, stream]));
  const troubles: Trouble[] = [];
  for (const stream of streams) {
    const { id, status: { state, reason, since, warnings, renditions } } = stream;
    const of = { to: `/streams/${id}`, stream, title: stream.name };
    if ((state as StreamState) === "stalled" || (state as StreamState) === "failed") {
      troubles.push({ ...of, key: `stream/${id}`, weight: 2, reason: reason?.message ?? t.overview.reasons[state] ?? state, since });
    }
    for (const warning of warnings) {
      troubles.push({ ...of, key: `stream/${id}/${warning.code}`, weight: 1, reason: warning.message, since: warning.since });
    }
    for (const rendition of renditions) {
      const said = t.overview.renditions[rendition.state];
      if (!said || !stream.status.live) continue;
      const weight = rendition.state === "failed" ? 2 : 1;
      const label = renditionLabel(rendition.name, restreams.filter(({ stream_id }) => stream_id === id), rendition);
      troubles.push({ ...of, key: `stream/${id}/rendition/${rendition.name}`, weight, reason: [said(label), rendition.reason].filter(Boolean).join(": ") });
    }
  }
  for (const restream of restreams) {
    const stream = byId.get(restream.stream_id);
    if (!stream) continue;
    const { reason, failing_since, backup } = restream.status;
    const of = { to: `/streams/${stream.id}`, stream, restream };
    if (failing_since) {
      troubles.push({ ...of, key: `restream/${restream.id}`, weight: 2, title: restream.name, reason: reason?.message ?? t.overview.tryingAgain, since: failing_since });
    } else if (backup?.failing_since) {
      troubles.push({ ...of, key: `restream/${restream.id}/backup`, weight: 1, title: t.overview.backupOf(restream.name), reason: backup.reason?.message ?? t.overview.tryingAgain, since: backup.failing_since });
    }
  }
  return inOrderOfHarm(troubles);
}

/** From so many on, a destination that is down is one trouble: the rows would say the same. */
const TOGETHER_FROM = 3;

/** Restreams that fail at one host as one row. */
export function byHost(troubles: Trouble[]): Trouble[] {
  const hostOf = ({ weight, restream }: Trouble) => (weight === 2 && restream ? (/^\w+:\/\/([^/?]+)/.exec(restream.uri ?? "")?.[1] ?? `${restream.destination_id}`) : undefined);
  const groups = groupBy(troubles, hostOf);
  const together = new Set<string>();
  return troubles.flatMap((trouble) => {
    const host = hostOf(trouble);
    const group = groups.get(host) ?? [];
    if (host === undefined || group.length < TOGETHER_FROM) return [trouble];
    if (together.has(host)) return [];
    together.add(host);
    const reason = group.find(({ restream }) => restream?.status.reason)?.reason ?? trouble.reason;
    const since = group.map((each) => each.since ?? "").sort()[0];
    return [{ key: `host/${host}`, weight: 2 as const, to: "/restreams?state=error", title: t.overview.together(group.length, group[0]?.restream?.uri ? host : ""), reason, ...(since ? { since } : {}) }];
  });
}

/** What is wrong beside the streams: a machine that is full, and programs that do not take what they are told. */
export function troublesAround(busySince: number | undefined, webhooks: Webhook[], now: number): Trouble[] {
  const troubles: Trouble[] = [];
  if (busySince !== undefined && now - busySince >= BUSY_MS) {
    troubles.push({ key: "cpu", weight: 1, to: "/system", title: t.system.cpu, reason: t.overview.busy, since: new Date(busySince).toISOString() });
  }
  for (const { id, url, status: { failed_attempts, failure } } of webhooks) {
    if (failed_attempts > 0) troubles.push({ key: `webhook/${id}`, weight: 1, to: "/webhooks", title: t.overview.webhook(url), reason: failure ?? t.states.error });
  }
  return troubles;
}

/** A moment at full load is nothing. */
const BUSY_MS = 5_000;

/** Nothing counts that changes while a trouble lasts: rows that jump are clicked wrongly. */
export function inOrderOfHarm(troubles: Trouble[]): Trouble[] {
  return troubles.sort((one, other) => other.weight - one.weight || (other.since ?? "").localeCompare(one.since ?? "") || one.key.localeCompare(other.key));
}

const ORDER: Record<StreamState, number> = { failed: 0, stalled: 0, starting: 2, live: 3, offline: 4 };

/** Problems first, then what is live, then what is not. */
export function inOrder(streams: Stream[], restreams: Restream[]): Stream[] {
  const inTrouble = new Set(troublesOf(streams, restreams).map(({ stream }) => stream?.id));
  const rank = ({ id, status }: Stream) => {
    const order = ORDER[status.state as StreamState] ?? 4;
    return inTrouble.has(id) ? Math.min(order, 1) : order;
  };
  return [...streams].sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name, "en", { numeric: true }));
}

/** In an outage, an attempt to end it included. */
export function isFailing({ status }: Restream): boolean {
  return status.failing_since != null;
}

export function viewersOf({ status: { viewers } }: Stream): number {
  return Object.values(viewers).reduce((sum, count) => sum + count, 0);
}
