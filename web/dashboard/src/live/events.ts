// What happened, as it happens.

import { useSyncExternalStore } from "react";
import { get } from "../api/client";
import type { List, WeirEvent } from "../api/types";
import type { Hearer } from "./listen";

/** Shown at most; the server keeps more. */
const KEPT_EVENTS = 1_000;
/** What the server gives at once, at most. */
const PAGE_EVENTS = 500;

export type Connection = "connecting" | "open" | "lost";

let events: readonly WeirEvent[] = [];
let connection: Connection = "connecting";
const listeners = new Set<() => void>();
const hearers = new Set<(event: WeirEvent) => void>();

function tell(): void {
  listeners.forEach((listener) => listener());
}

function setConnection(next: Connection): void {
  if (connection === next) return;
  connection = next;
  tell();
}

let reading: Promise<void> | undefined;
let heardMeanwhile: WeirEvent[] = [];

function heard(event: WeirEvent): void {
  if (reading) heardMeanwhile.push(event);
  else add(event);
}

function add(event: WeirEvent): void {
  if (event.id <= (events[0]?.id ?? 0)) return;
  events = [event, ...events].slice(0, KEPT_EVENTS);
  hearers.forEach((hear) => hear(event));
  tell();
}

/** Tells this page of events as they happen; what was before is read when it joins. */
export function eventsHearer(): Hearer & { end: () => void } {
  return {
    onJoined: () => {
      reading ??= readMissed().finally(() => {
        reading = undefined;
        heardMeanwhile.splice(0).forEach(add);
      });
    },
    onOpen: () => setConnection("open"),
    onLost: () => setConnection("lost"),
    onRest: () => setConnection("connecting"),
    onHeard: (type, data) => {
      if (type === "event") heard(JSON.parse(data) as WeirEvent);
    },
    end: () => {
      events = [];
      setConnection("connecting");
    },
  };
}

/** The newest that the page shows, as far as it does not have them: however many the server keeps. */
async function readMissed(): Promise<void> {
  try {
    const newest = events[0]?.id ?? 0;
    const missed: WeirEvent[] = [];
    let before = "";
    while (missed.length < KEPT_EVENTS) {
      const answer: List<WeirEvent> = await get(`/events?newest_first=true&limit=${PAGE_EVENTS}${before}`);
      const unknown = answer.items.filter(({ id }) => id > newest);
      missed.push(...unknown);
      if (!answer.next_cursor || unknown.length < answer.items.length) break;
      before = `&before=${answer.next_cursor}`;
    }
    events = [...missed, ...events].slice(0, KEPT_EVENTS);
    tell();
  } catch {
    // The connection will say that there is none.
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Newest first. */
export function useEvents(): readonly WeirEvent[] {
  return useSyncExternalStore(subscribe, () => events);
}

export function useConnection(): Connection {
  return useSyncExternalStore(subscribe, () => connection);
}

export function onEvent(hear: (event: WeirEvent) => void): () => void {
  hearers.add(hear);
  return () => hearers.delete(hear);
}
