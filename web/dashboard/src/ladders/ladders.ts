// The ladders that there are, and what a stream's ladder is made of.

import { useSavedLadders } from "../api/queries";
import type { Rendition, SavedLadder, Stream } from "../api/types";

export function useLadders(): { ladders: SavedLadder[]; isPending: boolean; error: Error | null } {
  const { data = [], isPending, error } = useSavedLadders();
  return { ladders: data, isPending, error };
}

/** The renditions behind a ladder's name; empty where there is none. */
export function useLadder(ladder: Stream["ladder"] | undefined): Rendition[] {
  const { ladders } = useLadders();
  if (!ladder) return [];
  if (typeof ladder !== "string") return ladder;
  return ladders.find(({ name }) => name === ladder)?.renditions ?? [];
}

export const NEW_RENDITION: Rendition = {
  name: "",
  width: 1280,
  height: 720,
  video_bitrate_kbps: 2500,
  audio_bitrate_kbps: 128,
  codec: "h264",
  gop_seconds: 2,
  rate_control: "cbr",
};

export const NEW_SOUND: Rendition = { name: "audio", audio_bitrate_kbps: 96, audio_codec: "aac" };

/** The source's picture as it is, beside sound that everyone takes. */
export const NEW_KEPT: Rendition = { name: "source-aac", video: "source", audio_bitrate_kbps: 128, audio_codec: "aac" };

/** Nothing is said of a picture. */
export function isSoundAlone({ passthrough, video, width, height }: Rendition): boolean {
  return !passthrough && !video && width == null && height == null;
}

/** What all renditions cost a viewer's server together, in kbit/s. */
export function kbpsOf(renditions: Rendition[]): number {
  return renditions.reduce((all, { video_bitrate_kbps, audio_bitrate_kbps }) => all + (video_bitrate_kbps ?? 0) + (audio_bitrate_kbps ?? 0), 0);
}
