// Fifty live streams on the overview: every tile moves, and the page costs little.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { startBrowser } from "../browser";
import { logIn, PATIENCE_MS, visit } from "../dashboard";
import { ADMIN_PASSWORD, type Stream, waitFor, Weir } from "../weir";

const STREAMS = 50;
const ON_SCREEN = 8;
const MEASURED_SECONDS = 8;
/** Of one core, by the page's own process. What other programs do on the machine can only add to it (their share of its caches, a core
 *  that is lent out), so the least of some windows is the page's own cost. The goal is a tenth; this leaves room for a machine half as
 *  fast as those that it was measured on. */
const PAGE_CPU_MAX = 0.2;
const WINDOWS = 5;

let weir: Weir, browser: Browser, publisher: ChildProcess, folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-fifty-"));
  [weir, browser] = await Promise.all([Weir.start(), startBrowser()]);
});

after(async () => {
  publisher?.kill("SIGINT");
  await browser?.close();
  await weir?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** One ffmpeg copies one small clip to all of them: what is measured is the page. */
function publishAll(streams: Stream[]): ChildProcess {
  const clip = join(folder, "clip.flv");
  const make = `-v error -f lavfi -i testsrc2=size=320x180:rate=15 -f lavfi -i sine -t 8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -b:v 200k -c:a aac -b:a 48k ${clip}`;
  assert.equal(spawnSync("ffmpeg", make.split(" ")).status, 0);
  const outputs = streams.map(({ pushUrl }) => `[f=flv]${pushUrl}`).join("|");
  const options = ["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", clip, "-c", "copy", "-map", "0", "-f", "tee", outputs];
  return spawn("ffmpeg", options, { stdio: ["ignore", "ignore", "inherit"] });
}

async function pageCpuSeconds(): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  return processInfo.filter(({ type }) => type === "renderer").reduce((all, { cpuTime }) => all + cpuTime, 0);
}

test("fifty live streams cost the page little", { timeout: 240_000 }, async (context) => {
  const streams: Stream[] = [];
  for (let number = 1; number <= STREAMS; number++) {
    streams.push(await weir.createStream(`stream-${String(number).padStart(2, "0")}`, { hls: false, dash: false }));
  }
  publisher = publishAll(streams);
  const { page, trouble } = await visit(browser, weir);
  await logIn(page, "admin", ADMIN_PASSWORD);
  await waitFor("all are live on the page", PATIENCE_MS, async () => ((await page.locator('.tile .state[data-state="live"]').count()) === STREAMS ? true : undefined));
  // Pictures come one a second; those that are seen first come first. Loading them is no part of staying smooth.
  await waitFor("the pictures on the screen have come", PATIENCE_MS, async () => ((await page.locator(".tile img[data-shown]").count()) >= ON_SCREEN ? true : undefined));
  // Those on the screen: what nobody sees is left as it was until somebody does.
  const figures = async () => (await page.locator(".tile .bitrate").allTextContents()).slice(0, ON_SCREEN);
  const shares: number[] = [];
  let moved = 0;
  do {
    const [before, cpuBefore, began] = [await figures(), await pageCpuSeconds(), Date.now()];
    await new Promise((resolve) => setTimeout(resolve, MEASURED_SECONDS * 1_000));
    shares.push(((await pageCpuSeconds()) - cpuBefore) / ((Date.now() - began) / 1_000));
    const now = await figures();
    moved = Math.max(moved, now.filter((figure, at) => figure !== before[at]).length);
  } while (Math.min(...shares) >= PAGE_CPU_MAX && shares.length < WINDOWS);
  const told = shares.map((share) => `${(share * 100).toFixed(1)} %`).join(", ");
  context.diagnostic(`${told} of a core; ${moved} of ${ON_SCREEN} figures moved in ${MEASURED_SECONDS} s`);
  assert.ok(moved > ON_SCREEN / 2, `only ${moved} tiles moved`);
  assert.ok(Math.min(...shares) < PAGE_CPU_MAX, `the page takes ${told} of a core`);
  await page.screenshot({ path: "test-results/fifty.png" });
  assert.deepEqual(trouble, []);
});
