// Every page of the dashboard in a real browser: who sees what, a server that can't be reached, accessibility, and what the first page weighs.

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser } from "./browser";
import { Cuttable, freePort, logIn, PATIENCE_MS, visit } from "./dashboard";
import { ADMIN_PASSWORD, publish, waitFor, Weir } from "./weir";

/** Everything that the first page loads, as it comes over the wire. */
const FIRST_LOAD_MAX_BYTES = 300_000;

let weir: Weir, browser: Browser, publisher: ChildProcess;

/** What the pages have to show: a stream that is live with a ladder, a push that fails, a saved ladder, a destination and a webhook. */
before(async () => {
  [weir, browser] = await Promise.all([Weir.start(), startBrowser()]);
  const stream = await weir.createStream("first-day", { ladder: [{ name: "180p", width: 320, height: 180, video_bitrate_kbps: 200 }] });
  publisher = publish(stream.pushUrl, { size: "320x180", rate: 10, kbps: 150 });
  const nobody = await freePort();
  await weir.api("POST", "/restreams", { stream_id: stream.id, name: "refused", uri: `rtmp://127.0.0.1:${nobody}/live/key` });
  await weir.api("POST", "/destinations", { name: "CDN", url: "rtmp://cdn.example.net/live" });
  await weir.api("POST", "/webhooks", { url: `http://127.0.0.1:${nobody}/hook` });
  await waitFor("the stream is live", PATIENCE_MS, async () => ((await weir.api("GET", `/streams/${stream.id}`)).status.live ? true : undefined));
});

after(async () => {
  publisher?.kill("SIGINT");
  await browser?.close();
  await weir?.stop();
});

/** To another page, as a click on a link would. */
async function go(page: Page, path: string): Promise<void> {
  await page.evaluate((to) => {
    history.pushState(null, "", to);
    dispatchEvent(new PopStateEvent("popstate"));
  }, path);
}

/** What the page asked for has come. */
async function settled(page: Page): Promise<void> {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await waitFor("the page is filled", PATIENCE_MS, async () => ((await page.locator("main .loading").count()) === 0 ? true : undefined));
}

test("who may do what", { timeout: 120_000 }, async () => {
  const password = "role-matrix-password-1";
  for (const role of ["operator", "viewer"]) await weir.api("POST", "/users", { name: `a-${role}`, password, role });
  const sees: Record<string, Record<string, boolean>> = {};
  for (const [role, name, word] of [["admin", "admin", ADMIN_PASSWORD], ["operator", "a-operator", password], ["viewer", "a-viewer", password]] as const) {
    const { page, trouble } = await visit(browser, weir);
    await logIn(page, name, word);
    const has = async (path: string, button: string | RegExp) => {
      await go(page, path);
      await settled(page);
      return (await page.getByRole("button", { name: button }).count()) > 0;
    };
    sees[role] = {
      "new stream": await has("/streams", "New stream"),
      "add restream": await has("/streams/1", "Add restream"),
      "reveal keys": (await page.getByRole("button", { name: "Reveal keys" }).count()) > 0,
      "change ladder": await has("/ladders", "New ladder"),
      "new destination": await has("/destinations", "New destination"),
      "new user": await has("/users", "New user"),
    };
    if (role !== "admin") await page.getByRole("heading", { name: "Not for your role" }).waitFor();
    if (role !== "viewer") {
      // Only admins name addresses here: others are offered saved destinations, and are told so.
      await go(page, "/streams/1");
      await page.getByRole("button", { name: "Add restream" }).first().click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Stream key").waitFor();
      assert.equal(await dialog.getByLabel("Server URL").count(), role === "admin" ? 1 : 0, role);
      assert.equal(await dialog.getByText(/an admin has saved/).count(), role === "admin" ? 0 : 1, role);
    }
    assert.deepEqual(trouble, [], role);
    await page.context().close();
  }
  const all = (...may: boolean[]) => Object.fromEntries(["new stream", "add restream", "reveal keys", "change ladder", "new destination", "new user"].map((what, at) => [what, may[at]]));
  assert.deepEqual(sees, {
    admin: all(true, true, true, true, true, true),
    operator: all(true, true, true, false, false, false),
    viewer: all(false, false, false, false, false, false),
  });
});

test("a page that is cut off says so, and comes back by itself", { timeout: 180_000 }, async () => {
  const line = await Cuttable.to(weir.http);
  const { page } = await visit(browser, weir);
  await page.goto(line.url);
  await page.getByLabel("Name").fill("admin");
  await page.getByLabel("Password").fill(ADMIN_PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("link", { name: "first-day" }).first().waitFor();
  line.cut();
  await page.getByRole("alert").filter({ hasText: /can't be reached\. What you see is \d+ s old/ }).waitFor();
  await weir.createStream("made-meanwhile");
  line.mend();
  await page.getByRole("link", { name: "made-meanwhile" }).waitFor();
  await page.getByRole("alert").waitFor({ state: "detached" });
  await page.context().close();
  line.close();
});

test("every resource of the API has its page, and every page is accessible", { timeout: 180_000 }, async (context) => {
  const routes = await readFile("dashboard/src/routes.tsx", "utf8");
  const shown = new Set([...routes.matchAll(/resources: \[([^\]]+)\]/g)].flatMap(([, list]) => [...(list ?? "").matchAll(/"(\w+)"/g)].map(([, name]) => name)));
  const openapi = JSON.parse(await readFile("../docs/openapi.json", "utf8"));
  const tags = new Set(Object.values<any>(openapi.paths).flatMap((methods) => Object.values<any>(methods).flatMap(({ tags }) => tags as string[])));
  // The session is the login, which is in front of all pages.
  const missing = [...tags].filter((tag) => !shown.has(tag) && tag !== "session");
  assert.deepEqual(missing, []);

  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const paths = [...routes.matchAll(/path: "([^"]+)"/g)].map(([, path]) => (path ?? "").replace(":id", "1"));
  const { page, trouble } = await visit(browser, weir);
  const seen: string[] = [];
  const check = async (what: string) => {
    await page.evaluate(`window.axe ?? (() => { ${axe} })()`);
    // The light theme differs in its colours only.
    const only = what.startsWith("light") ? `, runOnly: ["color-contrast"]` : "";
    const found = (await page.evaluate(`axe.run({ resultTypes: ["violations"]${only} })`)) as { violations: { id: string; impact: string; nodes: { target: string[]; any: { message: string }[] }[] }[] };
    for (const { id, impact, nodes } of found.violations) {
      const where = nodes.slice(0, 3).map(({ target, any }) => `${target.join(" ")} (${any[0]?.message ?? ""})`).join("; ");
      if (["serious", "critical"].includes(impact)) seen.push(`${what}: ${id}: ${where}`);
      else context.diagnostic(`${what}: ${impact} ${id}: ${where}`);
    }
  };
  await page.goto("/");
  await page.getByLabel("Password").waitFor();
  await check("login");
  await logIn(page, "admin", ADMIN_PASSWORD);
  for (const theme of ["dark", "light"]) {
    await page.evaluate((chosen) => (document.documentElement.dataset["theme"] = chosen), theme);
    // The second time round as on a phone, where nothing may be wider than the screen.
    if (theme === "light") await page.setViewportSize({ width: 390, height: 844 });
    for (const path of paths) {
      await go(page, path);
      await settled(page);
      await check(`${theme} ${path}`);
      const wider = (await page.evaluate(`document.documentElement.scrollWidth - innerWidth`)) as number;
      if (wider > 0) seen.push(`${theme} ${path}: ${wider} px wider than the screen`);
    }
    await go(page, "/streams/1");
    await page.getByRole("button", { name: "Add restream" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "YouTube" }).waitFor();
    await check(`${theme} add restream`);
    await page.keyboard.press("Escape");
  }
  assert.deepEqual(seen, []);
  assert.deepEqual(trouble, []);
  await page.context().close();
});

test("the first page is light", { timeout: 60_000, skip: Boolean(process.env["WEB_FROM_DISK"]) }, async (context) => {
  const { page } = await visit(browser, weir);
  let bytes = 0;
  const names: string[] = [];
  page.on("requestfinished", async (request) => {
    if (!/\/assets\/|\/$/.test(new URL(request.url()).pathname)) return;
    const { responseBodySize } = await request.sizes();
    bytes += responseBodySize;
    names.push(`${new URL(request.url()).pathname} ${responseBodySize}`);
  });
  await logIn(page, "admin", ADMIN_PASSWORD);
  await page.evaluate("document.fonts.ready");
  await waitFor("everything has been counted", PATIENCE_MS, async () => (names.some((name) => name.includes(".woff2")) ? true : undefined));
  context.diagnostic(`first load: ${bytes} bytes: ${names.join(", ")}`);
  assert.ok(bytes > 100_000 && bytes < FIRST_LOAD_MAX_BYTES, `${bytes} bytes: ${names}`);
  await page.context().close();
});
