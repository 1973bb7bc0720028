// An event in words. A type that is not known here is shown with its fields: nothing that happened is hidden.

import type { WeirEvent } from "../api/types";
import { t } from "../text";
import { type Tone, toneOf } from "../ui/state";

export interface Names {
  stream: (id: unknown) => string | undefined;
  restream: (id: unknown) => string | undefined;
  /** What people call a stream's rendition. */
  rendition?: (stream: unknown, name: string) => string | undefined;
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
  const rendition = () => names.rendition?.(event["stream_id"], about("rendition")) ?? (about("label") || about("rendition"));
  switch (event.type) {
    case "stream_state":
      return { tone: toneOf(about("to")), text: t.events.streamState(state(event["to"])), detail: about("reason") || undefined };
    case "restream_state": {
      const name = names.restream(event["restream_id"]) ?? t.events.restream(about("restream_id"));
      const backup = event["slot"] === "backup" ? ` (${t.flow.backup})` : "";
      return { tone: toneOf(about("to")), text: `${name}${backup}: ${state(event["to"])}`, detail: about("message") || undefined };
    }
    case "stream_warning":
      return { tone: "wait", text: about("message") || about("code") };
    case "restream_warning":
      return { tone: "wait", text: `${names.restream(event["restream_id"]) ?? (about("name") || t.events.restream(about("restream_id")))}: ${about("message") || about("code")}` };
    case "ingest_refused":
    case "play_refused":
    case "api_key_refused": {
      const times = Number(event["count"] ?? 1);
      const from = about("remote") ? t.events.from(about("remote")) : "";
      const text = t.events.refused[event.type as keyof typeof t.events.refused](times);
      return { tone: "wait", text, detail: [about("message"), t.protocol(about("protocol")), from].filter(Boolean).join(" · ") };
    }
    case "source_switched":
      return { tone: event["cause"] === "lost" ? "wait" : "idle", text: t.events.switched(about("to"), about("from")), detail: t.events.switchCauses[about("cause")] };
    case "source_chosen":
      return { tone: "idle", text: t.events.chosen(who(event), about("slot")) };
    case "segment_late":
      return { tone: "wait", text: t.events.late, detail: t.events.lateBy(rendition(), Number(event["waited_seconds"]), Number(event["target_seconds"])) };
    case "worker_failed":
      return { tone: "bad", text: t.events.workerFailed, detail: about("reason") };
    case "rendition_planned":
      return { tone: "good", text: t.events.planned(rendition(), about("encoder")), detail: about("reason") };
    case "rendition_degraded":
      return event["cause"] === "delay"
        ? { tone: "wait", text: t.events.isLate(rendition()) }
        : { tone: "wait", text: t.events.moved(rendition(), about("encoder")), detail: about("reason") };
    case "rendition_recovered":
      return { tone: "good", text: t.events.inTime(rendition()) };
    case "rendition_refused":
      return { tone: "bad", text: t.events.renditionRefused(rendition()), detail: about("reason") };
    case "scte35":
      return { tone: "idle", text: t.events.scte35(about("command").replaceAll("_", " ")) };
    case "configuration_reloaded": {
      const waiting = list(event["needs_restart"]);
      return { tone: waiting ? "wait" : "idle", text: t.events.reloaded, detail: [list(event["applied"]), waiting && t.events.needsRestart(waiting)].filter(Boolean).join(" · ") || undefined };
    }
    default:
      return changeOf(event) ?? otherOf(event);
  }
}

/** Somebody changed what is stored. */
function changeOf(event: WeirEvent): Described | undefined {
  const [, what = "", how = ""] = /^([a-z_]+)_(created|changed|deleted|rotated|issued|revoked)$/.exec(event.type) ?? [];
  if (!t.events.what[what]) return undefined;
  const detail = list(event["changed"]).replaceAll("_", " ");
  return { tone: "idle", text: t.events.changed(who(event), t.events.how[how] ?? how, t.events.what[what], shown(event["name"])), detail: detail || undefined };
}

const who = (event: WeirEvent): string => shown(event["by"]).replace(/^\w+:/, "") || t.events.somebody;

const list = (values: unknown): string => (Array.isArray(values) ? values.map(shown).join(", ") : "");

/** A type that is not known here is shown with what it says: nothing that happened is hidden. */
function otherOf(event: WeirEvent): Described {
  const known = t.events.types[event.type];
  const text = known ?? event.type.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
  const tone: Tone = /failed|full|refused|error|unhealthy/.test(event.type) ? "bad" : /degraded|warning|late/.test(event.type) ? "wait" : "idle";
  const said = shown(event["message"] ?? event["reason"]).replaceAll("_", " ");
  return { tone, text, detail: said || (known ? undefined : fieldsOf(event)) || undefined };
}

const SAID = new Set(["id", "type", "at", "stream_id", "stream", "restream_id"]);

function fieldsOf(event: WeirEvent): string {
  return Object.entries(event)
    .filter(([name, value]) => !SAID.has(name) && value != null)
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${shown(value)}`)
    .join(" · ");
}
