// The dashboard in a browser: logged in, against a server of our own, with what else the journeys need.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { Weir } from "./weir";

/** Everything here is waited for by its condition; this is when a slow machine under load is given up. */
export const PATIENCE_MS = 60_000;

export interface Visitor {
  context: BrowserContext;
  page: Page;
  /** Errors of scripts, and what the content security policy refused. */
  trouble: string[];
}

/** A browser of its own, not logged in. */
export async function visit(browser: Browser, weir: Weir, options: { phone?: boolean; theme?: "dark" | "light" } = {}): Promise<Visitor> {
  const viewport = options.phone ? { width: 390, height: 844 } : { width: 1440, height: 900 };
  const context = await browser.newContext({ viewport, deviceScaleFactor: 1, colorScheme: options.theme ?? "dark", hasTouch: options.phone ?? false, isMobile: options.phone ?? false, baseURL: weir.http });
  if (process.env["WEB_FROM_DISK"]) await serveFromDisk(context, weir);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("pageerror", (error) => trouble.push(error.stack ?? error.message));
  page.on("console", (message) => {
    if (/content security policy|react/i.test(message.text()) && message.type() === "error") trouble.push(message.text());
  });
  return { context, page, trouble };
}

export async function logIn(page: Page, name: string, password: string): Promise<void> {
  await page.goto("/");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

/** For whoever works on the pages: what `npm run build` made last, without building the server anew. */
async function serveFromDisk(context: BrowserContext, weir: Weir): Promise<void> {
  const types: Record<string, string> = { js: "text/javascript", css: "text/css", woff2: "font/woff2", svg: "image/svg+xml", html: "text/html" };
  await context.route(`${weir.http}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const isPage = route.request().resourceType() === "document";
    if (!isPage && !pathname.startsWith("/assets/")) return route.continue();
    const path = pathname.startsWith("/assets/") ? `dist${pathname}` : pathname.startsWith("/watch/") ? "dist/watch/index.html" : "dist/dashboard/index.html";
    if (!existsSync(path)) return route.continue();
    await route.fulfill({ body: await readFile(path), contentType: types[path.split(".").at(-1) ?? ""] ?? "application/octet-stream" });
  });
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A platform in small: ffmpeg takes one RTMP push and throws it away. */
export class Sink {
  private child: ChildProcess | undefined;

  constructor(readonly port: number) {}

  get url(): string {
    return `rtmp://127.0.0.1:${this.port}/app`;
  }

  /** Listens until it is killed: ffmpeg ends with each push, so it is started again. */
  start(): void {
    const options = `-nostdin -v quiet -listen 1 -i ${this.url}/key -c copy -f null -`.split(" ");
    const child = spawn("ffmpeg", options, { stdio: "ignore" });
    this.child = child;
    child.on("exit", () => {
      if (this.child === child) setTimeout(() => this.child === child && this.start(), 200);
    });
  }

  kill(): void {
    const child = this.child;
    this.child = undefined;
    child?.kill("SIGKILL");
  }
}

/** A way to the server that can be cut and mended. */
export class Cuttable {
  private readonly sockets = new Set<Socket>();
  private isCut = false;

  private constructor(private readonly server: Server) {}

  static async to(http: string): Promise<Cuttable> {
    const { hostname, port } = new URL(http);
    const server = createServer();
    const line = new Cuttable(server);
    server.on("connection", (socket) => {
      if (line.isCut) return socket.destroy();
      const far = connect(Number(port), hostname);
      for (const [one, other] of [[socket, far], [far, socket]] as const) {
        line.sockets.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          line.sockets.delete(one);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.isCut = true;
    this.sockets.forEach((socket) => socket.destroy());
  }

  mend(): void {
    this.isCut = false;
  }

  close(): void {
    this.cut();
    this.server.close();
  }
}
