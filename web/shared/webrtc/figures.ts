// The figures of a connection's last second. The browser counts from the beginning; this file takes the difference.

/** A counter that the browser keeps, or a text. */
type Entry = Record<string, unknown> & { id: string; type: string };

/** What a viewer sees and hears of a connection. What the browser does not tell is undefined. */
export interface Figures {
  bitrateBps?: number | undefined;
  fps?: number | undefined;
  width?: number | undefined;
  height?: number | undefined;
  rttMs?: number | undefined;
  lossPercent?: number | undefined;
  /** Since the beginning. */
  freezes?: number | undefined;
  frozenMs?: number | undefined;
  /** How long a picture waits for those that were late or lost. */
  jitterBufferMs?: number | undefined;
  /** `udp` or `tcp`. */
  transport?: string | undefined;
  codecs: string[];
  /** Pictures decoded, or encoded, since the beginning. */
  pictures: number;
  /** Bytes since the beginning, of pictures and sound. */
  bytes: number;
  /** Of what is sent: what keeps the encoder from more, `cpu` or `bandwidth`. */
  limit?: string | undefined;
}

/** Counters at one moment. */
export interface Counted {
  at: number;
  entries: Entry[];
}

export async function count(peer: RTCPeerConnection): Promise<Counted> {
  const entries: Entry[] = [];
  (await peer.getStats()).forEach((entry: Entry) => entries.push(entry));
  return { at: performance.now(), entries };
}

/** Of what is received. */
export function receivedFigures(now: Counted, before: Counted | undefined): Figures {
  const [picture, sound] = rtp(now, "inbound-rtp");
  const [was, wasSound] = rtp(before, "inbound-rtp");
  const lost = change(picture, was, "packetsLost") + change(sound, wasSound, "packetsLost");
  const received = change(picture, was, "packetsReceived") + change(sound, wasSound, "packetsReceived");
  const emitted = change(picture, was, "jitterBufferEmittedCount");
  return {
    ...both(now, before, "bytesReceived", [picture, sound], [was, wasSound]),
    fps: number(picture, "framesPerSecond"),
    width: number(picture, "frameWidth"),
    height: number(picture, "frameHeight"),
    rttMs: milliseconds(number(pairOf(now), "currentRoundTripTime")),
    lossPercent: before && lost + received > 0 ? Math.max(0, (100 * lost) / (lost + received)) : undefined,
    freezes: number(picture, "freezeCount"),
    frozenMs: milliseconds(number(picture, "totalFreezesDuration")),
    jitterBufferMs: emitted > 0 ? milliseconds(change(picture, was, "jitterBufferDelay") / emitted) : undefined,
    pictures: number(picture, "framesDecoded") ?? 0,
  };
}

/** Of what is sent; loss and round trip are what the far end reports. */
export function sentFigures(now: Counted, before: Counted | undefined): Figures {
  const [picture, sound] = rtp(now, "outbound-rtp");
  const [was, wasSound] = rtp(before, "outbound-rtp");
  const report = rtp(now, "remote-inbound-rtp")[0];
  const lost = number(report, "fractionLost");
  const limit = picture?.["qualityLimitationReason"];
  return {
    ...both(now, before, "bytesSent", [picture, sound], [was, wasSound]),
    fps: number(picture, "framesPerSecond"),
    width: number(picture, "frameWidth"),
    height: number(picture, "frameHeight"),
    rttMs: milliseconds(number(report, "roundTripTime") ?? number(pairOf(now), "currentRoundTripTime")),
    lossPercent: lost === undefined ? undefined : 100 * lost,
    limit: typeof limit === "string" && limit !== "none" ? limit : undefined,
    pictures: number(picture, "framesEncoded") ?? 0,
  };
}

/** What figures of both directions have in common. */
function both(now: Counted, before: Counted | undefined, counter: string, [picture, sound]: Pair, [was, wasSound]: Pair) {
  const seconds = before ? (now.at - before.at) / 1_000 : 0;
  const bits = 8 * (change(picture, was, counter) + change(sound, wasSound, counter));
  return {
    bitrateBps: seconds > 0 ? bits / seconds : undefined,
    bytes: (number(picture, counter) ?? 0) + (number(sound, counter) ?? 0),
    transport: transportOf(now),
    codecs: [picture, sound].flatMap((one) => codecOf(now, one)),
  };
}

type Pair = readonly [Entry | undefined, Entry | undefined];

/** The picture's entry of a kind, and the sound's. */
function rtp(counted: Counted | undefined, type: string): Pair {
  const of = (kind: string) => counted?.entries.find((entry) => entry.type === type && entry["kind"] === kind);
  return [of("video"), of("audio")];
}

/** The way that media takes. */
function pairOf({ entries }: Counted): Entry | undefined {
  const chosen = entries.find(({ type }) => type === "transport")?.["selectedCandidatePairId"];
  return entries.find(({ id, type, nominated }) => type === "candidate-pair" && (chosen === undefined ? nominated === true : id === chosen));
}

function transportOf(counted: Counted): string | undefined {
  const local = pairOf(counted)?.["localCandidateId"];
  const protocol = counted.entries.find(({ id }) => id === local)?.["protocol"];
  return typeof protocol === "string" ? protocol : undefined;
}

function codecOf({ entries }: Counted, of: Entry | undefined): string[] {
  const mime = entries.find(({ id }) => id === of?.["codecId"])?.["mimeType"];
  return typeof mime === "string" ? [mime.replace(/^\w+\//, "").replace(/^opus$/i, "Opus").replace(/^H(26\d)$/, "H.$1")] : [];
}

function number(entry: Entry | undefined, name: string): number | undefined {
  const value = entry?.[name];
  return typeof value === "number" ? value : undefined;
}

/** How far a counter has come. One that began anew has come as far as it says. */
function change(now: Entry | undefined, before: Entry | undefined, name: string): number {
  const value = number(now, name) ?? 0;
  const was = now?.id === before?.id ? (number(before, name) ?? 0) : 0;
  return value - was;
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : 1_000 * seconds;
}
