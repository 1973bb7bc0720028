// The real server as a child process, a stream on it, and ffmpeg that publishes to it.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const API_KEY = "weir-browser-test-admin-key-51c2";
export const ADMIN_PASSWORD = "weir-browser-test-77e1";

export interface Stream {
  id: number;
  name: string;
  pushUrl: string;
  srtUrl: string;
}

export class Weir {
  private constructor(
    readonly http: string,
    private readonly child: ChildProcess,
    private readonly data: string,
    readonly log: string[],
  ) {}

  /** Starts it on free ports, with a data directory of its own, and with more of its configuration by variables. */
  static async start(more: Record<string, string> = {}): Promise<Weir> {
    const binary = process.env["WEIR_BIN"] ?? "../target/debug/weir";
    const data = await mkdtemp(join(tmpdir(), "weir-browser-"));
    const keys = ["HTTP__LISTEN", "RTMP__LISTEN", "RTMPS__LISTEN", "SRT__LISTEN", "WEBRTC__UDP_LISTEN", "WEBRTC__TCP_LISTEN"];
    const ports = Object.fromEntries(keys.map((key) => [`WEIR_${key}`, "127.0.0.1:0"]));
    const env = { ...process.env, ...ports, ...more, WEIR_ADMIN_APIKEY: API_KEY, WEIR_ADMIN_PASSWORD: ADMIN_PASSWORD };
    const child = spawn(binary, ["serve", "--data", data], { env, stdio: ["ignore", "pipe", "pipe"] });
    const log: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
    const http = await new Promise<string>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`weir ended with ${code}:\n${log.join("\n")}`)));
      createInterface({ input: child.stdout }).on("line", (line) => resolve(JSON.parse(line).http));
    });
    return new Weir(http, child, data, log);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async api(method: string, path: string, body?: object): Promise<any> {
    const headers = { authorization: `apikey ${API_KEY}`, "content-type": "application/json" };
    const init = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
    const response = await fetch(`${this.http}/api/v1${path}`, init);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    const text = await response.text();
    return text ? JSON.parse(text) : undefined;
  }

  async createStream(name: string, more: object = {}): Promise<Stream> {
    const stream = await this.api("POST", "/streams", { name, ...more });
    return { id: stream.id, name, pushUrl: stream.push_urls.primary.rtmp, srtUrl: stream.push_urls.primary.srt };
  }

  async stop(): Promise<void> {
    this.child.removeAllListeners("exit");
    const ended = new Promise((resolve) => this.child.on("exit", resolve));
    this.child.kill("SIGTERM");
    await ended;
    await rm(this.data, { recursive: true, force: true });
  }
}

interface Picture {
  size?: string;
  rate?: number;
  kbps?: number;
  /** Seconds from keyframe to keyframe. */
  gop?: number;
  /** A source of lavfi. */
  picture?: string;
}

/** 720p30 with a keyframe every 2 s and a tone; cheap to encode and to decode. */
export function publish(url: string, { size = "1280x720", rate = 30, kbps = 1500, gop = 2, picture = "testsrc2" }: Picture = {}): ChildProcess {
  const input = `-re -f lavfi -i ${picture}=size=${size}:rate=${rate} -re -f lavfi -i sine=frequency=440:sample_rate=48000`;
  const video = `-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g ${rate * gop} -keyint_min ${rate * gop} -sc_threshold 0`;
  const bitrate = `-b:v ${kbps}k -maxrate ${kbps}k -bufsize ${kbps}k -c:a aac -b:a 96k -f flv`;
  const options = ["-nostdin", "-v", "error", ...`${input} ${video} ${bitrate}`.split(" "), url];
  return spawn("ffmpeg", options, { stdio: ["ignore", "ignore", "inherit"] });
}

/** Until `look` finds something; fails with `what` after `limitMs`. */
export async function waitFor<T>(what: string, limitMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
