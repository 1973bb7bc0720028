// The public player. It plays by WebRTC where that brings a picture, else low-latency HLS by hls.js, or by the browser itself where it has no
// Media Source Extensions (iPhones). The viewer may choose.

import type { Over } from "../../shared/webrtc/viewer";
import { readAddress, type Way, WAYS, withWay } from "./address";
import { WebrtcPlayer } from "./by_webrtc";
import { reasonOf, retryAfterMs } from "./offline";
import type { Choice, Player } from "./player";

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

const video = element<HTMLVideoElement>("video");
const notice = element("notice");
const badge = element("badge");
const remark = element("remark");
const latency = element("latency");
const ways = element<HTMLSelectElement>("way");
const quality = element<HTMLSelectElement>("quality");
const sounds = element("sounds");
const sound = element<HTMLSelectElement>("sound");
const unmute = element<HTMLButtonElement>("unmute");
const stats = element<HTMLButtonElement>("stats");
const statsBox = element("stats-box");
const address = readAddress(location);

let player: Player | undefined;
let attempt = 0;
let retry: number | undefined;
/** What the viewer chose to hear, by its name. */
let heard: string | undefined;
let chosen: Way = address.way ?? "webrtc";
/** Why WebRTC is passed over until the viewer chooses it again, or the stream has been away. */
let passedOver: string | undefined;
/** Where a sound is wanted that WebRTC does not have. */
let isSilent = false;

const NO_SOUND = "WebRTC has no sound here";

function showLive(): void {
  attempt = 0;
  notice.textContent = "";
  badge.textContent = "Live";
  badge.dataset["state"] = "live";
  unmute.hidden = !video.muted;
  unmute.textContent = isSilent ? "Tap for sound by LL-HLS" : "Tap for sound";
}

/** Says why, and looks again later. */
function showOffline(status: number | undefined): void {
  stop();
  // Who comes back may come by another network, and the stream with another picture.
  passedOver = undefined;
  notice.textContent = reasonOf(status);
  badge.textContent = "Offline";
  badge.dataset["state"] = "waiting";
  latency.textContent = "";
  remark.textContent = "";
  unmute.hidden = true;
  window.clearTimeout(retry);
  retry = window.setTimeout(() => void start(), retryAfterMs(attempt++));
}

function stop(): void {
  window.clearTimeout(retry);
  player?.end();
  player = undefined;
  isSilent = false;
  quality.disabled = true;
  sounds.hidden = true;
}

/** Counts beginnings: what an earlier one was told is of no interest any more. */
let beginning = 0;

async function start(): Promise<void> {
  stop();
  const mine = ++beginning;
  // Asked first: a player would say only that it failed. It also says which renditions there are.
  let response: Response | undefined;
  let playlist = "";
  try {
    response = await fetch(address.playlist, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    playlist = response.ok ? await response.text() : "";
  } catch {
    response = undefined;
  }
  if (mine !== beginning) return;
  // A stream without HLS may have WebRTC.
  const isWanted = response?.status === 404 || (response?.ok && chosen === "webrtc");
  if (isWanted && passedOver === undefined && "RTCPeerConnection" in window) return startWebrtc(playlist, response?.ok === true);
  if (!response?.ok) return showOffline(response?.status);
  // The player is fetched where it is needed.
  const byHls = await import("./by_hls");
  if (mine === beginning) startHls(byHls, chosen !== "hls");
}

const told = { onQualities: (choices: Choice[], value: string) => showChoices(quality, choices, value), onSounds: showSounds };

function startWebrtc(playlist: string, hasHls: boolean): void {
  ways.value = "webrtc";
  player = new WebrtcPlayer(video, address.whep, playlist, heard, {
    ...told,
    onPlaying: (silent) => {
      isSilent = silent !== null && hasHls;
      remark.textContent = silent === null ? "" : NO_SOUND;
      // Whoever has already asked for sound gets it.
      if (isSilent && !video.muted) return passOver(NO_SOUND);
      showLive();
    },
    onQuiet: () => (notice.textContent = "The stream pauses.\nIt goes on here by itself."),
    onAgain: () => (notice.textContent = "The connection was lost.\nTrying again…"),
    onOver: (why) => {
      if (why.kind === "lost") return void start();
      if (!hasHls) return showOffline(why.kind === "refused" ? why.status : undefined);
      passOver(wordsOf(why));
    },
  });
}

/** Goes on by HLS, and says why. */
function passOver(why: string): void {
  passedOver = why;
  void start();
}

function wordsOf(why: Over): string {
  switch (why.kind) {
    case "refused":
      return why.status === 503 ? "WebRTC has no room for more viewers" : "WebRTC is not possible here";
    case "no-picture":
      return "WebRTC brings no picture here";
    default:
      return "WebRTC can't be reached";
  }
}

function startHls({ HlsPlayer, isSupported }: typeof import("./by_hls"), isLowLatency: boolean): void {
  ways.value = isLowLatency ? "ll-hls" : "hls";
  remark.textContent = passedOver ?? "";
  if (isSupported()) {
    player = new HlsPlayer(video, address.playlist, isLowLatency, heard, {
      ...told,
      onOver: showOffline,
      onUnplayable: () => {
        stop();
        notice.textContent = "This browser can't play the stream's picture or sound.";
      },
    });
  } else if (video.canPlayType("application/vnd.apple.mpegurl")) {
    video.src = address.playlist;
    // Not even without sound: the browser wants a tap, and its own controls are there for that.
    video.play().catch(() => (notice.textContent = ""));
    player = { end: () => video.removeAttribute("src"), chooseQuality: () => {}, chooseSound: () => {}, behindSeconds: () => 0, stats: () => [["Way", "HLS, by the browser"]] };
  } else {
    notice.textContent = "This browser can't play live video.";
  }
}

function showChoices(menu: HTMLSelectElement, choices: Choice[], value: string): void {
  menu.replaceChildren(...choices.map(({ value, label, isDisabled }) => {
    const option = new Option(label, value);
    option.disabled = isDisabled ?? false;
    return option;
  }));
  menu.value = value;
  menu.disabled = choices.length === 0;
}

function showSounds(choices: Choice[], value: string): void {
  showChoices(sound, choices, value);
  sounds.hidden = choices.length === 0;
}

document.title = `${address.name} · Weir`;
element("name").textContent = address.name;
ways.value = chosen;
ways.addEventListener("change", () => {
  chosen = WAYS.find((way) => way === ways.value) ?? "webrtc";
  passedOver = undefined;
  history.replaceState(null, "", withWay(location.href, chosen));
  void start();
});
quality.addEventListener("change", () => player?.chooseQuality(quality.value));
sound.addEventListener("change", () => {
  heard = sound.selectedOptions[0]?.text;
  player?.chooseSound(sound.value);
});
unmute.addEventListener("click", () => {
  video.muted = false;
  unmute.hidden = true;
});
video.addEventListener("volumechange", () => {
  if (video.muted) return;
  unmute.hidden = true;
  if (isSilent) passOver(NO_SOUND);
});
video.addEventListener("playing", () => {
  // WebRTC says by itself when there is something to see.
  if (!(player instanceof WebrtcPlayer)) showLive();
});
video.addEventListener("error", () => {
  // hls.js mends what it plays; this is for the browser's own player.
  if (video.hasAttribute("src") && !window.weirPlayer) showOffline(undefined);
});
stats.addEventListener("click", () => {
  statsBox.hidden = !statsBox.hidden;
  stats.setAttribute("aria-pressed", String(!statsBox.hidden));
  showStats();
});

function showStats(): void {
  if (statsBox.hidden) return;
  statsBox.replaceChildren(...(player?.stats() ?? []).flatMap(([name, value]) => {
    const [term, words] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    words.textContent = value;
    return [term, words];
  }));
}

window.setInterval(() => {
  const behind = player?.behindSeconds() ?? 0;
  latency.textContent = behind > 0 && !video.paused ? `${behind.toFixed(1)} s behind live` : "";
  showStats();
}, 500);
// A page that is left says goodbye; one that browsers have kept for the way back begins anew.
window.addEventListener("pagehide", () => {
  beginning++;
  stop();
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) void start();
});
void start();
