// An event in words. A type that is not known here is shown with its fields: nothing that happened is hidden.

import type { WeirEvent } from "../api/types";
import { t } from "../text";
import { type Tone, toneOf } from "../ui/state";

export interface Names {
  stream: (id: unknown) => string | undefined;
  restream: (id: unknown) => string | undefined;
}

export interface Described {
  tone: Tone;
  text: string;
  detail?: string | undefined;
}

const shown = (value: unknown): string => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));
const state = (value: unknown): string => t.states[value as "error"] ?? shown(value);

export function describe(event: WeirEvent, names: Names): Described {
  const about = (field: string) => shown(event[field]);
  switch (event.type) {
    case "stream_state":
      return { tone: toneOf(about("to")), text: t.events.streamState(state(event["to"])), detail: about("reason") || undefined };
    case "restream_state": {
      const name = names.restream(event["restream_id"]) ?? t.events.restream(about("restream_id"));
      const backup = event["slot"] === "backup" ? ` (${t.flow.slot.backup})` : "";
      return { tone: toneOf(about("to")), text: `${name}${backup}: ${state(event["to"])}`, detail: about("message") || undefined };
    }
    case "stream_warning":
      return { tone: "wait", text: about("message") || about("code") };
    case "ingest_refused":
      return { tone: "wait", text: t.events.refused, detail: [about("protocol"), about("reason"), about("remote")].filter(Boolean).join(" · ") };
    case "segment_late":
      return { tone: "wait", text: t.events.late, detail: t.events.lateBy(about("rendition"), Number(event["waited_seconds"]), Number(event["target_seconds"])) };
    case "worker_failed":
      return { tone: "bad", text: t.events.workerFailed, detail: about("reason") };
    case "rendition_planned":
      return { tone: "good", text: t.events.planned(about("rendition"), about("encoder")), detail: about("reason") };
    case "rendition_degraded":
      return { tone: "wait", text: t.events.degraded(about("rendition"), about("encoder")), detail: about("reason") };
    case "rendition_refused":
      return { tone: "bad", text: t.events.renditionRefused(about("rendition")), detail: about("reason") };
    default: {
      const text = t.events.types[event.type] ?? event.type.replaceAll("_", " ");
      const tone: Tone = /failed|full|refused|error|unhealthy/.test(event.type) ? "bad" : /degraded|warning|late/.test(event.type) ? "wait" : "idle";
      return { tone, text, detail: fieldsOf(event) || undefined };
    }
  }
}

const SAID = new Set(["id", "type", "at", "stream_id", "stream", "restream_id"]);

function fieldsOf(event: WeirEvent): string {
  return Object.entries(event)
    .filter(([name, value]) => !SAID.has(name) && value != null)
    .map(([name, value]) => `${name} ${shown(value)}`)
    .join(" · ");
}
