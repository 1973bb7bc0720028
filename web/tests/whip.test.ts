// A browser publishes by WebRTC, from a page of another site: its picture and sound are a source like any other, together and in time, and a browser that
// goes without a word is soon gone.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { FAKE_CAMERA, startBrowser } from "./browser";
import { PATIENCE_MS } from "./dashboard";
import { waitFor, Weir } from "./weir";

/** A publisher as everybody writes one, and a viewer of what becomes of it. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>WHIP</title><canvas width="640" height="360"></canvas><video playsinline autoplay></video>
<script>
  let peer, session, viewer;
  const post = (url, sdp) => fetch(url, { method: "POST", headers: { "content-type": "application/sdp" }, body: sdp });
  const publish = async (url, media, { codec = "h264", rsa = false, sendEncodings } = {}) => {
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
    peer = new RTCPeerConnection(rsa ? { certificates: [await RTCPeerConnection.generateCertificate(algorithm)] } : {});
    for (const track of media.getTracks()) {
      const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media], ...(track.kind === "video" && sendEncodings ? { sendEncodings } : {}) });
      if (track.kind !== "video") continue;
      const codecs = RTCRtpSender.getCapabilities("video").codecs;
      transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => new RegExp(codec + "|rtx", "i").test(mimeType)));
    }
    await peer.setLocalDescription();
    const answer = await post(url, peer.localDescription.sdp);
    const text = await answer.text();
    if (answer.status !== 201) return { status: answer.status, text };
    session = new URL(answer.headers.get("location"), url).href;
    await peer.setRemoteDescription({ type: "answer", sdp: text });
    return { status: 201, text, offer: peer.localDescription.sdp };
  };
  window.camera = async (url, wish) => publish(url, await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360, frameRate: 30 }, audio: true }), wish);
  window.layers = async (url) => {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 960, height: 540, frameRate: 15 }, audio: true });
    return publish(url, media, { sendEncodings: [{ rid: "q", scaleResolutionDownBy: 4 }, { rid: "h", scaleResolutionDownBy: 2 }, { rid: "f" }] });
  };
  window.stopLargest = async () => {
    const sender = peer.getSenders().find(({ track }) => track.kind === "video"), parameters = sender.getParameters();
    parameters.encodings.at(-1).active = false;
    await sender.setParameters(parameters);
  };
  // White with a tone for a fifth of each second, else black and silent.
  window.flashes = async (url) => {
    const canvas = document.querySelector("canvas"), paint = canvas.getContext("2d");
    const audio = new AudioContext({ latencyHint: "interactive" }), tone = audio.createOscillator(), loud = audio.createGain(), out = audio.createMediaStreamDestination();
    tone.frequency.value = 1000;
    loud.gain.value = 0;
    tone.connect(loud).connect(out);
    tone.start();
    let white = false, dot = 0;
    setInterval(() => {
      const now = performance.now() % 1000 < 200;
      if (now !== white) loud.gain.setValueAtTime(now ? 0.8 : 0, audio.currentTime);
      white = now;
      paint.fillStyle = white ? "#fff" : "#000";
      paint.fillRect(0, 0, 640, 360);
      paint.fillStyle = "#333";
      paint.fillRect(dot++ % 600, 350, 10, 10);
    }, 16);
    return publish(url, new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]));
  };
  window.end = async () => (await fetch(session, { method: "DELETE" })).status;
  window.stats = async () => {
    const all = [...(await peer.getStats()).values()];
    const sent = all.find((entry) => entry.type === "outbound-rtp" && entry.kind === "video") ?? {};
    return { state: peer.connectionState, encoder: sent.encoderImplementation, frames: sent.framesEncoded, width: sent.frameWidth, bps: sent.targetBitrate, plis: sent.pliCount };
  };
  window.watch = async (url) => {
    viewer = new RTCPeerConnection();
    viewer.addTransceiver("video", { direction: "recvonly" });
    viewer.addTransceiver("audio", { direction: "recvonly" });
    const stream = new MediaStream(), video = document.querySelector("video");
    viewer.ontrack = ({ track }) => { stream.addTrack(track); video.srcObject = stream; };
    await viewer.setLocalDescription();
    const answer = await post(url, viewer.localDescription.sdp);
    const text = await answer.text();
    if (answer.status === 201) await viewer.setRemoteDescription({ type: "answer", sdp: text });
    return { status: answer.status, text };
  };
  window.seen = async () => {
    const all = [...(await viewer.getStats()).values()];
    const of = (kind) => all.find((entry) => entry.type === "inbound-rtp" && entry.kind === kind) ?? {};
    return { frames: of("video").framesDecoded ?? 0, audible: (of("audio").totalAudioEnergy ?? 0) > 0 };
  };
</script>`;

let weir: Weir, browser: Browser, site: Server, scratch: string;

before(async () => {
  [weir, browser, scratch] = await Promise.all([Weir.start(), startBrowser(FAKE_CAMERA), mkdtemp(join(tmpdir(), "weir-whip-"))]);
  site = createServer((_, response) => response.setHeader("content-type", "text/html").end(PAGE));
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
});

after(async () => {
  await browser?.close();
  await weir?.stop();
  site?.close();
  await rm(scratch, { recursive: true, force: true });
});

async function page(): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
  return page;
}

const call = (page: Page, what: string): Promise<any> => page.evaluate(what);
const status = async (id: number): Promise<any> => (await weir.api("GET", `/streams/${id}`)).status;

interface Made {
  id: number;
  whip: string;
}

async function made(name: string, more: object = {}): Promise<Made> {
  const stream = await weir.api("POST", "/streams", { name, ...more });
  return { id: stream.id, whip: stream.push_urls.primary.whip };
}

/** What a program prints, on either way. */
async function output(program: string, ...options: string[]): Promise<string> {
  const child = spawn(program, options, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (text += bytes));
  await new Promise((resolve) => child.on("close", resolve));
  return text;
}

const codecs = async (url: string): Promise<Set<string>> =>
  new Set((await output("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url)).trim().split(/\s+/).sort());

test("a browser's camera is a source like any other", { timeout: 240_000 }, async (context) => {
  const source = await made("cam", { record: true, ladder: [{ name: "source", passthrough: true }, { name: "aac", video: "source", audio_codec: "aac", audio_bitrate_kbps: 128 }] });
  const sink = await weir.api("POST", "/streams", { name: "sink" });
  const publisher = await page();
  const answer = await call(publisher, `camera("${source.whip}")`);
  assert.equal(answer.status, 201, answer.text);
  const live = await waitFor("the camera is live", PATIENCE_MS, async () => {
    const now = await status(source.id);
    return now.live && now.ingest?.webrtc && now.ingest.width === 640 ? now : undefined;
  });
  const { ingest } = live;
  assert.deepEqual([ingest.protocol, ingest.video_codec, ingest.audio_codec, ingest.height], ["whip", "h264", "opus", 360]);
  assert.equal(ingest.remote, "127.0.0.1");
  context.diagnostic(JSON.stringify([await call(publisher, "stats()"), ingest]));

  // Opus goes to players as it is, and to a destination that takes none as AAC.
  const push = await weir.api("POST", "/restreams", { name: "push", active: true, stream_id: source.id, uri: sink.push_urls.primary.rtmp, rendition: "aac" });
  await waitFor("both sounds are packaged", PATIENCE_MS, async () => ([...(await codecs(`${weir.http}/play/cam/master.m3u8`))].join(" ") === "aac h264 opus" ? true : undefined));
  await waitFor("the push is live", PATIENCE_MS, async () => {
    const { live, ingest } = await status(sink.id);
    return live && ingest.video_codec === "h264" && ingest.audio_codec === "aac" ? true : undefined;
  }).catch(async (error) => {
    throw new Error(`${error}: ${JSON.stringify((await weir.api("GET", `/restreams/${push.id}`)).status)}`);
  });
  const viewer = await page();
  const watched = await call(viewer, `watch("${weir.http}/whep/cam")`);
  assert.equal(watched.status, 201, watched.text);
  await waitFor("the camera is seen and heard by WebRTC", PATIENCE_MS, async () => {
    const { frames, audible } = await call(viewer, "seen()");
    return frames >= 60 && audible ? true : undefined;
  });
  // The browser sends more as it learns that more fits: it begins with 300 kbit/s.
  const sent = await waitFor("the bitrate rises", PATIENCE_MS, async () => {
    const now = await call(publisher, "stats()");
    return now.bps > 1_000_000 ? now : undefined;
  });
  const now = await waitFor("the round trip and the distance of keyframes are known", PATIENCE_MS, async () => {
    const now = await status(source.id);
    return now.ingest.rtt_ms != null && now.ingest.gop_seconds != null ? now : undefined;
  });
  context.diagnostic(JSON.stringify([sent, now.ingest]));
  assert.ok(now.ingest.rtt_ms < 200 && now.ingest.gop_seconds < 2.5, `round trip ${now.ingest.rtt_ms}, keyframes every ${now.ingest.gop_seconds} s`);
  assert.ok(now.ingest.fps > 15 && now.ingest.dropped_frames < 5, `${now.ingest.fps} fps, ${now.ingest.dropped_frames} dropped`);

  assert.equal(await call(publisher, "end()"), 200);
  await waitFor("the source is gone", PATIENCE_MS, async () => ((await status(source.id)).live ? undefined : true));
  assert.equal(await call(publisher, "end()"), 404);
  const recording = await waitFor("the recording is whole", PATIENCE_MS, async () => {
    const { items } = await weir.api("GET", `/recordings?stream_id=${source.id}`);
    return items.find(({ recording }: { recording: boolean }) => !recording);
  });
  assert.ok(recording.duration_seconds > 3 && recording.bytes > 50_000, JSON.stringify(recording));
  await publisher.context().close();
  await viewer.context().close();
});

for (const codec of ["vp8", "vp9", "av1"])
  test(`a browser that sends ${codec} is encoded by the ladder, and refused without one`, { timeout: 120_000 }, async (context) => {
    const bare = await made(`bare-${codec}`);
    const publisher = await page();
    const refused = await call(publisher, `camera("${bare.whip}", { codec: "${codec}" })`);
    assert.equal(refused.status, 406, refused.text);
    assert.match(refused.text, /ladder/);
    const source = await made(codec, { ladder: [{ name: "360p", width: 640, height: 360, video_bitrate_kbps: 600, audio_bitrate_kbps: 64 }] });
    const answer = await call(publisher, `camera("${source.whip}", { codec: "${codec}" })`);
    assert.equal(answer.status, 201, answer.text);
    const { ingest, warnings } = await waitFor("the camera is live", PATIENCE_MS, async () => {
      const now = await status(source.id);
      return now.live && now.ingest?.webrtc && now.ingest.width >= 320 ? now : undefined;
    });
    assert.deepEqual([ingest.video_codec, ingest.audio_codec], [codec, "opus"]);
    context.diagnostic(JSON.stringify([await call(publisher, "stats()"), ingest, warnings]));
    await waitFor("the ladder's rendition is packaged", PATIENCE_MS, async () => ((await codecs(`${weir.http}/play/${codec}/master.m3u8`)).has("h264") ? true : undefined));
    const viewer = await page();
    const watched = await call(viewer, `watch("${weir.http}/whep/${codec}")`);
    assert.equal(watched.status, 201, watched.text);
    await waitFor("it is seen by WebRTC", PATIENCE_MS, async () => ((await call(viewer, "seen()")).frames >= 30 ? true : undefined));
    await publisher.context().close();
    await viewer.context().close();
  });

test("of several layers the largest is taken, and another one when that stops", { timeout: 120_000 }, async (context) => {
  const source = await made("layers");
  const publisher = await page();
  const answer = await call(publisher, `layers("${source.whip}")`);
  assert.equal(answer.status, 201, answer.text);
  assert.match(answer.text, /a=simulcast:recv q;h;f/);
  const isWide = async (width: number) =>
    waitFor(`the picture is ${width} wide`, PATIENCE_MS, async () => {
      const { live, ingest } = await status(source.id);
      return live && ingest?.width === width ? ingest : undefined;
    });
  context.diagnostic(JSON.stringify(await isWide(960)));
  await call(publisher, "stopLargest()");
  context.diagnostic(JSON.stringify(await isWide(480)));
  const { live } = await status(source.id);
  assert.ok(live, "the source goes on");
  await publisher.context().close();
});

test("a certificate that can't be checked is refused with words", { timeout: 60_000 }, async () => {
  const source = await made("rsa");
  const publisher = await page();
  const answer = await call(publisher, `camera("${source.whip}", { rsa: true })`);
  assert.equal(answer.status, 201, answer.text);
  const told = await waitFor("it is told", PATIENCE_MS, async () => {
    const { items } = await weir.api("GET", "/events?types=ingest_refused&limit=500");
    return items.find(({ code }: { code?: string }) => code === "certificate");
  });
  assert.match(told.message, /RSA.*ECDSA/);
  assert.notEqual((await call(publisher, "stats()")).state, "connected");
  await publisher.context().close();
});

/** When something begins, by a filter of ffmpeg, in seconds. */
const begins = (text: string, mark: RegExp): number[] => [...text.matchAll(mark)].map(([, at]) => Number(at));

test("sound and picture are together", { timeout: 120_000 }, async (context) => {
  const source = await made("flashes");
  const publisher = await page();
  const answer = await call(publisher, `flashes("${source.whip}")`);
  assert.equal(answer.status, 201, answer.text);
  await waitFor("it is live", PATIENCE_MS, async () => ((await status(source.id)).live ? true : undefined));
  // By then the browser has reported the times of both.
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  const file = join(scratch, "flashes.mkv");
  await output("ffmpeg", "-nostdin", "-v", "error", "-t", "10", "-i", `${weir.http}/play/flashes/master.m3u8`, "-c", "copy", file);
  const text = await output("ffmpeg", "-nostdin", "-i", file, "-vf", "blackdetect=d=0.3:pix_th=0.3:pic_th=0.9", "-af", "silencedetect=n=-30dB:d=0.3", "-f", "null", "-");
  const [flashes, tones] = [begins(text, /black_end:([\d.]+)/g), begins(text, /silence_end: ([\d.]+)/g)];
  assert.ok(flashes.length >= 4 && tones.length >= 4, text);
  const apart = flashes.map((flash) => tones.map((tone) => tone - flash).reduce((a, b) => (Math.abs(a) < Math.abs(b) ? a : b)) * 1_000).sort((a, b) => a - b);
  const median = apart[Math.floor(apart.length / 2)]!;
  context.diagnostic(`sound behind picture, ms: ${apart.map((ms) => ms.toFixed(0)).join(" ")}`);
  assert.ok(Math.abs(median) <= 80, `${median} ms apart`);
  await publisher.context().close();
});

test("who goes without a word is gone soon, and others are told what they lack", { timeout: 120_000 }, async (context) => {
  const source = await made("gone");
  const publisher = await page();
  assert.equal((await call(publisher, `camera("${source.whip}")`)).status, 201);
  await waitFor("it is live", PATIENCE_MS, async () => ((await status(source.id)).live ? true : undefined));
  const second = await page();
  const busy = await call(second, `camera("${source.whip}")`);
  assert.deepEqual([busy.status, busy.text], [409, "already publishing\n"]);
  assert.equal((await call(second, `camera("${weir.http}/whip/no-such-key")`)).status, 403);
  assert.equal((await call(second, `camera("${weir.http}/whip")`)).status, 401);
  await publisher.context().close();
  const left = Date.now();
  await waitFor("it is noticed", 20_000, async () => ((await status(source.id)).ingest === null ? true : undefined));
  context.diagnostic(`noticed after ${Date.now() - left} ms`);
  assert.equal((await call(second, `camera("${source.whip}")`)).status, 201, "and another may publish");
  await second.context().close();
});
