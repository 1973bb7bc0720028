// A destination that is down is one thing that happened, however often it is tried. Pure.

import type { WeirEvent } from "../api/types";

export interface Happened {
  /** What is shown of it: the newest. */
  event: WeirEvent;
  /** Failed attempts that it stands for, itself included, and when the first was; only of an outage. */
  attempts?: number;
  since?: string;
}

const isTry = ({ from, to }: WeirEvent) => (from === "error" && to === "connecting") || (from === "connecting" && to === "error") || (from === "error" && to === "error");

/** Newest first, as they come. */
export function withOutagesAsOne(events: readonly WeirEvent[]): Happened[] {
  const all: Happened[] = [];
  const outages = new Map<string, Happened>();
  for (const event of events) {
    if (event.type !== "restream_state") {
      all.push({ event });
      continue;
    }
    const of = `${String(event["restream_id"])}/${String(event["slot"])}`;
    const outage = outages.get(of);
    const failed = event["to"] === "error" ? 1 : 0;
    if (outage && (isTry(event) || failed)) {
      // The words of a failure say more than those of an attempt.
      if (failed && outage.event["to"] !== "error") outage.event = event;
      outage.attempts = (outage.attempts ?? 0) + failed;
      outage.since = event.at;
      // Here it began.
      if (!isTry(event)) outages.delete(of);
      continue;
    }
    outages.delete(of);
    const happened: Happened = isTry(event) ? { event, attempts: failed, since: event.at } : { event };
    if (isTry(event)) outages.set(of, happened);
    all.push(happened);
  }
  return all;
}
