// What was before this page was opened: the server remembers it, seconds for a quarter of an hour and ten seconds for a day.

import { useQueries } from "@tanstack/react-query";
import { useEffect } from "react";
import { get } from "../api/client";
import type { Stats } from "../api/types";
import { isAwake, onAwake, useAwake } from "./awake";
import { KEPT_SAMPLES, keys, type Sample, series, tellSamples } from "./history";

export interface Subject {
  kind: "streams" | "restreams";
  id: number;
}

/** The server's coarse step: nothing is newer sooner. */
const STEP_MS = 10_000;
/** A graph is some hundreds of pixels wide: what moves it by less than one need not be asked for. */
const GRAPH_PIXELS = 360;

function keyOf({ kind, id }: Subject, metric: string, rendition: string | null | undefined): string | undefined {
  if (kind === "restreams") return { sent_bitrate_bps: keys.restream(id), acked_bitrate_bps: keys.acked(id) }[metric];
  if (metric.startsWith("viewers_")) return keys.viewers(id, metric.slice("viewers_".length));
  if (metric === "rendition_bitrate_bps" && rendition) return keys.rendition(id, rendition);
  return { ingest_bitrate_bps: keys.ingest(id), ingest_fps: keys.fps(id), ingest_gop_seconds: keys.gop(id), segment_late_seconds: keys.lateness(id) }[metric];
}

/** Its series by the keys that graphs know them by. */
function samplesOf(subject: Subject, { from, step_seconds, series: told }: Stats): [string, Sample[]][] {
  const begin = Date.parse(from) / 1000;
  return told.flatMap(({ metric, rendition, values }): [string, Sample[]][] => {
    const key = keyOf(subject, metric, rendition);
    const samples = values.map((value, at): Sample => [begin + at * step_seconds, value ?? Number.NaN]);
    return key ? [[key, samples]] : [];
  });
}

/** Reads what was before, and what was while nobody looked; in between the live board goes on with it. */
export function usePast(kind: Subject["kind"], id: number): void {
  const awake = useAwake();
  useEffect(() => {
    if (awake) void readPast({ kind, id }, KEPT_SAMPLES);
  }, [kind, id, awake]);
}

/** How far back each is known, and since which look at the page: while nobody looked, nothing was seen. */
const read = new Map<string, { seconds: number; looks: number }>();
let looks = 0;
onAwake(() => isAwake() && looks++);

/** One after the other: a page of fifty tiles takes no more than one of a browser's six connections for them. */
let last: Promise<void> = Promise.resolve();

export function readPast({ kind, id }: Subject, seconds: number): Promise<void> {
  const what = `/${kind}/${id}/stats`;
  const before = read.get(what);
  if (before && before.looks === looks && before.seconds >= seconds) return Promise.resolve();
  read.set(what, { seconds, looks });
  const since = seconds < KEPT_SAMPLES ? `?since=${new Date(Date.now() - seconds * 1000).toISOString()}` : "";
  last = last.then(async () => {
    try {
      for (const [key, samples] of samplesOf({ kind, id }, await get<Stats>(what + since))) series(key).fill(samples);
      tellSamples();
    } catch {
      // Without it graphs begin empty.
      read.delete(what);
    }
  });
  return last;
}

/** The last hours, as the server keeps them; undefined for a span that this page has by itself, second by second. */
export function useLongPast(subjects: Subject[], seconds: number): ReadonlyMap<string, Sample[]> | undefined {
  const isLong = seconds > KEPT_SAMPLES;
  const past = useQueries({
    queries: (isLong ? subjects : []).map((subject) => ({
      queryKey: ["past", subject.kind, subject.id, seconds],
      queryFn: async () => {
        const since = new Date(Date.now() - seconds * 1000).toISOString();
        return samplesOf(subject, await get<Stats>(`/${subject.kind}/${subject.id}/stats?since=${since}`));
      },
      refetchInterval: Math.max(STEP_MS, (seconds * 1000) / GRAPH_PIXELS),
    })),
    combine: joined,
  });
  return isLong ? past : undefined;
}

/** One function for all renders: what it made is made again only when an answer has changed. */
function joined(answers: { data: [string, Sample[]][] | undefined }[]): ReadonlyMap<string, Sample[]> {
  return new Map(answers.flatMap(({ data }) => data ?? []));
}
