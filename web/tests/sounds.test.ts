// Three languages from one source: the menus of the watch page and of the dashboard's preview, and dash.js, offer those that can be played, and
// choosing one makes it heard. Each language hums a note of its own.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import type { Server } from "node:http";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser, startPlayerSite } from "./browser";
import { logIn, PATIENCE_MS, visit } from "./dashboard";
import { ADMIN_PASSWORD, type Stream, waitFor, Weir } from "./weir";

/** The long form also plays over a restart of the source, with which another Period begins. */
const LONG = Boolean(process.env["WEIR_LONG"]);
const NOTES = [["deu", "aac", 440, "German"], ["eng", "ac3", 1000, "English"], ["fra", "mp2", 2000, "French"]] as const;
/** An FFT of 4096 at 48 kHz has steps of 12 Hz. */
const HERTZ_NEAR = 25;
const PICTURES = "test-results";

let weir: Weir, browser: Browser;
const publishers: ChildProcess[] = [];
const sites: Server[] = [];

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  [weir, browser] = await Promise.all([Weir.start(), startBrowser()]);
});

after(async () => {
  publishers.forEach((publisher) => publisher.kill("SIGINT"));
  await browser?.close();
  sites.forEach((site) => site.close());
  await weir?.stop();
});

/** What broadcast sends by SRT: H.264, and each language in a codec of its own. */
function publish({ srtUrl }: Stream): ChildProcess {
  const inputs = ["testsrc2=size=320x180:rate=25", ...NOTES.map(([, , hertz]) => `sine=frequency=${hertz}:sample_rate=48000`)];
  const video = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -b:v 300k";
  const sounds = NOTES.flatMap(([language, codec], at) => [`-c:a:${at}`, codec, `-metadata:s:a:${at}`, `language=${language}`]);
  const options = [
    "-nostdin", "-v", "error",
    ...inputs.flatMap((input) => ["-re", "-f", "lavfi", "-i", input]),
    ...inputs.flatMap((_, at) => ["-map", String(at)]),
    ...video.split(" "), ...sounds, "-ac", "2", "-b:a", "128k", "-f", "mpegts", srtUrl,
  ];
  const publisher = spawn("ffmpeg", options, { stdio: ["ignore", "ignore", "inherit"] });
  publishers.push(publisher);
  return publisher;
}

/** What a page's video hums, once it is that. */
async function hears(page: Page, hertz: number, what: string): Promise<void> {
  let last = 0;
  await waitFor(`${what} hums ${hertz} Hz`, PATIENCE_MS, async () => {
    last = await page.evaluate<number>(`(() => {
      const video = document.querySelector("video");
      video.muted = false;
      // What comes by WebRTC is not heard at the element.
      const { srcObject } = video, ears = (window.ears ??= new Map());
      const ear = ears.get(srcObject) ?? (() => {
        const context = new AudioContext({ sampleRate: 48000 });
        const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
        const source = srcObject ? context.createMediaStreamSource(srcObject) : context.createMediaElementSource(video);
        source.connect(analyser).connect(new GainNode(context, { gain: 0 })).connect(context.destination);
        return { context, analyser, bins: new Float32Array(analyser.frequencyBinCount) };
      })();
      ears.set(srcObject, ear);
      void ear.context.resume();
      ear.analyser.getFloatFrequencyData(ear.bins);
      const loudest = ear.bins.reduce((best, level, at) => (level > ear.bins[best] ? at : best), 0);
      return ear.bins[loudest] > -60 ? loudest * 48000 / 4096 : 0;
    })()`);
    return Math.abs(last - hertz) < HERTZ_NEAR ? true : undefined;
  }).catch((error) => assert.fail(`${error.message}, but ${last.toFixed(0)} Hz`));
}

async function options(page: Page, menu: string): Promise<string[]> {
  return page.locator(menu).locator("option").allInnerTexts();
}

/** The first viewer, from before the stream is live, and what it can choose. */
async function watch(name: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 900, height: 600 } })).newPage();
  await page.goto(`${weir.http}/watch/${name}?way=ll-hls`);
  await waitFor("it is offline", PATIENCE_MS, async () => ((await page.textContent("#notice"))?.includes("offline") ? true : undefined));
  return page;
}

async function dash(name: string): Promise<Page> {
  const site = await startPlayerSite("dash.js");
  sites.push(site.server);
  const page = await (await browser.newContext({ viewport: { width: 640, height: 360 } })).newPage();
  await page.goto(`${site.url}?url=${encodeURIComponent(`${weir.http}/play/${name}/manifest.mpd`)}`);
  await waitFor("dash.js plays", PATIENCE_MS, async () => (await page.evaluate<number>("report().currentTime") > 0 ? true : undefined));
  return page;
}

/** In the order of the manifest. */
async function languagesOfDash(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`player.getTracksFor("audio").map(({ lang }) => lang)`);
}

async function chooseInDash(page: Page, language: string): Promise<void> {
  await page.evaluate(`player.setCurrentTrack(player.getTracksFor("audio").find(({ lang }) => lang === ${JSON.stringify(language)}))`);
}

test("a ladder offers every language to everybody", { timeout: 180_000 }, async () => {
  const small = { name: "small", width: 320, height: 180, video_bitrate_kbps: 200, audio_bitrate_kbps: 96 };
  const stream = await weir.createStream("broadcast", { ladder: [{ name: "source", passthrough: true }, small] });
  const page = await watch(stream.name);
  let publisher = publish(stream);
  await page.locator("#sounds").waitFor({ timeout: PATIENCE_MS });
  const names = NOTES.map(([, , , name]) => name);
  assert.deepEqual(await options(page, "#sound"), names, "the first playlist has all of them");
  await hears(page, 440, "the watch page in German");
  for (const [, , hertz, name] of NOTES.slice(1)) {
    await page.locator("#sound").selectOption({ label: name });
    await hears(page, hertz, `the watch page in ${name}`);
  }
  await page.screenshot({ path: `${PICTURES}/watch-sounds.png` });
  await page.context().close();

  const player = await dash(stream.name);
  assert.deepEqual(await languagesOfDash(player), ["de", "en", "fr"]);
  for (const [language, hertz] of [["fr", 2000], ["de", 440]] as const) {
    await chooseInDash(player, language);
    await hears(player, hertz, `dash.js in ${language}`);
  }

  const { page: dashboard, context, trouble } = await visit(browser, weir);
  await logIn(dashboard, "admin", ADMIN_PASSWORD);
  await dashboard.goto(`/streams/${stream.id}`);
  await dashboard.getByRole("button", { name: "Play preview" }).click();
  // WebRTC carries one sound.
  await dashboard.getByRole("combobox", { name: "Way to play" }).selectOption("hls");
  const menu = dashboard.getByRole("combobox", { name: "Language" });
  await menu.waitFor({ timeout: PATIENCE_MS });
  assert.deepEqual(await menu.locator("option").allInnerTexts(), names);
  await menu.selectOption({ label: "French" });
  await hears(dashboard, 2000, "the preview in French");
  await dashboard.screenshot({ path: `${PICTURES}/preview-sounds.png` });
  assert.deepEqual(trouble, []);
  await context.close();

  if (LONG) {
    for (let times = 0; times < 3; times++) {
      publisher.kill("SIGINT");
      await new Promise((resolve) => publisher.on("exit", resolve));
      publisher = publish(stream);
      // Long enough for the player to have gone over to the new Period.
      await new Promise((resolve) => setTimeout(resolve, 15_000));
      assert.deepEqual(await languagesOfDash(player), ["de", "en", "fr"], "in each Period");
      await chooseInDash(player, "fr");
      await hears(player, 2000, "dash.js after a restart");
    }
    const { errors } = await player.evaluate<{ errors: string[] }>("report()");
    assert.deepEqual(errors, []);
  }
});

test("what is passed on untouched is offered where it can be played, and the rest is told", { timeout: 120_000 }, async () => {
  const stream = await weir.createStream("untouched");
  const page = await watch(stream.name);
  publish(stream);
  await page.locator("#sounds").waitFor({ timeout: PATIENCE_MS });
  // Chromium has no decoder for AC-3, and MP2 can't be in the segments.
  assert.deepEqual(await options(page, "#sound"), ["German", "English (AC-3 can't be played here)", "French (MP2 can't be played here)"]);
  assert.equal(await page.locator("#sound option:disabled").count(), 2);
  await hears(page, 440, "the watch page in German");
  // By WebRTC all of them are made into Opus, and another one is another session. What was heard stays.
  await page.locator("#way").selectOption("webrtc");
  await waitFor("it plays by WebRTC", PATIENCE_MS, async () => ((await page.locator("#way").inputValue()) === "webrtc" && (await page.textContent("#badge")) === "Live" ? true : undefined));
  assert.deepEqual(await options(page, "#sound"), ["German", "English", "French"]);
  await hears(page, 440, "the watch page by WebRTC in German");
  for (const [, , hertz, name] of NOTES.slice(1)) {
    await page.locator("#sound").selectOption({ label: name });
    await hears(page, hertz, `the watch page by WebRTC in ${name}`);
  }
  const player = await dash(stream.name);
  assert.deepEqual(await languagesOfDash(player), ["de"]);
  await hears(player, 440, "dash.js in German");
});
