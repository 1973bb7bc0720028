// The one connection of a browser to the server, whatever the number of pages: a browser opens six to a host, for all of them
// together. It runs in a worker that the pages share, or in the page itself where there is none.

import type { LiveDelta, LiveSnapshot } from "../api/types";
import { followEvents } from "./server_sent";

/** What a page says. `watch` again every few seconds: who is gone without a word is forgotten. */
export type Said = { say: "watch"; session: string } | { say: "leave" };

/** What it is told. `joined` comes before all else: what was told earlier has been missed. */
export type Told = { tell: "joined" } | { tell: "open" } | { tell: "lost" } | { tell: "heard"; type: string; data: string };

export const SAID_EVERY_MS = 10_000;
/** Two that were missed, and a page that draws. */
const SILENT_MS = 25_000;

/** As much of a `MessagePort` as is used. */
export interface Page {
  postMessage(told: Told): void;
  onmessage: ((message: MessageEvent<Said>) => void) | null;
}

export type Follow = typeof followEvents;

export class Relay {
  /** Who watches, and when it last said so. */
  private readonly pages = new Map<Page, number>();
  private readonly board = new ToldBoard();
  private session: string | undefined;
  private end: (() => void) | undefined;
  private isOpen = false;
  private lastEventId: string | undefined;
  private sweeping: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly followServer: Follow = followEvents, private readonly now: () => number = Date.now) {}

  accept(page: Page): void {
    page.onmessage = ({ data }) => (data.say === "watch" ? this.watch(page, data.session) : this.leave(page));
  }

  private watch(page: Page, session: string): void {
    // Somebody else has logged in: what was let in for the one before is no longer followed.
    if (this.session !== session) this.hangUp();
    this.session = session;
    const joins = !this.pages.has(page);
    this.pages.set(page, this.now());
    this.sweeping ??= setInterval(() => this.sweep(), SAID_EVERY_MS);
    this.end ??= this.connect();
    if (!joins) return;
    page.postMessage({ tell: "joined" });
    if (!this.isOpen) return;
    page.postMessage({ tell: "open" });
    const snapshot = this.board.snapshot();
    if (snapshot) page.postMessage({ tell: "heard", type: "snapshot", data: snapshot });
  }

  private leave(page: Page): void {
    this.pages.delete(page);
    if (this.pages.size === 0) this.hangUp();
  }

  /** Gone are also pages whose process died. */
  private sweep(): void {
    for (const [page, saidAt] of this.pages) if (this.now() - saidAt > SILENT_MS) this.leave(page);
  }

  private connect(): () => void {
    return this.followServer("/api/v1/live?events=true", {
      lastId: () => this.lastEventId,
      onOpen: () => {
        this.isOpen = true;
        this.tell({ tell: "open" });
      },
      onLost: () => {
        this.isOpen = false;
        this.tell({ tell: "lost" });
      },
      onMessage: ({ id, type, data }) => {
        if (type === "event") this.lastEventId = id;
        else this.board.hear(type, data);
        this.tell({ tell: "heard", type, data });
      },
    });
  }

  private hangUp(): void {
    this.end?.();
    this.end = undefined;
    this.isOpen = false;
    // Whoever comes next reads by itself what happened before.
    this.lastEventId = undefined;
    this.board.forget();
    clearInterval(this.sweeping);
    this.sweeping = undefined;
  }

  private tell(told: Told): void {
    for (const page of this.pages.keys()) page.postMessage(told);
  }
}

/** The live board as it was told so far, for a page that joins. */
class ToldBoard {
  private newest: LiveSnapshot | undefined;
  private readonly streams = new Map<number, LiveSnapshot["streams"][number]>();
  private readonly restreams = new Map<number, LiveSnapshot["restreams"][number]>();

  hear(type: string, data: string): void {
    const told = JSON.parse(data) as LiveSnapshot | LiveDelta;
    if (type === "snapshot") this.forget();
    const { streams_gone = [], restreams_gone = [] } = told as Partial<LiveDelta>;
    told.streams.forEach((each) => this.streams.set(each.id, each));
    told.restreams.forEach((each) => this.restreams.set(each.id, each));
    streams_gone.forEach((id) => this.streams.delete(id));
    restreams_gone.forEach((id) => this.restreams.delete(id));
    const { at, config_version, system } = told;
    this.newest = { at, config_version, system, streams: [], restreams: [] };
  }

  snapshot(): string | undefined {
    if (!this.newest) return undefined;
    return JSON.stringify({ ...this.newest, streams: [...this.streams.values()], restreams: [...this.restreams.values()] });
  }

  forget(): void {
    this.newest = undefined;
    this.streams.clear();
    this.restreams.clear();
  }
}
