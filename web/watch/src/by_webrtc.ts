// Plays by WebRTC: the rendition that the server thinks best for browsers, or the one that the viewer has chosen.

import type { Figures } from "../../shared/webrtc/figures";
import { type Over, WhepViewer } from "../../shared/webrtc/viewer";
import type { Choice, Player, PlayerTold } from "./player";
import { type Stat, statsOfWebrtc } from "./stats";

export interface WebrtcTold extends PlayerTold {
  /** `silent`: why there is no sound, in the server's words. */
  onPlaying: (silent: string | null) => void;
  onQuiet: () => void;
  onAgain: () => void;
  onOver: (why: Over) => void;
}

const AUTO: Choice = { value: "", label: "Auto" };

export class WebrtcPlayer implements Player {
  private viewer: WhepViewer;
  private figures: Figures | undefined;
  private rendition = "";

  /** `playlist`: the text of the multivariant playlist, where there is one; it says which renditions there are. */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly whep: (rendition?: string) => string,
    private readonly playlist: string,
    private readonly told: WebrtcTold,
  ) {
    told.onSounds([], "");
    this.viewer = this.begin();
  }

  end(): void {
    this.viewer.end();
  }

  chooseQuality(rendition: string): void {
    this.rendition = rendition;
    this.viewer.end();
    this.viewer = this.begin();
  }

  /** It carries one sound. */
  chooseSound(): void {}

  behindSeconds(): number {
    return 0;
  }

  stats(): Stat[] {
    return statsOfWebrtc(this.figures);
  }

  private begin(): WhepViewer {
    this.figures = undefined;
    this.told.onQualities([AUTO, ...renditionsOf(this.playlist)], this.rendition);
    const { told, whep, rendition } = this;
    return new WhepViewer(this.video, () => ({ url: whep(rendition || undefined) }), {
      onPlaying: told.onPlaying,
      onQuiet: told.onQuiet,
      onAgain: told.onAgain,
      onOver: told.onOver,
      onFigures: (figures) => (this.figures = figures),
    });
  }
}

/** `720p/video.m3u8` with its `#EXT-X-STREAM-INF` before it. A rendition may be there once for each group of sounds. */
export function renditionsOf(playlist: string): Choice[] {
  const found = new Map<string, Choice>();
  for (const [, attributes = "", uri = ""] of playlist.matchAll(/^#EXT-X-STREAM-INF:(.*)\r?\n([^#\r\n]+)/gm)) {
    const height = /RESOLUTION=\d+x(\d+)/.exec(attributes)?.[1];
    const bps = Number(/(?:^|,)BANDWIDTH=(\d+)/.exec(attributes)?.[1]);
    const value = decodeURIComponent(uri.split("/")[0] ?? "");
    if (height && value && !found.has(value)) found.set(value, { value, label: `${height}p · ${(bps / 1e6).toFixed(1)} Mbps` });
  }
  return [...found.values()].reverse();
}
