// Every page, dark and light, desktop and phone, of a server on which something happens: `make screenshots`.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { startBrowser } from "./browser";
import { freePort, logIn, visit } from "./dashboard";
import { ADMIN_PASSWORD, type Stream, waitFor, Weir } from "./weir";

const TO = process.argv[2] ?? "../docs/screenshots";
const SETTLE_SECONDS = Number(process.argv[3] ?? 45);
const ONLY = process.argv[4];

const folder = await mkdtemp(join(tmpdir(), "weir-pictures-"));
const weir = await Weir.start();
const browser = await startBrowser();
const publishers: ChildProcess[] = [];
try {
  const { main } = await furnish();
  await mkdir(TO, { recursive: true });
  const pages: [string, string, ((page: Page) => Promise<void>)?][] = [
    ["overview", "/"],
    ["streams", "/streams"],
    ["stream", `/streams/${main.id}`, playPreview],
    ["publish", `/streams/${main.id}/publish`, openCamera],
    ["restreams", "/restreams"],
    ["add-restream", `/streams/${main.id}`, addRestream],
    ["new-stream", "/streams", newStream],
    ["events", "/events"],
    ["destinations", "/destinations"],
    ["ladders", "/ladders"],
    ["recordings", "/recordings"],
    ["webhooks", "/webhooks"],
    ["users", "/users"],
    ["audit", "/audit"],
    ["system", "/system"],
  ];
  // One page stays open all the while, so that its graphs have something to draw.
  for (const theme of ["dark", "light"] as const) {
    for (const phone of [false, true]) {
      const suffix = `${theme}${phone ? "-phone" : ""}`;
      if (ONLY && !ONLY.split(",").includes(suffix)) continue;
      const { page, context, trouble } = await visit(browser, weir, { theme, phone });
      await page.goto("/");
      await page.getByLabel("Password").waitFor();
      await page.screenshot({ path: `${TO}/login-${suffix}.png` });
      await logIn(page, "admin", ADMIN_PASSWORD);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_SECONDS * 1_000));
      for (const [name, path, act] of pages) {
        await page.evaluate((to) => {
          history.pushState(null, "", to);
          dispatchEvent(new PopStateEvent("popstate"));
        }, path);
        await page.waitForTimeout(1_500);
        await act?.(page);
        await page.evaluate(() => scrollTo(0, 0));
        const dialog = name.startsWith("add-") || name.startsWith("new-");
        await page.screenshot({ path: `${TO}/${name}-${suffix}.png`, fullPage: !dialog });
        if (dialog) await page.keyboard.press("Escape");
      }
      await page.goto(`/watch/${main.name}`);
      await page.getByRole("button", { name: "Stats" }).click();
      await waitFor("the watch page plays", 60_000, async () => ((await page.textContent("#badge")) === "Live" ? true : undefined));
      await page.waitForTimeout(3_000);
      await page.screenshot({ path: `${TO}/watch-${suffix}.png` });
      trouble.forEach((text) => console.error(suffix, text));
      await context.close();
    }
  }
} finally {
  publishers.forEach((publisher) => publisher.kill("SIGINT"));
  await browser.close();
  await weir.stop();
  await rm(folder, { recursive: true, force: true });
}

async function playPreview(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Play preview" }).click();
  await waitFor("the preview plays", 60_000, async () => ((await page.evaluate(`document.querySelector("video")?.currentTime ?? 0`) as number) > 1 ? true : undefined));
  await page.waitForTimeout(3_000);
}

async function openCamera(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Turn on the camera" }).click({ timeout: 5_000 }).catch(() => undefined);
  await page.waitForTimeout(1_000);
}

async function addRestream(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Add restream" }).click();
  await page.getByRole("button", { name: "Facebook" }).click();
  await page.getByLabel("Stream key").fill("FB-1029384756-0-AbC");
  await page.waitForTimeout(300);
}

async function newStream(page: Page): Promise<void> {
  await page.getByRole("button", { name: "New stream" }).click();
  await page.getByLabel("Name").fill("keynote");
  await page.waitForTimeout(300);
}

/** Something of everything: live and not, pushed and refused, a ladder, people. */
async function furnish(): Promise<{ main: Stream }> {
  const main = await weir.createStream("main-stage", { ladder: [rendition("360p", 640, 360, 600), rendition("240p", 426, 240, 300)] });
  const second = await weir.createStream("studio-b", {});
  const third = await weir.createStream("city-cam-north", { record: true });
  await weir.createStream("field-unit", {});
  await weir.createStream("archive-loop", { active: false });
  const sinks = await Promise.all(["sink-a", "sink-b"].map((name) => weir.createStream(name, { hls: false, dash: false })));
  await Promise.all([
    loop(main.pushUrl, { size: "1280x720", rate: 30, kbps: 2400, gop: 10, picture: "mandelbrot" }),
    loop(second.pushUrl, { size: "640x360", rate: 25, kbps: 1400, gop: 2, picture: "gradients" }),
    loop(third.pushUrl, { size: "1280x720", rate: 25, kbps: 900, gop: 2, picture: "smptehdbars" }),
  ]);
  const youtube = await weir.api("POST", "/destinations", { name: "YouTube, main channel", platform: "youtube", url: "rtmp://a.rtmp.youtube.com/live2", backup_url: "rtmp://b.rtmp.youtube.com/live2?backup=1" });
  await weir.api("POST", "/destinations", { name: "Church TV", platform: "generic-rtmp", url: "rtmps://ingest.church.example:443/live", backup_url: null });
  const push = (stream: Stream, name: string, more: object) => weir.api("POST", "/restreams", { stream_id: stream.id, name, active: true, ...more });
  await push(main, "Partner site", { uri: sinks[0]?.pushUrl });
  await push(main, "Mobile app", { uri: sinks[1]?.pushUrl, rendition: "360p" });
  await push(main, "Regional TV", { uri: `rtmp://127.0.0.1:${await freePort()}/live/regional-key-1` });
  await push(main, "YouTube", { destination_id: youtube.id, stream_key: "abcd-efgh-ijkl-mnop", active: false });
  await push(second, "Archive", { uri: `rtmp://127.0.0.1:${await freePort()}/live/archive-key-1`, active: false });
  await weir.api("POST", "/restreams", { stream_id: 4, name: "Field to air", active: true, uri: `rtmp://127.0.0.1:${await freePort()}/live/field-key-1` });
  await weir.api("POST", "/users", { name: "maria", password: "screenshot-only-1", role: "operator" });
  await weir.api("POST", "/users", { name: "control-room", password: "screenshot-only-2", role: "viewer" });
  await weir.api("POST", "/apikeys", { name: "scheduler", role: "operator" });
  await weir.api("POST", "/ladders", { name: "event-3", title: "Event, three renditions", renditions: [rendition("1080p", 1920, 1080, 5000), rendition("720p", 1280, 720, 2800), rendition("480p", 854, 480, 1200)] });
  await waitFor("main-stage is live", 60_000, async () => ((await weir.api("GET", `/streams/${main.id}`)).status.live ? true : undefined));
  return { main };
}

interface Clip {
  size: string;
  rate: number;
  kbps: number;
  /** Seconds from keyframe to keyframe. */
  gop: number;
  /** A source of lavfi. */
  picture: string;
}

/** Encoded once and then copied: a machine that takes pictures of pages has no time to encode others. */
async function loop(url: string, { size, rate, kbps, gop, picture }: Clip): Promise<void> {
  const clip = join(folder, `${picture}.flv`);
  const make = `-v error -f lavfi -i ${picture}=size=${size}:rate=${rate} -f lavfi -i sine=frequency=330 -t 20 -c:v libx264 -preset veryfast -bf 0 -pix_fmt yuv420p -g ${rate * gop} -keyint_min ${rate * gop} -sc_threshold 0 -b:v ${kbps}k -minrate ${kbps}k -maxrate ${kbps}k -bufsize ${kbps}k -c:a aac -b:a 96k ${clip}`;
  await once(spawn("ffmpeg", make.split(" "), { stdio: ["ignore", "ignore", "inherit"] }), "exit");
  publishers.push(spawn("ffmpeg", `-nostdin -v error -re -stream_loop -1 -i ${clip} -c copy -f flv ${url}`.split(" "), { stdio: ["ignore", "ignore", "inherit"] }));
}

function rendition(name: string, width: number, height: number, kbps: number): object {
  return { name, width, height, video_bitrate_kbps: kbps, audio_bitrate_kbps: 96, gop_seconds: 2 };
}
