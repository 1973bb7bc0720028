// An offer for an answer over HTTP, as WHEP (watching) and WHIP (publishing) both have it: POST begins a session, PATCH tells it candidates,
// DELETE ends it.

import { iceServersOf } from "./ice_servers";

/** A server that does not answer for so long is as good as none. */
const ANSWER_WITHIN_MS = 10_000;

/** Candidates are found within moments; those that come later are not waited for. */
const CANDIDATES_WITHIN_MS = 1_000;

/** Where to post, and what else to say. */
export interface Address {
  url: string;
  headers?: Record<string, string>;
}

/** The server said no, and why. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    words: string,
  ) {
    super(words);
  }
}

export class Exchange {
  private constructor(
    private readonly session: string | undefined,
    private readonly headers: Record<string, string>,
    /** What the server says beside its answer: of a sound that it does not send. */
    readonly notice: string | null,
  ) {}

  /** Fails with [`Refused`], or where nobody answers with whatever `fetch` fails with. A peer that is closed meanwhile ends the session. */
  static async begin(peer: RTCPeerConnection, { url, headers = {} }: Address): Promise<Exchange> {
    const offer = await peer.createOffer();
    const response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/sdp" },
      body: offer.sdp ?? "",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const text = await response.text();
    if (response.status !== 201) throw new Refused(response.status, text.trim());
    const location = response.headers.get("location");
    const exchange = new Exchange(location ? new URL(location, response.url).href : undefined, headers, response.headers.get("weir-notice"));
    try {
      // The helpers are known only now: the search for ways to the server begins with the local description, so it has waited for them.
      const iceServers = iceServersOf(response.headers.get("link"));
      if (iceServers.length > 0) peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
      // Who is ICE-lite looks for nobody, and needs no candidates.
      if (!/^a=ice-lite\r?$/m.test(text)) exchange.trickle(peer, response.headers.get("etag"));
      await peer.setLocalDescription(offer);
      await peer.setRemoteDescription({ type: "answer", sdp: text });
    } catch (error) {
      exchange.end();
      throw error;
    }
    return exchange;
  }

  /** Also while the page is being left. A session that the server does not hear the end of ends by itself. */
  end(): void {
    if (this.session) void fetch(this.session, { method: "DELETE", headers: this.headers, keepalive: true }).catch(() => undefined);
  }

  /** Tells where this browser may be reached, all at once: as soon as all of it is known, or a second later. */
  private trickle(peer: RTCPeerConnection, tag: string | null): void {
    const candidates: RTCIceCandidate[] = [];
    let told = false;
    const tell = () => {
      const session = this.session;
      const text = fragmentOf(peer.localDescription?.sdp ?? "", candidates);
      if (told || !session || !text) return;
      told = true;
      const headers = { ...this.headers, "content-type": "application/trickle-ice-sdpfrag", ...(tag ? { "if-match": tag } : {}) };
      void fetch(session, { method: "PATCH", headers, body: text }).catch(() => undefined);
    };
    peer.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) candidates.push(candidate);
      else tell();
    });
    setTimeout(tell, CANDIDATES_WITHIN_MS);
  }
}

/** A fragment of SDP (RFC 8840): whose candidates, of which section, and that there are no more. */
export function fragmentOf(description: string, candidates: Pick<RTCIceCandidate, "candidate">[]): string | undefined {
  const line = (start: string) => new RegExp(`^${start}.*$`, "m").exec(description)?.[0].trim();
  const [ufrag, section, mid] = [line("a=ice-ufrag:"), line("m="), line("a=mid:")];
  if (!ufrag || !section || !mid || candidates.length === 0) return undefined;
  return [ufrag, section, mid, ...candidates.map(({ candidate }) => `a=${candidate}`), "a=end-of-candidates", ""].join("\r\n");
}
