// The live board: the server tells once a second what has changed, and it is laid over what was read before.

import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import type { LiveDelta, LiveSnapshot, Load, Restream, Stream } from "../api/types";
import { sampleRestreams, sampleStreams, tellSamples } from "./history";
import { followEvents } from "./server_sent";

export interface Board {
  /** Whether the server tells us at the moment. */
  isOpen: boolean;
  /** When it last did, by our clock; 0 before the first time. */
  heardAt: number;
  load: Load | undefined;
}

let board: Board = { isOpen: false, heardAt: 0, load: undefined };
const listeners = new Set<() => void>();

function set(change: Partial<Board>): void {
  board = { ...board, ...change };
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function boardIsOpen(): boolean {
  return board.isOpen;
}

export function useBoardIsOpen(): boolean {
  return useSyncExternalStore(subscribe, () => board.isOpen);
}

export function useHeardAt(): number {
  return useSyncExternalStore(subscribe, () => board.heardAt);
}

export function useLoad(): Load | undefined {
  return useSyncExternalStore(subscribe, () => board.load);
}

/** An eye sees no difference; the page does. */
const LAID_EVERY_MS = 500;

/** Follows, and keeps the lists of streams and restreams current; returns how to end it. */
export function followBoard(client: QueryClient): () => void {
  let version: number | undefined;
  let sampledAt = 0;
  let laidAt = 0;
  let waiting: [string, LiveSnapshot | LiveDelta][] = [];
  let timer: number | undefined;
  const end = followEvents("/api/v1/live", {
    lastId: () => undefined,
    onOpen: () => undefined,
    onLost: () => set({ isOpen: false }),
    onMessage: ({ type, data }) => {
      waiting.push([type, JSON.parse(data) as LiveSnapshot | LiveDelta]);
      const left = LAID_EVERY_MS - (Date.now() - laidAt);
      if (left <= 0) layAll();
      else timer ??= window.setTimeout(layAll, left);
    },
  });

  /** Streams that change their states all at once shall not draw the page for each. */
  function layAll(): void {
    window.clearTimeout(timer);
    timer = undefined;
    laidAt = Date.now();
    const all = waiting;
    waiting = [];
    for (const [type, told] of all) {
      const now = Date.now();
      lay<Stream>(client, "streams", told.streams, type === "delta" ? (told as LiveDelta).streams_gone : undefined);
      lay<Restream>(client, "restreams", told.restreams, type === "delta" ? (told as LiveDelta).restreams_gone : undefined);
      // Somebody changed what is stored: what the board does not carry is read anew.
      if (version !== told.config_version) {
        const isFirst = version === undefined;
        version = told.config_version;
        if (!isFirst) for (const key of ["streams", "restreams", "destinations", "ladders", "users", "apikeys"]) void client.invalidateQueries({ queryKey: [key] });
      }
      // Changes of state are told between the seconds, too.
      if (now - sampledAt > 900) {
        sampledAt = now;
        const at = Date.parse(told.at) / 1000;
        sampleStreams(client.getQueryData<Stream[]>(["streams"]) ?? [], at);
        sampleRestreams(client.getQueryData<Restream[]>(["restreams"]) ?? [], at);
        tellSamples();
      }
      set({ isOpen: true, heardAt: now, load: told.system });
    }
  }

  return () => {
    end();
    window.clearTimeout(timer);
    set({ isOpen: false, heardAt: 0, load: undefined });
  };
}

interface Told {
  id: number;
  name: string;
  active: boolean;
  status: unknown;
}

/** What is told replaces what was known of it; the rest stays the same objects, so that nothing is drawn in vain. */
function lay<T extends { id: number }>(client: QueryClient, key: string, told: Told[], gone: number[] | undefined): void {
  // Not read yet: what is on its way has it all.
  if (!client.getQueryData([key]) || (told.length === 0 && !gone?.length)) return;
  const byId = new Map(told.map((each) => [each.id, each]));
  let unknown = byId.size;
  client.setQueryData<T[]>([key], (known) => {
    if (!known) return known;
    const left = gone?.length ? known.filter(({ id }) => !gone.includes(id)) : known;
    return left.map((each) => {
      const news = byId.get(each.id);
      if (!news) return each;
      unknown--;
      return { ...each, name: news.name, active: news.active, status: news.status } as unknown as T;
    });
  });
  if (unknown > 0) void client.invalidateQueries({ queryKey: [key] });
}
