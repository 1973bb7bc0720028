// What was before this page was opened: the server remembers it, and graphs begin with it.

import { useEffect } from "react";
import { get } from "../api/client";
import type { Stats } from "../api/types";
import { keys, series, tellSamples } from "./history";

function keyOf(kind: "streams" | "restreams", id: number, metric: string, rendition: string | null | undefined): string | undefined {
  if (kind === "restreams") return { sent_bitrate_bps: keys.restream(id), acked_bitrate_bps: keys.acked(id) }[metric];
  if (metric.startsWith("viewers_")) return keys.viewers(id, metric.slice("viewers_".length));
  if (metric === "rendition_bitrate_bps" && rendition) return keys.rendition(id, rendition);
  return { ingest_bitrate_bps: keys.ingest(id), ingest_fps: keys.fps(id), ingest_gop_seconds: keys.gop(id), segment_late_seconds: keys.lateness(id) }[metric];
}

/** Read once; from then on the live board goes on with it. */
const read = new Set<string>();

export function usePast(kind: "streams" | "restreams", id: number): void {
  useEffect(() => {
    const what = `/${kind}/${id}/stats`;
    if (read.has(what)) return;
    read.add(what);
    get<Stats>(what).then(
      ({ from, step_seconds, series: told }) => {
        const begin = Date.parse(from) / 1000;
        for (const { metric, rendition, values } of told) {
          const key = keyOf(kind, id, metric, rendition);
          if (!key) continue;
          const samples = values.flatMap((value, at): [number, number][] => (value == null ? [] : [[begin + at * step_seconds, value]]));
          series(key).prepend(samples);
        }
        tellSamples();
      },
      // Without it graphs begin empty.
      () => read.delete(what),
    );
  }, [kind, id]);
}
