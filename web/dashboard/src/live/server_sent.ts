// Server-sent events over fetch. The browser's EventSource wants to know every type beforehand and says nothing of why it
// was refused; this one hands on all of them, resumes after the last, and comes back from everything.

export interface Message {
  id: string;
  type: string;
  data: string;
}

export interface Follower {
  /** Where to begin and where to go on. */
  lastId: () => string | undefined;
  onMessage: (message: Message) => void;
  onOpen: () => void;
  onLost: () => void;
}

/** 0.5 s, doubling to 5 s: a restarted server is found soon, and is not asked by all at once for long. */
const RETRY_MS = { first: 500, most: 5_000 };
/** The server says something at least every 15 s. */
const SILENCE_MS = 25_000;

/** Follows until the returned function is called. */
export function followEvents(path: string, follower: Follower): () => void {
  const ended = new AbortController();
  void (async () => {
    let wait = RETRY_MS.first;
    while (!ended.signal.aborted) {
      const opened = await followOnce(path, follower, ended.signal).catch(() => false);
      if (ended.signal.aborted) return;
      follower.onLost();
      if (opened) wait = RETRY_MS.first;
      await new Promise((resolve) => setTimeout(resolve, wait * (0.8 + 0.4 * Math.random())));
      wait = Math.min(wait * 2, RETRY_MS.most);
    }
  })();
  return () => ended.abort();
}

async function followOnce(path: string, { lastId, onMessage, onOpen }: Follower, ended: AbortSignal): Promise<boolean> {
  const cut = new AbortController();
  const abort = () => cut.abort();
  ended.addEventListener("abort", abort);
  let silence = setTimeout(abort, SILENCE_MS);
  let opened = false;
  try {
    const last = lastId();
    const headers: Record<string, string> = { accept: "text/event-stream", ...(last ? { "last-event-id": last } : {}) };
    const response = await fetch(path, { headers, credentials: "same-origin", signal: cut.signal, cache: "no-store" });
    if (!response.ok || !response.body) return false;
    opened = true;
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser(onMessage);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return opened;
      clearTimeout(silence);
      silence = setTimeout(abort, SILENCE_MS);
      parser.feed(value);
    }
  } catch {
    return opened;
  } finally {
    clearTimeout(silence);
    ended.removeEventListener("abort", abort);
  }
}

/** https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream, as far as our server writes it. */
export class Parser {
  private rest = "";
  private id = "";
  private type = "message";
  private data: string[] = [];

  constructor(private readonly onMessage: (message: Message) => void) {}

  feed(text: string): void {
    const lines = (this.rest + text).split(/\r?\n/);
    this.rest = lines.pop() ?? "";
    lines.forEach((line) => this.line(line));
  }

  private line(line: string): void {
    if (line === "") {
      if (this.data.length > 0) this.onMessage({ id: this.id, type: this.type, data: this.data.join("\n") });
      this.type = "message";
      this.data = [];
      return;
    }
    const colon = line.indexOf(":");
    // A comment: the server is alive, nothing more.
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") this.id = value;
    else if (field === "event") this.type = value;
    else if (field === "data") this.data.push(value);
  }
}
