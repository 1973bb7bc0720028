// Watches by WHEP for as long as somebody wants to: shows pictures within three seconds or says that it can't, and comes back by itself when
// a connection that has worked is lost.

import { type Address, Exchange, Refused } from "./exchange";
import { count, type Counted, type Figures, receivedFigures } from "./figures";
import { againAfterMs, whenLost } from "./tries";

/** From the offer to the first picture, half a second less than the three in which whoever watches is to go on by HLS. */
const PICTURE_WITHIN_MS = 2_500;

/** Attempts in a row to come back. */
const ATTEMPTS_MAX = 4;

/** Figures are of this long. */
const LOOK_MS = 1_000;

/** Nothing has come for so long: the source pauses. */
const QUIET_MS = 3_000;

/** Why there will be nothing more to see. */
export type Over =
  | { kind: "refused"; status: number; words: string }
  | { kind: "unreachable" }
  /** An answer came, and no picture: mostly a network that lets neither the UDP nor the TCP port through. */
  | { kind: "no-picture" }
  /** It has worked, and does not come back. */
  | { kind: "lost" };

/** Whom a viewer tells. */
export interface ViewerTold {
  /** Pictures are shown, or where there are none, sound is heard. `notice`: what the server does not send, in its words. */
  onPlaying: (notice: string | null) => void;
  /** The connection stands, and nothing comes. */
  onQuiet: () => void;
  /** The connection was lost, and is made anew. */
  onAgain: () => void;
  onFigures: (figures: Figures) => void;
  onOver: (why: Over) => void;
}

export class WhepViewer {
  private peer: RTCPeerConnection | undefined;
  private exchange: Exchange | undefined;
  private counted: Counted | undefined;
  private timers: number[] = [];
  private hasPlayed = false;
  private failed = 0;
  private isEnded = false;

  /** `address` is asked for each attempt: what opens a stream may have been renewed. */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly address: () => Address | Promise<Address>,
    private readonly told: ViewerTold,
  ) {
    void this.attempt();
  }

  /** Says goodbye, and leaves the video empty. Also while the page is being left. */
  end(): void {
    this.isEnded = true;
    this.leave();
    this.video.srcObject = null;
  }

  private leave(): void {
    this.timers.forEach((timer) => window.clearTimeout(timer));
    this.timers = [];
    this.exchange?.end();
    this.peer?.close();
    this.exchange = this.peer = this.counted = undefined;
  }

  private async attempt(): Promise<void> {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.peer = peer;
    const stream = new MediaStream();
    for (const kind of ["video", "audio"]) stream.addTrack(peer.addTransceiver(kind, { direction: "recvonly" }).receiver.track);
    whenLost(peer, () => this.isOf(peer) && this.lost());
    try {
      const address = await this.address();
      if (!this.isOf(peer)) return;
      this.after(PICTURE_WITHIN_MS, () => void this.seenBy(peer));
      const exchange = await Exchange.begin(peer, address);
      if (!this.isOf(peer)) return exchange.end();
      this.exchange = exchange;
      this.video.srcObject = stream;
      this.whenShown(peer, exchange.notice);
      await play(this.video);
    } catch (error) {
      if (!this.isOf(peer)) return;
      if (error instanceof Refused) this.over({ kind: "refused", status: error.status, words: error.message });
      else if (this.hasPlayed) this.lost();
      else this.over({ kind: "unreachable" });
    }
  }

  /** Whether this is still the connection that counts. */
  private isOf(peer: RTCPeerConnection): boolean {
    return !this.isEnded && this.peer === peer;
  }

  private whenShown(peer: RTCPeerConnection, notice: string | null): void {
    const shown = () => this.isOf(peer) && this.playing(peer, notice);
    const hasPicture = peer.getTransceivers().some(({ currentDirection, receiver }) => receiver.track.kind === "video" && currentDirection === "recvonly");
    if (hasPicture && "requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback(shown);
    else this.video.addEventListener("playing", shown, { once: true });
  }

  private playing(peer: RTCPeerConnection, notice: string | null): void {
    this.timers.forEach((timer) => window.clearTimeout(timer));
    this.timers = [];
    this.hasPlayed = true;
    this.failed = 0;
    this.told.onPlaying(notice);
    void count(peer).then((counted) => {
      if (!this.isOf(peer)) return;
      this.counted = counted;
      this.look(peer, notice, counted.at, false);
    });
  }

  /** The time for the first picture is over. A page that nobody looks at shows none, but decodes it. */
  private async seenBy(peer: RTCPeerConnection): Promise<void> {
    const decoded = receivedFigures(await count(peer), undefined);
    if (!this.isOf(peer)) return;
    if (decoded.pictures > 0) this.playing(peer, this.exchange?.notice ?? null);
    else if (this.hasPlayed) this.lost();
    else this.over({ kind: "no-picture" });
  }

  /** Once a second: figures, and whether anything comes. */
  private look(peer: RTCPeerConnection, notice: string | null, heardAt: number, wasQuiet: boolean): void {
    this.after(LOOK_MS, () => {
      void count(peer).then((counted) => {
        if (!this.isOf(peer)) return;
        const figures = receivedFigures(counted, this.counted);
        const before = this.counted ? receivedFigures(this.counted, undefined).bytes : 0;
        this.counted = counted;
        const at = figures.bytes > before ? counted.at : heardAt;
        const isQuiet = counted.at - at > QUIET_MS;
        if (isQuiet && !wasQuiet) this.told.onQuiet();
        if (!isQuiet && wasQuiet) this.told.onPlaying(notice);
        this.told.onFigures(figures);
        this.look(peer, notice, at, isQuiet);
      });
    });
  }

  private lost(): void {
    this.leave();
    if (!this.hasPlayed) return this.over({ kind: "no-picture" });
    if (this.failed >= ATTEMPTS_MAX) return this.over({ kind: "lost" });
    this.told.onAgain();
    this.after(againAfterMs(this.failed++), () => void this.attempt());
  }

  private over(why: Over): void {
    this.end();
    this.told.onOver(why);
  }

  private after(ms: number, then: () => void): void {
    this.timers.push(window.setTimeout(() => !this.isEnded && then(), ms));
  }
}

/** Browsers start a video with sound only for who has touched the page: then it starts without. */
async function play(video: HTMLVideoElement): Promise<void> {
  try {
    await video.play();
  } catch (error) {
    // Another one took its place meanwhile.
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError" || video.muted) return;
    video.muted = true;
    await video.play().catch(() => undefined);
  }
}
