// The public player: low-latency HLS by hls.js, or by the browser itself where it has no Media Source Extensions (iPhones).

import Hls, { type ErrorData, ErrorDetails, ErrorTypes, Events, type Level, type ManifestLoadedData, type MediaPlaylist } from "hls.js";
import { readAddress } from "./address";
import { reasonOf, retryAfterMs } from "./offline";
import { type Silent, silentSounds, soundName } from "../../shared/sounds";

declare global {
  interface Window {
    /** For tests and for whoever looks for trouble in the console. */
    weirPlayer?: Hls | undefined;
  }
}

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

const video = element<HTMLVideoElement>("video");
const notice = element("notice");
const badge = element("badge");
const latency = element("latency");
const quality = element<HTMLSelectElement>("quality");
const sounds = element("sounds");
const sound = element<HTMLSelectElement>("sound");
const unmute = element<HTMLButtonElement>("unmute");
const { name, playlist } = readAddress(location);

let player: Hls | undefined;
let attempt = 0;
let retry: number | undefined;
/** What the viewer chose to hear: chosen again when the stream comes back. */
let heard: string | undefined;
/** All that the playlist has: what hls.js can't play it throws away. */
let loaded: ManifestLoadedData | undefined;

/** Fatal faults in a row that hls.js may mend by itself before everything is begun anew. */
const MENDS_MAX = 2;
let mends = 0;

function showLive(): void {
  attempt = 0;
  mends = 0;
  notice.textContent = "";
  badge.textContent = "Live";
  badge.dataset["state"] = "live";
  unmute.hidden = !video.muted;
}

/** Says why, and looks again later. */
function showOffline(status: number | undefined): void {
  stop();
  notice.textContent = reasonOf(status);
  badge.textContent = "Offline";
  badge.dataset["state"] = "waiting";
  latency.textContent = "";
  unmute.hidden = true;
  window.clearTimeout(retry);
  retry = window.setTimeout(() => void start(), retryAfterMs(attempt++));
}

function stop(): void {
  player?.destroy();
  player = undefined;
  window.weirPlayer = undefined;
  quality.disabled = true;
  sounds.hidden = true;
}

async function start(): Promise<void> {
  // Asked first: a player would say only that it failed.
  let response: Response;
  try {
    response = await fetch(playlist, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  } catch {
    return showOffline(undefined);
  }
  if (!response.ok) return showOffline(response.status);
  if (Hls.isSupported()) return startHls();
  if (!video.canPlayType("application/vnd.apple.mpegurl")) {
    notice.textContent = "This browser can't play live video.";
    return;
  }
  video.src = playlist;
  void play();
}

function startHls(): void {
  const hls = new Hls({ lowLatencyMode: true, backBufferLength: 30, maxLiveSyncPlaybackRate: 1.5 });
  player = hls;
  window.weirPlayer = hls;
  hls.on(Events.MANIFEST_LOADED, (_, data) => (loaded = data));
  hls.on(Events.MANIFEST_PARSED, (_, { levels }) => {
    showQualities(hls, levels);
    void play();
  });
  hls.on(Events.LEVEL_SWITCHED, (_, { level }) => {
    showAuto(hls, level);
    // hls.js chooses its tracks before it says what it has loaded.
    showSounds(hls, hls.audioTracks);
  });
  hls.on(Events.LEVELS_UPDATED, (_, { levels }) => showQualities(hls, levels));
  hls.on(Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => showSounds(hls, audioTracks));
  hls.on(Events.AUDIO_TRACK_SWITCHED, (_, { id }) => (sound.value = String(id)));
  hls.on(Events.ERROR, (_, error) => {
    if (error.fatal) mend(hls, error);
  });
  hls.loadSource(playlist);
  hls.attachMedia(video);
}

function mend(hls: Hls, error: ErrorData): void {
  if (error.details === ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) {
    stop();
    notice.textContent = "This browser can't play the stream's picture or sound.";
    return;
  }
  if (error.type === ErrorTypes.MEDIA_ERROR && mends++ < MENDS_MAX) {
    hls.recoverMediaError();
    return;
  }
  showOffline(error.response?.code || undefined);
}

async function play(): Promise<void> {
  try {
    await video.play();
  } catch {
    // Not even without sound: the browser wants a tap, and its own controls are there for that.
    notice.textContent = "";
  }
}

function nameOf(level: Level): string {
  const size = level.height ? `${level.height}p` : "Audio";
  const fps = level.frameRate > 31 ? String(Math.round(level.frameRate)) : "";
  return `${size}${fps} · ${(level.bitrate / 1e6).toFixed(1)} Mbps`;
}

function showQualities(hls: Hls, levels: Level[]): void {
  const auto = new Option("Auto", "-1");
  quality.replaceChildren(auto, ...levels.map((level, index) => new Option(nameOf(level), String(index))).reverse());
  quality.value = String(hls.autoLevelEnabled ? -1 : hls.currentLevel);
  quality.disabled = false;
}

/** A menu where there is something to choose, or where it is to be said that something can't be heard here. */
function showSounds(hls: Hls, tracks: MediaPlaylist[]): void {
  const silent = loaded ? silentSounds(loaded, tracks) : [];
  sound.replaceChildren(...tracks.map((track) => new Option(soundName(track), String(track.id))), ...silent.map(silentOption));
  const again = tracks.find((track) => soundName(track) === heard);
  if (again && again.id !== hls.audioTrack) hls.audioTrack = again.id;
  sound.value = String(hls.audioTrack);
  sounds.hidden = tracks.length + silent.length < 2 && silent.length === 0;
}

function silentOption({ name: what, codec }: Silent): HTMLOptionElement {
  const option = new Option(`${what} (${codec} can't be played here)`);
  option.disabled = true;
  return option;
}

function showAuto(hls: Hls, level: number): void {
  const auto = quality.options[0];
  const playing = hls.levels[level];
  if (auto && playing) auto.text = levelsDiffer(hls) && playing.height ? `Auto (${playing.height}p)` : "Auto";
}

function levelsDiffer(hls: Hls): boolean {
  return hls.levels.length > 1;
}

document.title = `${name} · Weir`;
element("name").textContent = name;
quality.addEventListener("change", () => {
  if (player) player.nextLevel = Number(quality.value);
});
sound.addEventListener("change", () => {
  heard = sound.selectedOptions[0]?.text;
  if (player) player.audioTrack = Number(sound.value);
});
unmute.addEventListener("click", () => {
  video.muted = false;
  unmute.hidden = true;
});
video.addEventListener("volumechange", () => {
  if (!video.muted) unmute.hidden = true;
});
video.addEventListener("playing", showLive);
video.addEventListener("error", () => {
  // hls.js mends what it plays; this is for the browser's own player.
  if (!player) showOffline(undefined);
});
window.setInterval(() => {
  const behind = player?.latency ?? 0;
  latency.textContent = behind > 0 && !video.paused ? `${behind.toFixed(1)} s behind live` : "";
}, 500);
void start();
