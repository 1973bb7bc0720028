// The dashboard says nothing that is not so: old pictures, renditions by other names, outages, gaps, and what a click costs.

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "./browser";
import { freePort, logIn, PATIENCE_MS, visit } from "./dashboard";
import { ADMIN_PASSWORD, publish, type Stream, waitFor, Weir } from "./weir";

const PICTURE = { size: "320x180", rate: 15, kbps: 200, gop: 2 };

let weir: Weir, browser: Browser;
const publishers: ChildProcess[] = [];

before(async () => {
  [weir, browser] = await Promise.all([Weir.start(), startBrowser()]);
});

after(async () => {
  for (const publisher of publishers) {
    publisher.kill("SIGCONT");
    publisher.kill("SIGINT");
  }
  await browser?.close();
  await weir?.stop();
});

async function goLive(name: string): Promise<{ stream: Stream; publisher: ChildProcess }> {
  const stream = await weir.createStream(name);
  const publisher = publish(stream.pushUrl, PICTURE);
  publishers.push(publisher);
  await waitFor(`${name} is live`, PATIENCE_MS, async () => ((await weir.api("GET", `/streams/${stream.id}`)).status.live ? true : undefined));
  return { stream, publisher };
}

async function loggedIn(): Promise<{ page: Page; done: () => Promise<void> }> {
  const { page, context, trouble } = await visit(browser, weir);
  await logIn(page, "admin", ADMIN_PASSWORD);
  return {
    page,
    done: async () => {
      assert.deepEqual(trouble, []);
      await context.close();
    },
  };
}

test("a picture that is not of now says how old it is, and goes", { timeout: 180_000 }, async () => {
  const { publisher } = await goLive("stuck");
  const { page, done } = await loggedIn();
  const tile = page.locator(".tile", { hasText: "stuck" });
  await tile.locator("img[data-shown]").waitFor();
  const picture = async () => fetch(`${weir.http}/play/stuck/thumbnail.jpg`);
  const now = await picture();
  assert.equal(now.status, 200);
  assert.ok(Number(now.headers.get("age")) < 10 && Date.now() - Date.parse(now.headers.get("last-modified") ?? "") < 15_000, "it says that it is of now");
  assert.equal(await tile.locator(".picture-age").count(), 0);

  publisher.kill("SIGSTOP");
  await tile.locator(".picture-age", { hasText: /1\d s old/ }).waitFor();
  const later = await picture();
  assert.ok(Number(later.headers.get("age")) >= 9, "the server says so, too");
  await waitFor("it is gone", PATIENCE_MS, async () => ((await picture()).status === 404 ? true : undefined));
  await tile.locator("img").waitFor({ state: "detached" });
  publisher.kill("SIGCONT");
  await done();
});

test("a restream's own rendition is one box that runs, under the name that it was given", { timeout: 180_000 }, async () => {
  const { stream } = await goLive("fixed");
  const own = { name: "youtube", width: 320, height: 180, video_bitrate_kbps: 150, audio_bitrate_kbps: 64 };
  const made = await weir.api("POST", "/restreams", { stream_id: stream.id, name: "To YouTube", active: true, rendition: own, uri: `rtmp://127.0.0.1:${await freePort()}/app/key` });
  const name = made.status.rendition as string;
  assert.ok(name.startsWith("~"), "the server's name for it");
  const { page, done } = await loggedIn();
  await page.goto(`/streams/${stream.id}`);
  const box = page.getByRole("button", { name: /^Rendition youtube/ });
  await waitFor("it runs", PATIENCE_MS, async () => (/\d kbps/.test(await box.innerText().catch(() => "")) ? true : undefined));
  assert.ok(!(await box.innerText()).includes("not running"));
  await page.locator(".legend li", { hasText: "youtube" }).first().waitFor();
  await page.getByRole("link", { name: "Events" }).click();
  await page.locator(".events li", { hasText: /youtube is encoded by/ }).first().waitFor();
  assert.ok(!(await page.locator("main").innerText()).includes(name), "its internal name is nobody's business");
  assert.equal(await page.locator(".events li", { hasText: "had to move" }).count(), 0, "it always was with this encoder");
  await done();
});

test("an outage is as old as it is, and its row stays where it is", { timeout: 120_000 }, async () => {
  const { stream } = await goLive("dead-end");
  const began = Date.now();
  for (const name of ["one", "two"]) await weir.api("POST", "/restreams", { stream_id: stream.id, name, active: true, uri: `rtmp://127.0.0.1:${await freePort()}/app/${name}` });
  const { page, done } = await loggedIn();
  const rows = page.locator(".trouble", { hasText: "of dead-end" });
  await waitFor("both fail", PATIENCE_MS, async () => ((await rows.count()) === 2 ? true : undefined));
  const order = async () => (await rows.locator(".trouble-name").allInnerTexts()).join();
  const first = await order();
  await waitFor("both were tried several times", PATIENCE_MS, async () => {
    assert.equal(await order(), first, "rows do not move");
    const { items } = await weir.api("GET", `/restreams?stream_id=${stream.id}`);
    return items.every(({ status }: { status: { attempt: number } }) => status.attempt >= 4) ? true : undefined;
  });
  const { items } = await weir.api("GET", `/restreams?stream_id=${stream.id}`);
  for (const { status } of items) assert.ok(Math.abs(Date.parse(status.failing_since) - began) < 5_000, "since the first failure, not the last");
  await page.getByRole("link", { name: "Events" }).click();
  await page.locator(".events li", { hasText: /one: Error.*attempts since/ }).waitFor();
  assert.equal(await page.locator(".events li", { hasText: "one: Error" }).count(), 1, "one row, however often it was tried");
  await done();
});

test("what was before the page was opened is drawn", { timeout: 120_000 }, async () => {
  await goLive("before");
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const { page, done } = await loggedIn();
  const line = page.locator(".tile", { hasText: "before" }).locator("canvas.sparkline");
  await line.waitFor();
  const painted = () => line.evaluate((canvas: HTMLCanvasElement) => canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0) ?? false);
  const opened = Date.now();
  await waitFor("the line is there at once", PATIENCE_MS, async () => ((await painted()) ? true : undefined));
  assert.ok(Date.now() - opened < 5_000, "it does not begin with the page");
  await done();
});

test("Stop says what it ends, and dialogs lose neither what was typed nor the focus", { timeout: 120_000 }, async () => {
  const { stream } = await goLive("costly");
  for (const name of ["one", "two"]) await weir.api("POST", "/restreams", { stream_id: stream.id, name, active: true, uri: `rtmp://127.0.0.1:${await freePort()}/app/${name}` });
  const viewer = setInterval(() => void fetch(`${weir.http}/play/costly/source/video.m3u8`).catch(() => undefined), 1_000);
  const { page, done } = await loggedIn();
  await page.goto(`/streams/${stream.id}`);
  const dialog = page.getByRole("dialog");
  const focused = () => page.evaluate(() => document.activeElement?.textContent || document.activeElement?.getAttribute("aria-label") || document.activeElement?.tagName || "");
  await page.locator(".page-actions").getByRole("button", { name: "Stop" }).click();
  await dialog.getByText(/ends 2 restreams and 1 viewer\./).waitFor();
  await waitFor("the focus is not on the cross", PATIENCE_MS, async () => ((await focused()) === "Cancel" ? true : undefined));
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
  await waitFor("the focus is back", PATIENCE_MS, async () => ((await focused()) === "Stop" ? true : undefined));
  assert.equal((await weir.api("GET", `/streams/${stream.id}`)).active, true, "nothing was stopped");

  // A dialog out of a menu gives the focus back to the menu's button.
  await page.locator(".page-actions").getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Settings" }).click();
  await waitFor("the first field has the focus", PATIENCE_MS, async () => ((await dialog.getByLabel("Name").evaluate((field) => field === document.activeElement)) ? true : undefined));
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await waitFor("the focus is back", PATIENCE_MS, async () => ((await focused()) === "More actions" ? true : undefined));

  // What was typed is asked for.
  await page.getByRole("button", { name: "Add restream" }).click();
  await dialog.getByLabel("Stream key").fill("a-key-that-was-typed");
  await page.keyboard.press("Escape");
  await dialog.getByText("Discard what you typed?").waitFor();
  await dialog.getByRole("button", { name: "Keep editing" }).click();
  assert.equal(await dialog.getByLabel("Stream key").inputValue(), "a-key-that-was-typed");
  await page.keyboard.press("Escape");
  await dialog.getByRole("button", { name: "Discard" }).click();
  await dialog.waitFor({ state: "detached" });

  // The form offers what the server takes, and says what it does not.
  await page.goto("/streams");
  await page.getByRole("button", { name: "New stream" }).click();
  await dialog.getByText(/Lower-case letters/).waitFor();
  assert.equal(await dialog.getByText(/playlist/i).count(), 0);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.goto(`/streams/${stream.id}`);
  await page.locator(".page-actions").getByRole("button", { name: "Stop" }).click();
  await dialog.getByRole("button", { name: "Stop stream" }).click();
  await page.locator('.page-name .state[data-state="offline"]').waitFor();
  clearInterval(viewer);
  await done();
});
