// What was before this page was opened: the server remembers it, seconds for a quarter of an hour and ten seconds for a day.

import { useQueries } from "@tanstack/react-query";
import { useEffect } from "react";
import { get } from "../api/client";
import type { Stats } from "../api/types";
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
    const samples = values.flatMap((value, at): Sample[] => (value == null ? [] : [[begin + at * step_seconds, value]]));
    return key ? [[key, samples]] : [];
  });
}

/** Read once; from then on the live board goes on with it. */
const read = new Set<string>();

export function usePast(kind: Subject["kind"], id: number): void {
  useEffect(() => {
    const what = `/${kind}/${id}/stats`;
    if (read.has(what)) return;
    read.add(what);
    get<Stats>(what).then(
      (stats) => {
        for (const [key, samples] of samplesOf({ kind, id }, stats)) series(key).prepend(samples);
        tellSamples();
      },
      // Without it graphs begin empty.
      () => read.delete(what),
    );
  }, [kind, id]);
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
