// The server's word that this player is a preview of somebody who is logged in: what looks on does not count as a viewer.

import { get } from "../api/client";

interface Pass {
  pass: string;
  expires_at: string;
}

/** Before it ends, by a clock that may differ from the server's. */
const ANEW_SHARE = 0.5;
/** A server that is away comes back. */
const AGAIN_MS = 30_000;

/** Playlists and offers tell who watches; nothing else needs it. */
const HEADER = "weir-preview";

export class PreviewPass {
  readonly fetched: Promise<void>;
  private pass: string | undefined;
  private timer = 0;
  private ended = false;

  constructor(private readonly stream: number) {
    this.fetched = this.fetch();
  }

  /** For an offer of WebRTC. */
  headers(): Record<string, string> {
    return this.pass ? { [HEADER]: this.pass } : {};
  }

  show(request: XMLHttpRequest, url: string): void {
    if (!this.pass || !new URL(url, location.href).pathname.endsWith(".m3u8")) return;
    request.open("GET", url, true);
    request.setRequestHeader(HEADER, this.pass);
  }

  end(): void {
    this.ended = true;
    window.clearTimeout(this.timer);
  }

  private async fetch(): Promise<void> {
    const begun = Date.now();
    let wait = AGAIN_MS;
    try {
      const { pass, expires_at } = await get<Pass>(`/streams/${this.stream}/preview-pass`);
      this.pass = pass;
      wait = Math.max(AGAIN_MS, (Date.parse(expires_at) - begun) * ANEW_SHARE);
    } catch {
      // Without one it plays all the same, and is counted.
    }
    if (!this.ended) this.timer = window.setTimeout(() => void this.fetch(), wait);
  }
}
