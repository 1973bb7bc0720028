// What a platform demands, held against what it would be sent: violations in words, and the rendition that mends them. Pure.

import type { Ingest, Platform, Rendition } from "../api/types";
import { codec } from "../format";
import { isSoundAlone } from "../ladders/ladders";
import { t } from "../text";

export interface Violation {
  code: string;
  /** The platform will refuse it, or only advises against it. */
  severe: boolean;
  text: string;
}

/** What is about to be sent: the source as it is, or a rendition of it. */
export interface Sent {
  video_codec?: string | null | undefined;
  audio_codec?: string | null | undefined;
  width?: number | null | undefined;
  height?: number | null | undefined;
  fps?: number | null | undefined;
  /** Video and audio. */
  kbps?: number | null | undefined;
  gop_seconds?: number | null | undefined;
  cbr?: boolean | undefined;
}

export function sentAsIs(ingest: Ingest): Sent {
  return { ...ingest, kbps: ingest.bitrate_bps / 1000 };
}

export function sentRendition(rendition: Rendition, ingest: Ingest | null | undefined): Sent {
  if (rendition.passthrough) return ingest ? sentAsIs(ingest) : {};
  const audio = rendition.audio_codec ?? "aac";
  if (isSoundAlone(rendition)) return { audio_codec: audio };
  if (rendition.video) return ingest ? { ...sentAsIs(ingest), audio_codec: audio } : { audio_codec: audio };
  return {
    video_codec: rendition.codec ?? "h264",
    audio_codec: audio,
    width: rendition.width,
    height: rendition.height,
    fps: rendition.fps ?? ingest?.fps,
    kbps: (rendition.video_bitrate_kbps ?? 0) + (rendition.audio_bitrate_kbps ?? 0),
    gop_seconds: rendition.gop_seconds ?? 2,
    cbr: (rendition.rate_control ?? "cbr") === "cbr",
  };
}

/** Measured figures swing: a GOP of 4 s comes out as 4.03. */
const TOLERANCE = 1.03;
/** Encoders overshoot what they were asked for. */
const BITRATE_TOLERANCE = 1.1;

export function violationsOf({ title, rules }: Platform, sent: Sent): Violation[] {
  const found: Violation[] = [];
  const add = (code: string, severe: boolean, text: string) => found.push({ code, severe, text });
  const { video_codec: video, audio_codec: audio, height, width, fps, kbps, gop_seconds: gop } = sent;
  if (video && rules.video_codecs.length > 0 && !rules.video_codecs.includes(video)) add("codec", true, t.rules.codec(title, codec(video), rules.video_codecs.map(codec).join(", ")));
  if (audio && rules.audio_codecs.length > 0 && !rules.audio_codecs.includes(audio)) add("audio_codec", true, t.rules.audioCodec(title, codec(audio), rules.audio_codecs.map(codec).join(", ")));
  if (audio && !video && rules.video_required) add("missing_video", true, t.rules.noVideo(title));
  if (!audio && video && rules.audio_required) add("missing_audio", true, t.rules.noAudio(title));
  if (gop && rules.gop_max_seconds && gop > rules.gop_max_seconds * TOLERANCE) add("gop", true, t.rules.gopMax(title, gop, rules.gop_max_seconds));
  else if (gop && gop > rules.gop_recommended_seconds * 1.25) add("gop", false, t.rules.gop(title, gop, rules.gop_recommended_seconds));
  if (kbps && rules.video_max_kbps && kbps > rules.video_max_kbps * BITRATE_TOLERANCE) add("bitrate", true, t.rules.bitrateMax(title, kbps, rules.video_max_kbps));
  else if (kbps && rules.video_recommended_kbps && kbps > rules.video_recommended_kbps * BITRATE_TOLERANCE) add("bitrate", false, t.rules.bitrate(title, kbps, rules.video_recommended_kbps));
  // A portrait picture has its sides swapped.
  const [long, short] = [Math.max(width ?? 0, height ?? 0), Math.min(width ?? 0, height ?? 0)];
  const [longMost, shortMost] = [Math.max(rules.max_width ?? 0, rules.max_height ?? 0), Math.min(rules.max_width ?? 0, rules.max_height ?? 0)];
  if (shortMost > 0 && (short > shortMost || long > longMost)) add("size", true, t.rules.size(title, `${width}×${height}`, `${rules.max_width}×${rules.max_height}`));
  if (fps && rules.max_fps && fps > rules.max_fps * TOLERANCE) add("fps", true, t.rules.fps(title, fps, rules.max_fps));
  return found;
}

/** The rendition that breaks none of the rules and loses least. */
export function mend({ id, rules }: Platform, sent: Sent): Rendition {
  const [width, height] = fitted(sent.width ?? 1280, sent.height ?? 720, rules.max_width, rules.max_height);
  const wanted = rules.video_recommended_kbps ?? rules.video_max_kbps ?? 4500;
  const audio = Math.min(128, rules.audio_max_kbps ?? 128);
  const limit = Math.min(wanted, rules.video_max_kbps ?? wanted) - audio;
  // No better than what comes in, which codes a little better than what we do in real time.
  const kbps = Math.max(300, Math.min(limit, Math.round((sent.kbps ?? limit) * 1.2)));
  const video = (["h264", "h265"] as const).find((each) => rules.video_codecs.includes(each)) ?? "h264";
  const tooFast = sent.fps && rules.max_fps && sent.fps > rules.max_fps * TOLERANCE;
  return {
    name: id,
    width,
    height,
    ...(tooFast ? { fps: rules.max_fps as number } : {}),
    video_bitrate_kbps: kbps,
    audio_bitrate_kbps: audio,
    codec: video,
    gop_seconds: Math.min(rules.gop_recommended_seconds, rules.gop_max_seconds ?? rules.gop_recommended_seconds),
    rate_control: rules.cbr ? "cbr" : "vbr",
  };
}

function fitted(width: number, height: number, maxWidth: number | null | undefined, maxHeight: number | null | undefined): [number, number] {
  const [long, short] = [Math.max(maxWidth ?? 0, maxHeight ?? 0), Math.min(maxWidth ?? 0, maxHeight ?? 0)];
  if (short === 0) return [even(width), even(height)];
  const factor = Math.min(1, long / Math.max(width, height), short / Math.min(width, height));
  return [even(width * factor), even(height * factor)];
}

const even = (value: number) => Math.round(value / 2) * 2;
