// Figures of what is played, for who wants to know why it looks as it does.

import type Hls from "hls.js";
import type { Figures } from "../../shared/webrtc/figures";

/** A name and its value in words. */
export type Stat = [string, string];

const NOTHING = "–";

function said(value: number | undefined, unit: string, digits = 0): string {
  return value === undefined || !Number.isFinite(value) ? NOTHING : `${value.toFixed(digits)} ${unit}`;
}

function bitrate(bps: number | undefined): string {
  return bps !== undefined && bps < 1e6 ? said(bps / 1e3, "kbps") : said(bps === undefined ? undefined : bps / 1e6, "Mbps", 2);
}

function size(width: number | undefined, height: number | undefined): string {
  return width && height ? `${width}×${height}` : NOTHING;
}

export function statsOfWebrtc(figures: Figures | undefined): Stat[] {
  const { bitrateBps, fps, width, height, rttMs, lossPercent, freezes, frozenMs, jitterBufferMs, transport, codecs } = figures ?? { codecs: [] };
  return [
    ["Way", `WebRTC${transport ? `, ${transport.toUpperCase()}` : ""}`],
    ["Codecs", codecs.join(", ") || NOTHING],
    ["Resolution", size(width, height)],
    ["Frame rate", said(fps, "fps")],
    ["Bitrate", bitrate(bitrateBps)],
    ["Round trip", said(rttMs, "ms")],
    ["Loss", said(lossPercent, "%", 1)],
    ["Jitter buffer", said(jitterBufferMs, "ms")],
    ["Freezes", freezes === undefined ? NOTHING : freezes === 0 ? "none" : `${freezes}, ${said((frozenMs ?? 0) / 1_000, "s", 1)}`],
  ];
}

export function statsOfHls(video: HTMLVideoElement, hls: Hls, isLowLatency: boolean): Stat[] {
  const level = hls.levels[hls.currentLevel];
  const { droppedVideoFrames, totalVideoFrames } = video.getVideoPlaybackQuality();
  const { buffered, currentTime } = video;
  const ahead = buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : undefined;
  return [
    ["Way", isLowLatency ? "LL-HLS" : "HLS"],
    ["Codecs", [level?.videoCodec, level?.audioCodec].filter(Boolean).join(", ") || NOTHING],
    ["Resolution", size(video.videoWidth, video.videoHeight)],
    ["Frame rate", said(level?.frameRate || undefined, "fps")],
    ["Bitrate", bitrate(level?.bitrate)],
    ["Line", bitrate(hls.bandwidthEstimate)],
    ["Buffer", said(ahead, "s", 1)],
    ["Dropped frames", totalVideoFrames > 0 ? `${droppedVideoFrames} of ${totalVideoFrames}` : NOTHING],
  ];
}
