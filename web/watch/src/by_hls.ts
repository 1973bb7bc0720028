// Plays HLS by hls.js: parts as they come, or whole segments.

import Hls, { type ErrorData, ErrorDetails, ErrorTypes, Events, type Level, type ManifestLoadedData } from "hls.js";
import { plainLoader } from "../../shared/plain_playlist";
import { silentSounds, soundName } from "../../shared/sounds";
import type { Choice, Player, PlayerTold } from "./player";
import { type Stat, statsOfHls } from "./stats";

declare global {
  interface Window {
    /** For tests and for whoever looks for trouble in the console. */
    weirPlayer?: Hls | undefined;
  }
}

/** Fatal faults in a row that hls.js may mend by itself before everything is begun anew. */
const MENDS_MAX = 2;

/** Browsers without Media Source Extensions play HLS by themselves, or not at all. */
export function isSupported(): boolean {
  return Hls.isSupported();
}

const AUTO: Choice = { value: "-1", label: "Auto" };

export interface HlsTold extends PlayerTold {
  /** Nothing more comes; the status of the answer that said so, where there was one. */
  onOver: (status: number | undefined) => void;
  onUnplayable: () => void;
}

/** What the viewer hears is chosen again when the stream comes back. */
export class HlsPlayer implements Player {
  private readonly hls: Hls;
  /** All that the playlist has: what hls.js can't play it throws away. */
  private loaded: ManifestLoadedData | undefined;
  private mends = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    playlist: string,
    private readonly isLowLatency: boolean,
    private heard: string | undefined,
    private readonly told: HlsTold,
  ) {
    const plain = isLowLatency ? {} : { pLoader: plainLoader(Hls.DefaultConfig.loader) };
    const hls = new Hls({ lowLatencyMode: isLowLatency, backBufferLength: 30, maxLiveSyncPlaybackRate: 1.5, ...plain });
    this.hls = hls;
    window.weirPlayer = hls;
    hls.on(Events.MANIFEST_LOADED, (_, data) => (this.loaded = data));
    hls.on(Events.MANIFEST_PARSED, () => {
      this.tellQualities();
      void video.play().catch(() => undefined);
    });
    hls.on(Events.LEVEL_SWITCHED, () => {
      this.tellQualities();
      // hls.js chooses its tracks before it says what it has loaded.
      this.tellSounds();
    });
    hls.on(Events.LEVELS_UPDATED, () => this.tellQualities());
    hls.on(Events.AUDIO_TRACKS_UPDATED, () => this.tellSounds());
    hls.on(Events.AUDIO_TRACK_SWITCHED, () => this.tellSounds());
    hls.on(Events.ERROR, (_, error) => {
      if (error.fatal) this.mend(error);
    });
    video.addEventListener("playing", this.playing);
    hls.loadSource(playlist);
    hls.attachMedia(video);
  }

  end(): void {
    this.video.removeEventListener("playing", this.playing);
    this.hls.destroy();
    window.weirPlayer = undefined;
  }

  chooseQuality(value: string): void {
    this.hls.nextLevel = Number(value);
  }

  chooseSound(value: string): void {
    const track = this.hls.audioTracks.find(({ id }) => String(id) === value);
    this.heard = track && soundName(track);
    this.hls.audioTrack = Number(value);
  }

  behindSeconds(): number {
    return this.hls.latency;
  }

  stats(): Stat[] {
    return statsOfHls(this.video, this.hls, this.isLowLatency);
  }

  private readonly playing = () => (this.mends = 0);

  private mend(error: ErrorData): void {
    if (error.details === ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) this.told.onUnplayable();
    else if (error.type === ErrorTypes.MEDIA_ERROR && this.mends++ < MENDS_MAX) this.hls.recoverMediaError();
    else this.told.onOver(error.response?.code || undefined);
  }

  private tellQualities(): void {
    const { levels, autoLevelEnabled, currentLevel } = this.hls;
    const height = levels.length > 1 ? levels[currentLevel]?.height : undefined;
    const auto = height ? { ...AUTO, label: `Auto (${height}p)` } : AUTO;
    const choices = levels.map((level, at) => ({ value: String(at), label: nameOf(level) })).reverse();
    this.told.onQualities([auto, ...choices], autoLevelEnabled ? AUTO.value : String(currentLevel));
  }

  /** A menu where there is something to choose, or where it is to be said that something can't be heard here. */
  private tellSounds(): void {
    const tracks = this.hls.audioTracks;
    const silent = this.loaded ? silentSounds(this.loaded, tracks) : [];
    const again = tracks.find((track) => soundName(track) === this.heard);
    if (again && again.id !== this.hls.audioTrack) this.hls.audioTrack = again.id;
    const choices: Choice[] = [
      ...tracks.map((track) => ({ value: String(track.id), label: soundName(track) })),
      ...silent.map(({ name, codec }) => ({ value: "", label: `${name} (${codec} can't be played here)`, isDisabled: true })),
    ];
    this.told.onSounds(choices.length > 1 || silent.length > 0 ? choices : [], String(this.hls.audioTrack));
  }
}

function nameOf({ height, frameRate, bitrate }: Level): string {
  const size = height ? `${height}p` : "Audio";
  const fps = frameRate > 31 ? String(Math.round(frameRate)) : "";
  return `${size}${fps} · ${(bitrate / 1e6).toFixed(1)} Mbps`;
}
