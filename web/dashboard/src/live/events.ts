// What happened, as it happens: one connection for the whole page.

import { useSyncExternalStore } from "react";
import { get } from "../api/client";
import type { List, WeirEvent } from "../api/types";
import { followEvents } from "./server_sent";

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

function heard(event: WeirEvent): void {
  if (event.id <= (events[0]?.id ?? 0)) return;
  events = [event, ...events].slice(0, KEPT_EVENTS);
  hearers.forEach((hear) => hear(event));
  tell();
}

/** Reads what was, then follows; returns how to end it. */
export function follow(): () => void {
  let end = () => {};
  let ended = false;
  void readBefore().finally(() => {
    if (ended) return;
    end = followEvents("/api/v1/events/stream", {
      lastId: () => events[0]?.id.toString(),
      onMessage: ({ data }) => heard(JSON.parse(data) as WeirEvent),
      onOpen: () => setConnection("open"),
      onLost: () => setConnection("lost"),
    });
  });
  return () => {
    ended = true;
    end();
    events = [];
    setConnection("connecting");
  };
}

/** The newest that the page shows, however many the server keeps. */
async function readBefore(): Promise<void> {
  try {
    const known: WeirEvent[] = [];
    let before = "";
    while (known.length < KEPT_EVENTS) {
      const answer: List<WeirEvent> = await get(`/events?newest_first=true&limit=${PAGE_EVENTS}${before}`);
      known.push(...answer.items);
      if (!answer.next_cursor) break;
      before = `&before=${answer.next_cursor}`;
    }
    events = known;
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
