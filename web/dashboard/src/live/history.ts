// The last quarter of an hour of every figure, second by second: what sparklines and graphs draw. Seen by this page, and
// before it was opened remembered by the server.

import type { Restream, Stream } from "../api/types";

/** Fifteen minutes at one sample a second. */
export const KEPT_SAMPLES = 900;

/** When, in seconds since 1970, and what; NaN where nothing was measured. */
export type Sample = [number, number];

/** Samples further apart have nothing between them: a hiccup of the network is shorter. */
export const GAP_SECONDS = 5;
/** What lies nearer to a sample is that sample, told by the other clock. */
const SAME_SECONDS = 1.5;

export class Series {
  readonly times = new Float64Array(KEPT_SAMPLES);
  readonly values = new Float64Array(KEPT_SAMPLES);
  length = 0;
  private next = 0;

  push(time: number, value: number): void {
    // A second is told once, even when two answers come within it.
    if (this.length > 0 && time <= this.lastTime) return;
    this.times[this.next] = time;
    this.values[this.next] = value;
    this.next = (this.next + 1) % KEPT_SAMPLES;
    this.length = Math.min(this.length + 1, KEPT_SAMPLES);
  }

  get lastTime(): number {
    return this.times[(this.next + KEPT_SAMPLES - 1) % KEPT_SAMPLES] ?? 0;
  }

  /** Oldest first. */
  each(visit: (time: number, value: number) => void): void {
    const first = (this.next + KEPT_SAMPLES - this.length) % KEPT_SAMPLES;
    for (let at = 0; at < this.length; at++) {
      const index = (first + at) % KEPT_SAMPLES;
      visit(this.times[index] ?? 0, this.values[index] ?? 0);
    }
  }

  /** Samples that the server remembers, where this page has seen none: before it was opened, and while nobody looked. */
  fill(samples: Sample[]): void {
    const seen: Sample[] = [];
    this.each((time, value) => seen.push([time, value]));
    let at = 0;
    const unseen = samples.filter(([time]) => {
      while (at < seen.length && (seen[at]?.[0] ?? 0) < time - SAME_SECONDS) at++;
      return (seen[at]?.[0] ?? Number.POSITIVE_INFINITY) > time + SAME_SECONDS;
    });
    const all = [...unseen, ...seen].sort(([one], [other]) => one - other).slice(-KEPT_SAMPLES);
    this.length = 0;
    this.next = 0;
    for (const [time, value] of all) this.push(time, value);
  }
}

const all = new Map<string, Series>();
const listeners = new Set<() => void>();

export const keys = {
  ingest: (stream: number) => `ingest/${stream}`,
  fps: (stream: number) => `fps/${stream}`,
  gop: (stream: number) => `gop/${stream}`,
  rendition: (stream: number, name: string) => `rendition/${stream}/${name}`,
  lateness: (stream: number) => `lateness/${stream}`,
  viewers: (stream: number, protocol: string) => `viewers/${stream}/${protocol}`,
  restream: (restream: number) => `restream/${restream}`,
  acked: (restream: number) => `acked/${restream}`,
};

export function series(key: string): Series {
  let found = all.get(key);
  if (!found) all.set(key, (found = new Series()));
  return found;
}

/** Told whenever there are new samples. */
export function onSamples(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function tellSamples(): void {
  listeners.forEach((listener) => listener());
}

/** Late segments are told by events, not by figures: by how much, and when we heard it. */
const lateness = new Map<number, [number, number]>();
const LATE_SHOWN_SECONDS = 2;

export function noteLateSegment(stream: number, waitedSeconds: number): void {
  lateness.set(stream, [waitedSeconds, Date.now() / 1000]);
}

export function sampleStreams(streams: Stream[], at: number): void {
  for (const { id, status } of streams) {
    const { ingest, renditions, viewers } = status;
    const [late, heard] = lateness.get(id) ?? [0, 0];
    if (status.live) series(keys.lateness(id)).push(at, Date.now() / 1000 - heard < LATE_SHOWN_SECONDS ? late : 0);
    series(keys.ingest(id)).push(at, ingest?.bitrate_bps ?? Number.NaN);
    if (ingest?.fps != null) series(keys.fps(id)).push(at, ingest.fps);
    if (ingest?.gop_seconds != null) series(keys.gop(id)).push(at, ingest.gop_seconds);
    for (const [protocol, count] of Object.entries(viewers)) {
      // Most streams are watched by two ways of five.
      const key = keys.viewers(id, protocol);
      if (count > 0 || all.has(key)) series(key).push(at, count);
    }
    for (const rendition of renditions) series(keys.rendition(id, rendition.name)).push(at, rendition.bitrate_bps);
  }
}

const ackedBefore = new Map<number, [number, number]>();

export function sampleRestreams(restreams: Restream[], at: number): void {
  for (const { id, status } of restreams) {
    series(keys.restream(id)).push(at, status.connected_since ? status.bitrate_bps : Number.NaN);
    const before = ackedBefore.get(id);
    if (!before || at - before[0] >= 2) {
      // What the far end acknowledged comes in lumps: over two seconds at least.
      if (before && status.acked_bytes >= before[1]) {
        series(keys.acked(id)).push(at, ((status.acked_bytes - before[1]) * 8) / (at - before[0]));
      }
      ackedBefore.set(id, [at, status.acked_bytes]);
    }
  }
}

/** The newest acknowledged bitrate, or undefined where there is none yet. */
export function ackedBps(restream: number): number | undefined {
  const found = all.get(keys.acked(restream));
  if (!found || found.length === 0) return undefined;
  let last = 0;
  found.each((_, value) => (last = value));
  return last;
}
