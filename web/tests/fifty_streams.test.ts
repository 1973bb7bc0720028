// Fifty live streams on the overview: every tile moves, and the page costs little.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { startBrowser } from "./browser";
import { logIn, PATIENCE_MS, visit } from "./dashboard";
import { ADMIN_PASSWORD, type Stream, waitFor, Weir } from "./weir";

const STREAMS = 50;
const ON_SCREEN = 8;
const MEASURED_SECONDS = 10;
/** Of one core, by the page's own process. A tenth is what we want on a machine that is free; two cores that other tests load
 *  many times over count more for the same work (14 to 20 % were seen), and a page that draws too much costs half a core. */
const PAGE_CPU_MAX = 0.3;

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
  // Those on the screen: what nobody sees is left as it was until somebody does.
  const figures = async () => (await page.locator(".tile .bitrate").allTextContents()).slice(0, ON_SCREEN);
  const [before, cpuBefore, began] = [await figures(), await pageCpuSeconds(), Date.now()];
  await new Promise((resolve) => setTimeout(resolve, MEASURED_SECONDS * 1_000));
  const [cpu, seconds, now] = [(await pageCpuSeconds()) - cpuBefore, (Date.now() - began) / 1_000, await figures()];
  const moved = now.filter((figure, at) => figure !== before[at]).length;
  context.diagnostic(`${((cpu / seconds) * 100).toFixed(1)} % of a core; ${moved} of ${ON_SCREEN} figures moved in ${seconds.toFixed(1)} s`);
  assert.ok(moved > ON_SCREEN / 2, `only ${moved} tiles moved`);
  assert.ok(cpu / seconds < PAGE_CPU_MAX, `${cpu} s of CPU in ${seconds} s`);
  await page.screenshot({ path: "test-results/fifty.png" });
  assert.deepEqual(trouble, []);
});
