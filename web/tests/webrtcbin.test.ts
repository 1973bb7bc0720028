// The engine webrtcbin in Chromium: the watch page shows pictures and hears Opus of its process, and is back by itself when that is killed.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "./browser";
import { PATIENCE_MS, visit } from "./dashboard";
import { type Stream, waitFor, Weir } from "./weir";

let weir: Weir, browser: Browser, stream: Stream;
let publisher: ChildProcess;

/** H.264 without B-frames, and Opus: what browsers take as it is. */
function publish({ srtUrl }: Stream): ChildProcess {
  const input = "-re -f lavfi -i testsrc2=size=320x180:rate=25 -re -f lavfi -i sine=frequency=440:sample_rate=48000";
  const encode = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -keyint_min 25 -sc_threshold 0 -b:v 300k -c:a libopus -b:a 64k -f mpegts";
  return spawn("ffmpeg", ["-nostdin", "-v", "fatal", ...`${input} ${encode}`.split(" "), srtUrl], { stdio: ["ignore", "ignore", "inherit"] });
}

before(async () => {
  const engine = { WEIR_WEBRTC__ENGINE: "webrtcbin", WEIR_WEBRTC__UDP_PORTS: "20000-40000" };
  [weir, browser] = await Promise.all([Weir.start(engine), startBrowser()]);
  stream = await weir.createStream("cam");
  publisher = publish(stream);
  await waitFor("webrtcbin serves", PATIENCE_MS, async () => ((await engineNow()) === "webrtcbin" ? true : undefined));
  await waitFor("HLS has begun", PATIENCE_MS, async () => ((await fetch(`${weir.http}/play/cam/master.m3u8`)).ok ? true : undefined));
});

after(async () => {
  publisher?.kill("SIGINT");
  await browser?.close();
  await weir?.stop();
});

const engineNow = async () => (await weir.api("GET", "/system")).webrtc.engine as string;
const way = (page: Page) => page.locator("#way").inputValue();
const pictures = (page: Page) => page.evaluate<number>(`document.querySelector("video").getVideoPlaybackQuality().totalVideoFrames`);
const engineProcess = () => execFileSync("pgrep", ["-x", "weir-webrtc", "-P", String(weir.pid)], { encoding: "utf8" }).trim();

async function plays(page: Page, what: string): Promise<void> {
  const begun = await pictures(page);
  await waitFor(`${what} plays by WebRTC`, PATIENCE_MS, async () => {
    const isLive = (await page.textContent("#badge")) === "Live" && (await page.textContent("#notice")) === "";
    return isLive && (await way(page)) === "webrtc" && (await pictures(page)) > begun + 10 ? true : undefined;
  });
}

test("the watch page plays through webrtcbin, and comes back when its process is killed", { timeout: 180_000 }, async (context) => {
  const visitor = await visit(browser, weir);
  const { page } = visitor;
  await page.goto("/watch/cam?way=webrtc");
  await plays(page, "the page");
  assert.equal(await engineNow(), "webrtcbin");
  const first = engineProcess();
  process.kill(Number(first), "SIGKILL");
  const killed = performance.now();
  await waitFor("the page's viewer is gone with it", PATIENCE_MS, async () => (weir.log.some((line) => line.includes("the process of webrtcbin ended")) ? true : undefined));
  await plays(page, "the page, once more,");
  context.diagnostic(`pictures are back ${Math.round(performance.now() - killed)} ms after the kill`);
  await waitFor("webrtcbin serves again", PATIENCE_MS, async () => ((await engineNow()) === "webrtcbin" ? true : undefined));
  assert.notEqual(engineProcess(), first);
  await visitor.context.close();
});
