// Headless Chromium, and the pages on which other people's players play what we serve.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-background-media-suspend",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  "--autoplay-policy=no-user-gesture-required",
  // WebRTC to a server on this machine, by the address that nobody else has.
  "--allow-loopback-in-peer-connection",
  // Between two pages of one browser, too, without asking the network whose name is whose.
  "--disable-features=WebRtcHideLocalIpsWithMdns",
  // A camera that needs no leave: a ball that turns, and a beep once a second.
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
];

/** What a page needs that publishes: a camera and a microphone that are not there, and leave to use them. */
export const FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

export async function startBrowser(more: string[] = []): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`there is no ${CHROMIUM}; \`make test\` installs it`);
  // Playwright gives it a fresh user-data-dir of its own.
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...FLAGS, ...more] });
}

export type PlayerName = "hls.js" | "dash.js" | "shaka";

/** Whether a player is to play parts as they come, or whole segments; null: as the player decides by itself. */
export type LowLatency = boolean | null;

/** What a player page says of itself. */
export interface Report {
  currentTime: number;
  /** Pictures that were decoded: what a player skips, or throws away before its decoder, is not among them. */
  frames: number;
  stalls: number;
  errors: string[];
  latency: number | null;
  /** When it stalled, in seconds of play. */
  stalledAt: number[];
  /** What it aims at, as far as it says. */
  target: number | null;
  /** Time, paused, readyState, speed, what is buffered: for whoever has to find out why it stalled. */
  state: unknown[];
}

/** A segment that was fetched: whole, or put together from its parts. */
export interface Fetched {
  bytes: number;
  sha256: string;
}

const SCRIPTS: Record<PlayerName, string> = {
  "hls.js": "hls.js/dist/hls.min.js",
  "dash.js": "dashjs/dist/modern/umd/dash.all.min.js",
  shaka: "shaka-player/dist/shaka-player.compiled.js",
};

const STARTS: Record<PlayerName, string> = {
  "hls.js": `
    // Without leave to play faster, hls.js stays as far behind as it was when it began.
    const hls = new Hls({ lowLatencyMode: lowLatency ?? true, maxLiveSyncPlaybackRate: 1.5 });
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
    hls.on(Hls.Events.ERROR, (_, error) => { if (error.fatal) errors.push(error.details); });
    hls.loadSource(url);
    hls.attachMedia(video);
    latency = () => hls.latency;
    target = () => hls.targetLatency;`,
  "dash.js": `
    const player = dashjs.MediaPlayer().create();
    player.on("error", ({ error }) => errors.push(String(error.code) + " " + error.message));
    player.initialize(video, url, true);
    latency = () => player.getCurrentLiveLatency();`,
  shaka: `
    const player = new shaka.Player();
    if (lowLatency !== null) player.configure({ streaming: { lowLatencyMode: lowLatency } });
    player.addEventListener("error", ({ detail }) => errors.push("shaka " + detail.code));
    player.attach(video).then(() => player.load(url)).then(() => video.play()).catch((error) => errors.push("shaka " + error.code));
    latency = () => (player.isLive() ? Date.now() / 1000 - player.getPlayheadTimeAsDate() / 1000 : null);`,
};

function page(player: PlayerName, lowLatency: LowLatency): string {
  return `<!doctype html><meta charset="utf-8"><title>${player}</title>
    <body style="margin:0;background:#000"><video muted playsinline style="width:100%"></video>
    <script src="/player.js"></script>
    <script>
      const video = document.querySelector("video");
      const url = new URLSearchParams(location.search).get("url");
      const lowLatency = ${JSON.stringify(lowLatency)};
      const errors = [];
      let latency = () => null, target = () => null, began;
      const stalledAt = [];
      video.addEventListener("timeupdate", () => { began ??= video.currentTime; });
      // Counted once a second has been played: until then a player may still be looking for its place.
      video.addEventListener("waiting", () => { if (video.currentTime - began > 1) stalledAt.push(video.currentTime - began); });
      ${STARTS[player]}
      window.report = () => ({
        currentTime: began === undefined ? 0 : video.currentTime - began,
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
        stalls: stalledAt.length, stalledAt, errors, latency: latency(), target: target(),
        state: [video.currentTime, video.paused, video.readyState, video.playbackRate,
          ...Array.from({ length: video.buffered.length }, (_, at) => [video.buffered.start(at), video.buffered.end(at)])],
      });
    </script>`;
}

/** A site of its own for each player, so that playing from other sites is tested too. */
export async function startPlayerSite(player: PlayerName, lowLatency: LowLatency = null): Promise<{ url: string; server: Server }> {
  const script = await readFile(new URL(`../node_modules/${SCRIPTS[player]}`, import.meta.url));
  const server = createServer((request, response) => {
    if (request.url === "/player.js") {
      response.setHeader("content-type", "text/javascript").end(script);
    } else {
      response.setHeader("content-type", "text/html").end(page(player, lowLatency));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, server };
}

/** Runs in the page before the player: keeps what it fetches of `.m4s`, as it arrived. */
export const RECORDER = `{
  const bodies = new Map();
  const keep = (url, body) => {
    const { pathname } = new URL(url, location.href);
    if (pathname.endsWith(".m4s") && body.byteLength > 0) bodies.set(pathname, new Uint8Array(body.slice(0)));
  };
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    // Before the player's own listeners: they hand the buffer over to a worker.
    this.addEventListener("readystatechange", () => {
      if (this.readyState === 4 && this.status === 200 && this.response instanceof ArrayBuffer) keep(url, this.response);
    });
    return open.call(this, method, url, ...rest);
  };
  const original = window.fetch;
  window.fetch = async (input, init) => {
    const response = await original(input, init);
    const url = typeof input === "string" ? input : input.url ?? String(input);
    if (response.status === 200) response.clone().arrayBuffer().then((body) => keep(url, body)).catch(() => {});
    return response;
  };
  const hash = async (bytes) =>
    Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  // Segments by their path; parts in a row are put together as the segment that they are of.
  window.fetchedSegments = async () => {
    const parts = new Map(), whole = {};
    for (const [path, bytes] of bodies) {
      const [, segment, part] = /^(.*\\/[0-9]+(?:-[0-9]+)?)\\.(?:([0-9]+)\\.)?m4s$/.exec(path) ?? [];
      if (segment === undefined) continue;
      if (part === undefined) whole[segment] = { bytes: bytes.length, sha256: await hash(bytes) };
      else parts.set(segment, [...(parts.get(segment) ?? []), [Number(part), bytes]]);
    }
    for (const [segment, some] of parts) {
      some.sort(([one], [other]) => one - other);
      if (segment in whole || some.some(([part], index) => part !== index)) continue;
      const together = new Uint8Array(await new Blob(some.map(([, bytes]) => bytes)).arrayBuffer());
      whole[segment] = { bytes: together.length, sha256: await hash(together) };
    }
    return whole;
  };
}`;
