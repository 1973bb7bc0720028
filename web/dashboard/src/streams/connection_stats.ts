// A WebRTC connection's figures in words, of what is watched and of what is published.

import type { Figures } from "../../../shared/webrtc/figures";
import { bitrate, fps, milliseconds, NOTHING, seconds, size } from "../format";
import { t } from "../text";

export type Stat = [string, string];

export function connectionStats(figures: Figures | undefined): Stat[] {
  const { bitrateBps, fps: rate, width, height, rttMs, lossPercent, transport, codecs } = figures ?? { codecs: [] };
  return [
    [t.connection.transport, transport?.toUpperCase() ?? NOTHING],
    [t.connection.codecs, codecs.join(", ") || NOTHING],
    [t.rendition.size, size(width, height)],
    [t.ingest.fps, rate === undefined ? NOTHING : t.fps(fps(rate))],
    [t.connection.bitrate, bitrate(bitrateBps)],
    [t.ingest.rtt, milliseconds(rttMs)],
    [t.ingest.loss, lossPercent === undefined ? NOTHING : `${lossPercent.toFixed(1)} %`],
  ];
}

/** And what only who watches can tell. */
export function watchedStats(figures: Figures | undefined): Stat[] {
  const { freezes, frozenMs, jitterBufferMs } = figures ?? {};
  return [
    ...connectionStats(figures),
    [t.connection.jitterBuffer, milliseconds(jitterBufferMs)],
    [t.connection.freezes, freezes === undefined ? NOTHING : t.connection.frozen(freezes, seconds((frozenMs ?? 0) / 1_000))],
  ];
}
