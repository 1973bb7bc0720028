// A browser watches by WebRTC, from a page of another site: pictures and sound, soon, by UDP and by TCP; and what it can't be shown is refused with words.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import type { Server } from "node:http";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "./browser";
import { PATIENCE_MS } from "./dashboard";
import { type Stream, waitFor, Weir } from "./weir";
import { call, openPlayer, type Report, report, startWhepSite } from "./whep_page";

const PICTURE = "-f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000";
const X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -keyint_min 60 -sc_threshold 0 -b:v 800k";

let weir: Weir, browser: Browser, site: Server;
const publishers: ChildProcess[] = [];

before(async () => {
  [weir, browser] = await Promise.all([Weir.start(), startBrowser()]);
  site = await startWhepSite();
});

after(async () => {
  publishers.forEach((publisher) => publisher.kill("SIGINT"));
  await browser?.close();
  await weir?.stop();
  site?.close();
});

async function live(name: string, options: string, more: object = {}): Promise<Stream> {
  const stream = await weir.createStream(name, more);
  const { push_urls } = await weir.api("GET", `/streams/${stream.id}?reveal=true`);
  const to = options.includes("mpegts") ? push_urls.primary.srt : stream.pushUrl;
  publishers.push(spawn("ffmpeg", ["-nostdin", "-v", "error", "-re", ...`${PICTURE} ${options}`.split(" "), to], { stdio: ["ignore", "ignore", "inherit"] }));
  await waitFor(`${name} is live`, PATIENCE_MS, async () => ((await weir.api("GET", `/streams/${stream.id}`)).status.live ? true : undefined));
  return stream;
}

const player = (): Promise<Page> => openPlayer(browser, site);
const viewers = async ({ id }: Stream): Promise<number> => (await weir.api("GET", `/streams/${id}`)).status.viewers.webrtc;

test("a browser watches what an encoder sends, picture and sound, by UDP and by TCP", { timeout: 120_000 }, async (context) => {
  const stream = await live("cam", `${X264} -tune zerolatency -c:a libopus -b:a 64k -f mpegts`);
  const whep = `${weir.http}/whep/cam`;
  assert.equal((await weir.api("GET", `/streams/${stream.id}`)).play_urls.whep, whep);
  for (const [how, protocol] of [["play", "udp"], ["playByTcp", "tcp"]] as const) {
    const page = await player();
    const answer = await call(page, `${how}("${whep}")`);
    assert.equal(answer.status, 201, answer.text);
    assert.deepEqual([answer.notice, /^".{8}"$/.test(answer.etag)], [null, true]);
    const seen = await waitFor(`3 s of it play by ${protocol}`, PATIENCE_MS, async () => {
      const now = await report(page);
      return now.framesDecoded >= 90 && now.samples >= 96_000 ? now : undefined;
    });
    context.diagnostic(`${protocol}: first picture after ${seen.firstPictureMs?.toFixed(0)} ms, ${seen.framesDecoded} decoded, ${seen.framesDropped} dropped`);
    assert.ok(seen.audible, "the sound is silence");
    assert.deepEqual([seen.state, seen.protocol, seen.freezes], ["connected", protocol, 0]);
    assert.ok((seen.firstPictureMs ?? Infinity) < 3_000, `the first picture took ${seen.firstPictureMs} ms`);
    assert.equal(await viewers(stream), 1);
    assert.equal(await call(page, "end()"), 200);
    await waitFor("the viewer is gone", PATIENCE_MS, async () => ((await viewers(stream)) === 0 ? true : undefined));
    assert.equal(await call(page, "end()"), 404);
    await page.context().close();
  }
});

interface Made {
  rendition: string;
  label: string;
  reason: string;
}

const status = async ({ id }: Stream): Promise<any> => (await weir.api("GET", `/streams/${id}`)).status;
const made = async (stream: Stream): Promise<Made[]> => (await status(stream)).webrtc.made;

/** Plays on a page of its own until pictures and sound have come. */
async function plays(name: string): Promise<{ page: Page; seen: Report }> {
  const page = await player();
  const answer = await call(page, `play("${weir.http}/whep/${name}")`);
  assert.deepEqual([answer.status, answer.notice], [201, null], answer.text);
  const seen = await waitFor(`${name} plays`, PATIENCE_MS, async () => {
    const now = await report(page);
    return now.framesDecoded >= 60 && now.audible ? now : undefined;
  });
  return { page, seen };
}

test("sound that browsers don't take is made into Opus while somebody watches", { timeout: 180_000 }, async (context) => {
  const picture = `${X264} -tune zerolatency`;
  const asIs = { name: "source", passthrough: true };
  for (const [name, options, ladder, expected] of [
    ["aac", `${picture} -c:a aac -b:a 96k -f flv`, null, /^the sound is aac/],
    ["ac3", `${picture} -c:a ac3 -b:a 192k -f mpegts`, null, /^the sound is ac3/],
    // A rung that has it is taken.
    ["opus", `${picture} -c:a aac -b:a 96k -f flv`, [asIs, { name: "webrtc", video: "source", audio_codec: "opus", audio_bitrate_kbps: 96 }], null],
  ] as const) {
    const stream = await live(name, options, { ladder });
    const { page, seen } = await plays(name);
    context.diagnostic(`${name}: first picture after ${seen.firstPictureMs?.toFixed(0)} ms`);
    const told = await made(stream);
    assert.deepEqual(told.map(({ label }) => label), expected ? ["picture as it is · Opus · 128 kbps"] : []);
    if (expected) assert.match(told[0]?.reason ?? "", expected);
    const playlist = await (await fetch(`${weir.http}/play/${name}/master.m3u8`)).text();
    assert.ok(playlist.includes("#EXTM3U") && !playlist.includes("~"), playlist);
    // A second viewer finds it running.
    const second = await plays(name);
    assert.ok((second.seen.firstPictureMs ?? Infinity) < 2_000, `the second one's first picture took ${second.seen.firstPictureMs} ms`);
    await second.page.context().close();
    assert.equal(await call(page, "end()"), 200);
    await page.context().close();
  }
});

test("pictures that browsers refuse come of a rung without B-frames, or are made", { timeout: 180_000 }, async (context) => {
  const reordered = `${X264} -bf 2 -b_strategy 0 -c:a aac -f flv`;
  const broadcast = "-c:v mpeg2video -pix_fmt yuv420p -g 30 -bf 2 -b:v 2M -c:a mp2 -b:a 192k -f mpegts";
  const small = { name: "small", width: 320, height: 180, video_bitrate_kbps: 300, audio_bitrate_kbps: 64, gop_seconds: 10 };
  for (const [name, options, ladder, label, reason] of [
    ["reordered", reordered, null, "640×360 · H.264 · 691 kbps", /B-frames/],
    ["broadcast", broadcast, null, "640×360 · H.264 · 691 kbps", /^mpeg2 is not sent by WebRTC/],
    ["laddered", reordered, [{ name: "source", passthrough: true }, small], "320×180 · H.264 · 300 kbps", /^the sound is aac/],
    // The worker is given pictures from when they are needed on.
    ["radio", reordered, [{ name: "sound", audio_bitrate_kbps: 64 }], "640×360 · H.264 · 691 kbps", /B-frames/],
  ] as const) {
    const stream = await live(name, options, { ladder });
    context.diagnostic(`${name}: live`);
    const flows = ({ state }: { state: string }): boolean => state === "live";
    await waitFor("the rungs flow", PATIENCE_MS, async () => ((await status(stream)).renditions.every(flows) ? true : undefined));
    const { page, seen } = await plays(name);
    context.diagnostic(`${name}: first picture after ${seen.firstPictureMs?.toFixed(0)} ms`);
    assert.ok((seen.firstPictureMs ?? Infinity) < 5_000, `the first picture took ${seen.firstPictureMs} ms`);
    const told = await made(stream);
    assert.deepEqual(told.map(({ label }) => label), [label]);
    assert.match(told[0]?.reason ?? "", reason);
    // The rung's encoder runs already: it is told to begin anew for who comes in the middle of its ten seconds.
    if (name === "laddered") assert.ok((await status(stream)).webrtc.keyframes_forced >= 1);
    const metrics = await (await fetch(`${weir.http}/metrics`)).text();
    assert.match(metrics, new RegExp(`weir_worker_starts_total{stream="${name}"} 1\n`), "no encoder was begun anew");
    await page.context().close();
  }
  const page = await player();
  for (const path of ["/whep/nobody", "/whep/reordered?rendition=720p"]) {
    assert.equal((await call(page, `play("${weir.http}${path}")`)).status, 404, path);
  }
  await page.context().close();
});
