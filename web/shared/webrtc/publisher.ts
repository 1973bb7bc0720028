// Publishes by WHIP for as long as somebody wants to: what a camera or a screen shows, and comes back by itself when the connection is lost.

import { type Address, Exchange, Refused } from "./exchange";
import { count, type Counted, type Figures, sentFigures } from "./figures";
import { againAfterMs, whenLost } from "./tries";

/** From the wish to a connection. */
const CONNECT_WITHIN_MS = 10_000;

/** Figures are of this long. */
const LOOK_MS = 1_000;

/** Answers that another attempt may change: somebody else publishes, guesses, no room, a server that starts. Others are final. */
const PASSING = [409, 429, 500, 502, 503, 504];

export interface Sending {
  videoBps: number;
  /** What gives way where there is too little: the rate of pictures, or their size. */
  keep: "detail" | "motion";
}

/** Whom a publisher tells. */
export interface PublisherTold {
  onSending: () => void;
  /** The connection is lost, or not made yet, and is tried again: why, in words where there are any. */
  onAgain: (words: string | undefined) => void;
  onFigures: (figures: Figures) => void;
  /** The server refuses it, whoever asks how often. */
  onRefused: (status: number, words: string) => void;
}

export class WhipPublisher {
  private peer: RTCPeerConnection | undefined;
  private exchange: Exchange | undefined;
  private timers: number[] = [];
  private failed = 0;
  private isEnded = false;

  constructor(
    private readonly media: MediaStream,
    private readonly address: Address,
    private readonly sending: Sending,
    private readonly told: PublisherTold,
  ) {
    void this.attempt();
  }

  /** Says goodbye. Also while the page is being left. The media are the caller's. */
  end(): void {
    this.isEnded = true;
    this.leave();
  }

  private leave(): void {
    this.timers.forEach((timer) => window.clearTimeout(timer));
    this.timers = [];
    this.exchange?.end();
    this.peer?.close();
    this.exchange = this.peer = undefined;
  }

  private async attempt(): Promise<void> {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.peer = peer;
    const isOf = () => !this.isEnded && this.peer === peer;
    for (const track of this.media.getTracks()) {
      const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [this.media] });
      if (track.kind === "video") preferH264(transceiver);
    }
    whenLost(peer, () => isOf() && this.again(undefined));
    peer.addEventListener("connectionstatechange", () => {
      if (isOf() && peer.connectionState === "connected") this.connected(peer);
    });
    this.after(CONNECT_WITHIN_MS, () => this.again(undefined));
    try {
      const exchange = await Exchange.begin(peer, this.address);
      if (!isOf()) return exchange.end();
      this.exchange = exchange;
      await limit(peer, this.sending);
    } catch (error) {
      if (!isOf()) return;
      if (!(error instanceof Refused)) return this.again(undefined);
      if (PASSING.includes(error.status)) return this.again(error.message);
      this.end();
      this.told.onRefused(error.status, error.message);
    }
  }

  private connected(peer: RTCPeerConnection): void {
    this.timers.forEach((timer) => window.clearTimeout(timer));
    this.timers = [];
    this.failed = 0;
    this.told.onSending();
    void count(peer).then((counted) => this.look(peer, counted));
  }

  private look(peer: RTCPeerConnection, before: Counted): void {
    this.after(LOOK_MS, () => {
      void count(peer).then((counted) => {
        if (this.isEnded || this.peer !== peer) return;
        this.told.onFigures(sentFigures(counted, before));
        this.look(peer, counted);
      });
    });
  }

  private again(words: string | undefined): void {
    this.leave();
    this.told.onAgain(words);
    this.after(againAfterMs(this.failed++), () => void this.attempt());
  }

  private after(ms: number, then: () => void): void {
    this.timers.push(window.setTimeout(() => !this.isEnded && then(), ms));
  }
}

/** Whoever watches by HLS or by a restream needs H.264: first those of its kinds that every server reads, in mode 1. */
function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  if (!("setCodecPreferences" in transceiver) || codecs.length === 0) return;
  const rank = ({ mimeType, sdpFmtpLine }: RTCRtpCodec) => {
    if (mimeType.toLowerCase() !== "video/h264") return 2;
    return sdpFmtpLine?.includes("packetization-mode=1") ? 0 : 1;
  };
  transceiver.setCodecPreferences([...codecs].sort((one, other) => rank(one) - rank(other)));
}

/** The encoder aims at what the connection takes, up to this. */
async function limit(peer: RTCPeerConnection, { videoBps, keep }: Sending): Promise<void> {
  for (const sender of peer.getSenders()) {
    if (sender.track?.kind !== "video") continue;
    sender.track.contentHint = keep;
    const parameters = sender.getParameters();
    parameters.degradationPreference = keep === "detail" ? "maintain-resolution" : "maintain-framerate";
    for (const encoding of parameters.encodings) encoding.maxBitrate = videoBps;
    await sender.setParameters(parameters);
  }
}
