// Plays by WebRTC: the rendition that the server thinks best for browsers, or the one that the viewer has chosen.

import { leftOut, soundName } from "../../shared/sounds";
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
  private readonly sounds: Choice[];
  /** None: the default. */
  private language = "";

  /**
   * `playlist`: the text of the multivariant playlist, where there is one; it says which renditions and sounds there are. `heard`: what was heard
   * last, in a menu's words.
   */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly whep: (rendition?: string, language?: string) => string,
    private readonly playlist: string,
    heard: string | undefined,
    private readonly told: WebrtcTold,
  ) {
    this.sounds = languagesOf(playlist);
    this.language = this.sounds.find(({ label }) => label === heard)?.value ?? "";
    this.viewer = this.begin();
  }

  end(): void {
    this.viewer.end();
  }

  chooseQuality(rendition: string): void {
    this.rendition = rendition;
    this.beginAgain();
  }

  /** It carries one sound, so another one is another session. */
  chooseSound(language: string): void {
    this.language = language;
    this.beginAgain();
  }

  behindSeconds(): number {
    return 0;
  }

  stats(): Stat[] {
    return statsOfWebrtc(this.figures);
  }

  private beginAgain(): void {
    this.viewer.end();
    this.viewer = this.begin();
  }

  private begin(): WhepViewer {
    this.figures = undefined;
    this.told.onQualities([AUTO, ...renditionsOf(this.playlist)], this.rendition);
    this.told.onSounds(this.sounds, this.language || (this.sounds[0]?.value ?? ""));
    const { told, whep, rendition, language } = this;
    return new WhepViewer(this.video, () => ({ url: whep(rendition || undefined, language || undefined) }), {
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

/**
 * The languages that the playlist names, the default first; none where there is nothing to choose. Codecs don't matter here: what browsers can't
 * play is made into what they can.
 */
export function languagesOf(playlist: string): Choice[] {
  const found = new Map<string, Choice & { isDefault: boolean }>();
  const add = (name: string, lang: string, isDefault: boolean) => {
    const label = soundName({ name, lang });
    if (lang && !found.has(label)) found.set(label, { value: lang, label, isDefault });
  };
  for (const [, attributes = ""] of playlist.matchAll(/^#EXT-X-MEDIA:(.*TYPE=AUDIO.*)$/gm)) {
    const text = (key: string) => new RegExp(`(?:^|,)${key}="([^"]*)"`).exec(attributes)?.[1] ?? "";
    add(text("NAME"), text("LANGUAGE"), /(?:^|,)DEFAULT=YES/.test(attributes));
  }
  const [, more = ""] = /^#EXT-X-SESSION-DATA:DATA-ID="weir\.sounds-left-out",VALUE="([^"]*)"/m.exec(playlist) ?? [];
  for (const { name } of leftOut(more)) if (/^[a-z]{3}$/.test(name)) add(name, name, false);
  const choices = [...found.values()].sort((one, other) => Number(other.isDefault) - Number(one.isDefault));
  return choices.length > 1 ? choices.map(({ value, label }) => ({ value, label })) : [];
}
