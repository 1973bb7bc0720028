// hls.js, dash.js, Shaka Player (over DASH and over low-latency HLS) and our own watch page play one stream side by side for a
// minute: nothing stalls, every picture is decoded, and all of them are given the same bytes.

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { Server } from "node:http";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { type Fetched, type LowLatency, type PlayerName, RECORDER, type Report, startBrowser, startPlayerSite } from "../browser";
import { publish, type Stream, waitFor, Weir } from "../weir";

/** The long form plays what is promised; in the short one a player that throws pictures away shows it just as well. */
const LONG = Boolean(process.env["WEIR_LONG"]);
const PLAY_SECONDS = LONG ? 60 : 20;
/** Players find their place and their speed; what they report until then is on its way. */
const SETTLE_SECONDS = 10;
const LATENCY_MAX_SECONDS = 2.0;
/** The manifest asks for 3 s. */
const DASH_LATENCY_MAX_SECONDS = 4.0;
/** Of the pictures that belong to what was played: a player that skips parts stalls nowhere, and shows every third picture. */
const PICTURES_LEAST = 0.98;
const FPS = 30;
/** Small: five browsers decode it side by side, on two cores. What is tested is what they are given, and when. */
const PICTURE = { size: "640x360", kbps: 800 };
/** Of low-latency DASH: long enough for a dozen segments after the player has found its place. */
const DASH_SECONDS = LONG ? 35 : 15;
const PICTURES = "test-results";

let weir: Weir, browser: Browser, stream: Stream, publisher: ChildProcess;
const sites: Server[] = [];

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  [weir, browser] = await Promise.all([Weir.start(), startBrowser()]);
  stream = await weir.createStream("browser-test", { protected: true });
});

after(async () => {
  publisher?.kill("SIGINT");
  await browser?.close();
  sites.forEach((site) => site.close());
  await weir?.stop();
});

async function token(): Promise<string> {
  return (await weir.api("POST", `/streams/${stream.id}/tokens`, { expires_in_seconds: 600 })).token;
}

async function openPlayer(player: PlayerName, path: string, lowLatency: LowLatency = null): Promise<Page> {
  const site = await startPlayerSite(player, lowLatency);
  sites.push(site.server);
  const page = await (await browser.newContext({ viewport: { width: 640, height: 360 } })).newPage();
  await page.addInitScript(RECORDER);
  const url = `${weir.http}/play/${stream.name}/${path}?token=${await token()}`;
  await page.goto(`${site.url}?url=${encodeURIComponent(url)}`);
  return page;
}

function report(page: Page): Promise<Report> {
  return page.evaluate("report()");
}

/** How far behind live a player is from second to second, once it has found its place; its course also before. */
async function latencyOver(seconds: number, page: Page): Promise<{ median: number; worst: number; course: string }> {
  const start = Date.now();
  const settled: number[] = [];
  const course: string[] = [];
  for (let second = 1; second <= seconds; second++) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, start + second * 1_000 - Date.now())));
    const { latency } = await report(page);
    if (second % 5 === 0) course.push((latency ?? NaN).toFixed(2));
    if (second > SETTLE_SECONDS && latency !== null) settled.push(latency);
  }
  settled.sort((one, other) => one - other);
  return { median: settled[settled.length >> 1] ?? NaN, worst: settled.at(-1) ?? NaN, course: course.join(" ") };
}

/** A player's course over some time: no error, no stall, in time, and with its pictures. */
function assertPlayed(name: string, before: Report, now: Report, seconds: number): void {
  const played = now.currentTime - before.currentTime;
  const share = (now.frames - before.frames) / (played * FPS);
  assert.deepEqual(now.errors, [], name);
  assert.equal(now.stalls, before.stalls, `${name} stalled`);
  // Catching up, or falling back to where it wants to be, is 10 % at most.
  assert.ok(played > seconds * 0.95, `${name} played only ${played} s of ${seconds}`);
  assert.ok(share >= PICTURES_LEAST, `${name} decoded ${(share * 100).toFixed(1)} % of the pictures`);
}

async function watchReport(page: Page): Promise<{ time: number; frames: number; latency: number; level: number }> {
  return page.evaluate(`(() => {
    const video = document.querySelector("video");
    const { latency, currentLevel } = window.weirPlayer ?? {};
    return { time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames, latency, level: currentLevel };
  })()`);
}

test("players play without a stall, from the same bytes", { timeout: 150_000 }, async (context) => {
  // The page is there before the stream is: it says so, and begins by itself.
  const watch = await (await browser.newContext({ viewport: { width: 1100, height: 720 } })).newPage();
  const trouble: string[] = [];
  watch.on("pageerror", (error) => trouble.push(error.message));
  watch.on("console", (message) => {
    if (/content security policy/i.test(message.text())) trouble.push(message.text());
  });
  await watch.goto(`${weir.http}/watch/${stream.name}?way=ll-hls&token=${await token()}`);
  await waitFor("the watch page says that the stream is offline", 10_000, async () =>
    (await watch.textContent("#notice"))?.includes("offline") ? true : undefined,
  );
  await watch.screenshot({ path: `${PICTURES}/watch-offline.png` });

  publisher = publish(stream.pushUrl, PICTURE);
  // DASH players keep three segments behind the edge: there have to be as many.
  const media = `${weir.http}/play/${stream.name}/source/video.m3u8?token=${await token()}`;
  await waitFor("the stream has some segments", 25_000, async () =>
    ((await (await fetch(media)).text()).match(/#EXTINF/g) ?? []).length >= 4 ? true : undefined,
  );
  // One after the other: a browser that starts three at once on two cores is what would be measured.
  const pages: [string, Page][] = [];
  for (const [player, path] of [
    ["dash.js", "manifest.mpd"], ["shaka", "manifest.mpd"], ["shaka", "master.m3u8"], ["hls.js", "master.m3u8"],
  ] as const) {
    const [page, name] = [await openPlayer(player, path), `${player} on ${path}`];
    pages.push([name, page]);
    await waitFor(`${name} plays`, 25_000, async () => ((await report(page)).currentTime > 0.2 ? true : undefined));
  }
  const [dash, shaka, , hls] = pages.map(([, page]) => page) as [Page, Page, Page, Page];
  await waitFor("the watch page plays", 25_000, async () => ((await watchReport(watch)).time > 0 ? true : undefined));

  const watchStart = await watchReport(watch);
  const before = await Promise.all(pages.map(([, page]) => report(page)));
  const { median, worst, course } = await latencyOver(PLAY_SECONDS, hls);
  const viewers = (await weir.api("GET", `/streams/${stream.id}`)).status.viewers;

  context.diagnostic(`latency by hls.js every 5 s: ${course}`);
  const ended = await Promise.all(pages.map(([, page]) => report(page)));
  for (const [index, [name, page]] of pages.entries()) {
    await page.screenshot({ path: `${PICTURES}/${name.replaceAll(" ", "-")}.png` });
    context.diagnostic(`${name}: ${JSON.stringify({ before: before[index], after: ended[index] })}`);
  }
  for (const [index, [name]] of pages.entries()) assertPlayed(name, before[index]!, ended[index]!, PLAY_SECONDS);
  context.diagnostic(`LL-HLS latency by hls.js: median ${median.toFixed(2)} s, worst ${worst.toFixed(2)} s`);
  assert.ok(worst <= LATENCY_MAX_SECONDS, `hls.js was ${worst} s behind`);

  const watchEnd = await watchReport(watch);
  context.diagnostic(`watch: ${JSON.stringify(watchEnd)}`);
  assert.ok(watchEnd.time - watchStart.time > PLAY_SECONDS * 0.95, "the watch page goes on");
  assert.ok(watchEnd.frames - watchStart.frames > PLAY_SECONDS * 30 * 0.9, "the watch page decodes");
  assert.match((await watch.textContent("#latency")) ?? "", /^[0-9.]+ s behind live$/);
  assert.equal(await watch.locator("#quality option").count(), 2, "automatic, and the one rendition there is");
  assert.equal(await watch.textContent("#notice"), "");
  assert.deepEqual(trouble, []);
  await watch.screenshot({ path: `${PICTURES}/watch.png` });
  await watch.setViewportSize({ width: 390, height: 780 });
  await watch.screenshot({ path: `${PICTURES}/watch-phone.png` });

  // Five players with a token each, from one address.
  assert.deepEqual({ hls: viewers.hls, dash: viewers.dash }, { hls: 3, dash: 2 });
  assert.ok(!weir.log.some((line) => line.includes("token=")), "tokens are in no log");

  const fetched = await Promise.all([hls, dash, shaka].map((page) => page.evaluate<Record<string, Fetched>>("fetchedSegments()")));
  const [byHls, byDash, byShaka] = fetched as [Record<string, Fetched>, Record<string, Fetched>, Record<string, Fetched>];
  const same = { video: 0, audio: 0 };
  for (const [segment, { bytes, sha256 }] of Object.entries(byDash)) {
    const kind = segment.includes("/video/") ? "video" : "audio";
    assert.equal(byShaka[segment]?.sha256 ?? sha256, sha256, `${segment}: dash.js and Shaka`);
    const hlsSegment = byHls[segment];
    // The last one's parts may not all have come yet.
    if (!hlsSegment || hlsSegment.bytes < bytes) continue;
    assert.equal(hlsSegment.sha256, sha256, `${segment}: DASH and HLS`);
    if (byShaka[segment]) same[kind] += 1;
  }
  context.diagnostic(`segments with one sha256 in all three players: ${JSON.stringify(same)}`);
  assert.ok(Math.min(same.video, same.audio) >= PLAY_SECONDS / 3, `only ${JSON.stringify(same)} segments were fetched by all three`);
});

test("dash.js plays from segments that are still being made", { timeout: 150_000 }, async (context) => {
  await Promise.all(browser.contexts().map((one) => one.close()));
  publisher ??= publish(stream.pushUrl, PICTURE);
  const manifest = `${weir.http}/play/${stream.name}/manifest-ll.mpd?token=${await token()}`;
  await waitFor("the manifest is there", 25_000, async () => ((await fetch(manifest)).ok ? true : undefined));
  const page = await openPlayer("dash.js", "manifest-ll.mpd");
  await waitFor("dash.js plays", 25_000, async () => ((await report(page)).currentTime > 0.2 ? true : undefined));
  const before = await report(page);
  const { median, worst, course } = await latencyOver(DASH_SECONDS, page);
  const now = await report(page);
  await page.screenshot({ path: `${PICTURES}/dash.js-low-latency.png` });
  context.diagnostic(`latency by dash.js every 5 s: ${course}`);
  context.diagnostic(`dash.js: ${JSON.stringify({ before, after: now })}`);
  assertPlayed("dash.js", before, now, DASH_SECONDS);
  context.diagnostic(`low-latency DASH by dash.js: median ${median.toFixed(2)} s, worst ${worst.toFixed(2)} s`);
  assert.ok(median <= DASH_LATENCY_MAX_SECONDS, `dash.js was ${median} s behind`);

  // What came in pieces is what the segment is.
  let same = 0;
  const query = `token=${await token()}`;
  for (const [path, { sha256 }] of Object.entries(await page.evaluate<Record<string, Fetched>>("fetchedSegments()"))) {
    const answer = await fetch(`${weir.http}${path}.m4s?${query}`);
    // Chunked: it is still being made.
    if (!answer.ok || !answer.headers.has("content-length")) continue;
    const whole = createHash("sha256").update(new Uint8Array(await answer.arrayBuffer())).digest("hex");
    assert.equal(sha256, whole, path);
    same += 1;
  }
  context.diagnostic(`${same} segments with the sha256 of the complete file`);
  assert.ok(same >= DASH_SECONDS / 2, `only ${same} segments were compared`);
});

/** What the tests above leave out: each player by each protocol, with low latency and without, one after the other. */
const WAYS: [PlayerName, string, LowLatency][] = [
  ["hls.js", "master.m3u8", false],
  ["shaka", "master.m3u8", true],
  ["shaka", "master.m3u8", false],
  ["shaka", "manifest.mpd", true],
  ["shaka", "manifest-ll.mpd", true],
  ["dash.js", "manifest-ll.mpd", null],
];

test("every player by every protocol shows its pictures", { skip: !LONG, timeout: 900_000 }, async (context) => {
  publisher ??= publish(stream.pushUrl, PICTURE);
  for (const [player, path, lowLatency] of WAYS) {
    await Promise.all(browser.contexts().map((one) => one.close()));
    const name = `${player} on ${path}, low latency ${lowLatency}`;
    const page = await openPlayer(player, path, lowLatency);
    await waitFor(`${name} plays`, 25_000, async () => ((await report(page)).currentTime > 2 ? true : undefined));
    const before = await report(page);
    await latencyOver(PLAY_SECONDS, page);
    const now = await report(page);
    context.diagnostic(`${name}: ${JSON.stringify({ before, after: now })}`);
    assertPlayed(name, before, now, PLAY_SECONDS);
  }
});
