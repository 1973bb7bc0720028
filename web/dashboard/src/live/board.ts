// The live board: the server tells once a second what has changed, and it is laid over what was read before.

import type { QueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import type { LiveDelta, LiveSnapshot, Load, Restream, Stream } from "../api/types";
import { sampleRestreams, sampleStreams, tellSamples } from "./history";
import type { Hearer } from "./listen";

export interface Board {
  /** Whether the server tells us at the moment. */
  isOpen: boolean;
  /** When it last did, by our clock; 0 before the first time. */
  heardAt: number;
  load: Load | undefined;
  /** Since when all cores are busy, by our clock. */
  busySince: number | undefined;
}

let board: Board = { isOpen: false, heardAt: 0, load: undefined, busySince: undefined };

/** Of all cores together; what is left is what measuring misses. */
const BUSY_PERCENT = 97;
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

export function useBusySince(): number | undefined {
  return useSyncExternalStore(subscribe, () => board.busySince);
}

/** An eye sees no difference; the page does. */
const LAID_EVERY_MS = 500;

/** What the board does when it is told something: it keeps the lists of streams and restreams current. */
export function boardHearer(client: QueryClient): Hearer & { end: () => void } {
  let version: number | undefined;
  let sampledAt = 0;
  let laidAt = 0;
  let waiting: [string, LiveSnapshot | LiveDelta][] = [];
  let timer: number | undefined;

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
      const isBusy = (told.system.cpu_percent ?? 0) >= BUSY_PERCENT;
      set({ isOpen: true, heardAt: now, load: told.system, busySince: isBusy ? (board.busySince ?? now) : undefined });
    }
  }

  return {
    onLost: () => set({ isOpen: false }),
    onRest: () => set({ isOpen: false }),
    onHeard: (type, data) => {
      if (type !== "snapshot" && type !== "delta") return;
      waiting.push([type, JSON.parse(data) as LiveSnapshot | LiveDelta]);
      const left = LAID_EVERY_MS - (Date.now() - laidAt);
      if (left <= 0) layAll();
      else timer ??= window.setTimeout(layAll, left);
    },
    end: () => {
      window.clearTimeout(timer);
      set({ isOpen: false, heardAt: 0, load: undefined, busySince: undefined });
    },
  };
}

interface Told {
  id: number;
  name: string;
  active: boolean;
  status: unknown;
}

/** What is told while a list is on its way, by list. */
const toldMeanwhile = { streams: new Set<Map<number, Told>>(), restreams: new Set<Map<number, Told>>() };

/** Reads a list, and lays over it what was told since it was asked for: an answer may be older than that. */
export async function readUnder<T extends { id: number }>(key: keyof typeof toldMeanwhile, read: () => Promise<T[]>): Promise<T[]> {
  const meanwhile = new Map<number, Told>();
  toldMeanwhile[key].add(meanwhile);
  try {
    const list = await read();
    return meanwhile.size === 0 ? list : list.map((each) => laidOver(each, meanwhile.get(each.id)));
  } finally {
    toldMeanwhile[key].delete(meanwhile);
  }
}

function laidOver<T extends { id: number }>(known: T, told: Told | undefined): T {
  return told ? { ...known, name: told.name, active: told.active, status: told.status } : known;
}

/** What is told replaces what was known of it; the rest stays the same objects, so that nothing is drawn in vain. */
function lay<T extends { id: number }>(client: QueryClient, key: keyof typeof toldMeanwhile, told: Told[], gone: number[] | undefined): void {
  for (const meanwhile of toldMeanwhile[key]) told.forEach((each) => meanwhile.set(each.id, each));
  // Not read yet: what is on its way has it all.
  if (!client.getQueryData([key]) || (told.length === 0 && !gone?.length)) return;
  const byId = new Map(told.map((each) => [each.id, each]));
  let unknown = byId.size;
  client.setQueryData<T[]>([key], (known) => {
    if (!known) return known;
    const left = gone?.length ? known.filter(({ id }) => !gone.includes(id)) : known;
    return left.map((each) => {
      const news = byId.get(each.id);
      if (news) unknown--;
      return laidOver(each, news);
    });
  });
  if (unknown > 0) void client.invalidateQueries({ queryKey: [key] });
}
