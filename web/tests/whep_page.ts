// A page of another site that watches by WebRTC as everybody writes one, and tells what it saw: when the first picture came, how long the picture
// stood still, and how old it was by the clock that is burnt into it.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";

export interface Report {
  firstPictureMs: number | null;
  framesDecoded: number;
  framesDropped: number;
  /** As the browser counts them: pictures that came so much later than the ones before that a person sees it. */
  freezes: number;
  samples: number;
  audible: boolean;
  state: string;
  protocol: string;
  width: number;
  keyframesWanted: number;
  /** How long the browser has held pictures, and sound, so far. */
  heldMs: { picture: number; sound: number };
  repeated: number;
}

/** What was shown since it was last asked for. */
export interface Shown {
  /** The time from each picture to the next. */
  gapsMs: number[];
  /** How old each picture was, where it has a clock. */
  agesMs: number[];
  /** Each width that pictures had, and when it began, in the page's own time. */
  widths: { width: number; atMs: number }[];
}

/** The clock's squares stand in a row at the top: a white one, a black one, and the bits of the time, the lowest first. */
const BITS = 14;
const SQUARES = BITS + 2;
/** Of the lowest bit; the clock goes round after a minute. */
const TICK_MS = 4;

/** What makes ffmpeg burn the time of day into each picture, as squares. A 30th of a second lies between two pictures. */
export function burntClock(fps: number): string {
  const square = (at: number) => `x=iw/${SQUARES}*${at}:y=0:w=iw/${SQUARES}:h=ih/8:t=fill`;
  const bits = Array.from({ length: BITS }, (_, bit) => `drawbox=${square(bit + 2)}:color=white:enable='bitand(trunc(t*${1000 / TICK_MS}),${2 ** bit})'`);
  const row = ["drawbox=x=0:y=0:w=iw:h=ih/8:t=fill:color=black", `drawbox=${square(0)}:color=white`, ...bits];
  return [`setpts=RTCTIME/(TB*1000000)`, ...row, `setpts=N/(${fps}*TB)`].join(",");
}

const PAGE = `<!doctype html><meta charset="utf-8"><title>WHEP</title><video playsinline autoplay style="width:640px"></video>
<script>
  const video = document.querySelector("video");
  const canvas = new OffscreenCanvas(${SQUARES}, 1), paint = canvas.getContext("2d", { willReadFrequently: true });
  let peer, session, began, firstPictureMs = null, last = null, seen = { gapsMs: [], agesMs: [], widths: [] };
  const age = (at) => {
    // Only the middle of each square is looked at.
    const side = video.videoWidth / ${SQUARES};
    for (let square = 0; square < ${SQUARES}; square++) paint.drawImage(video, side * (square + 0.25), video.videoHeight / 32, side / 2, video.videoHeight / 16, square, 0, 1, 1);
    const { data } = paint.getImageData(0, 0, ${SQUARES}, 1);
    const light = (square) => data[square * 4 + 1];
    if (light(0) < 180 || light(1) > 80) return null;
    let ticks = 0;
    for (let bit = 0; bit < ${BITS}; bit++) ticks += light(bit + 2) > 128 ? 2 ** bit : 0;
    const round = ${2 ** BITS * TICK_MS}, passed = (performance.timeOrigin + at - ticks * ${TICK_MS}) % round;
    return passed > round / 2 ? passed - round : passed;
  };
  const onPicture = (of) => (now, { expectedDisplayTime, width }) => {
    // What was shown before is not of this session.
    if (of !== peer) return;
    firstPictureMs ??= now - began;
    if (last) seen.gapsMs.push(now - last.at);
    if (last?.width !== width) seen.widths.push({ width, atMs: now });
    last = { at: now, width };
    const old = window.readsClock ? age(Math.max(now, expectedDisplayTime)) : null;
    if (old !== null) seen.agesMs.push(old);
    video.requestVideoFrameCallback(onPicture(of));
  };
  window.shown = () => {
    const told = seen;
    seen = { gapsMs: [], agesMs: [], widths: [] };
    return { ...told, nowMs: performance.now() };
  };
  window.play = async (url, change = (sdp) => sdp) => {
    [firstPictureMs, last] = [null, null];
    window.shown();
    peer?.close();
    peer = new RTCPeerConnection();
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addTransceiver("audio", { direction: "recvonly" });
    const stream = new MediaStream();
    peer.ontrack = ({ track }) => { stream.addTrack(track); video.srcObject = stream; };
    video.srcObject = null;
    video.requestVideoFrameCallback(onPicture(peer));
    await peer.setLocalDescription();
    began = performance.now();
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/sdp" }, body: peer.localDescription.sdp });
    const text = await answer.text();
    if (answer.status !== 201) return { status: answer.status, text };
    session = new URL(answer.headers.get("location"), url).href;
    await peer.setRemoteDescription({ type: "answer", sdp: change(text) });
    return { status: 201, etag: answer.headers.get("etag"), notice: answer.headers.get("weir-notice") };
  };
  const without = (transport) => (sdp) => sdp.split("\\r\\n").filter((line) => !(line.startsWith("a=candidate:") && line.includes(transport))).join("\\r\\n");
  const udpAt = (port) => (sdp) => sdp.replace(/^(a=candidate:.* udp .* )\\d+( typ host)/gim, "$1" + port + "$2");
  window.playByTcp = (url) => window.play(url, without(" udp "));
  // As if the server's UDP port were that one.
  window.playAt = (url, port) => window.play(url, (sdp) => without(" tcp ")(udpAt(port)(sdp)));
  window.playWithDeadUdp = (url, port) => window.play(url, udpAt(port));
  window.end = async () => (await fetch(session, { method: "DELETE" })).status;
  window.report = async () => {
    const all = [...(await peer.getStats()).values()];
    const of = (kind) => all.find((entry) => entry.type === "inbound-rtp" && entry.kind === kind) ?? {};
    const pair = all.find((entry) => entry.type === "candidate-pair" && entry.nominated) ?? {};
    const [picture, sound] = [of("video"), of("audio")];
    const held = ({ jitterBufferDelay = 0, jitterBufferEmittedCount = 1 }) => (1_000 * jitterBufferDelay) / jitterBufferEmittedCount;
    return {
      firstPictureMs, state: peer.connectionState, width: video.videoWidth,
      framesDecoded: picture.framesDecoded ?? 0, framesDropped: picture.framesDropped ?? 0, freezes: picture.freezeCount ?? 0,
      heldMs: { picture: held(picture), sound: held(sound) },
      keyframesWanted: (picture.pliCount ?? 0) + (picture.firCount ?? 0), repeated: picture.retransmittedPacketsReceived ?? 0,
      samples: (sound.totalSamplesReceived ?? 0) - (sound.concealedSamples ?? 0), audible: (sound.totalAudioEnergy ?? 0) > 0,
      protocol: all.find((entry) => entry.id === pair.localCandidateId)?.protocol ?? "",
    };
  };
</script>`;

export async function startWhepSite(): Promise<Server> {
  const site = createServer((_, response) => response.setHeader("content-type", "text/html").end(PAGE));
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  return site;
}

export async function openPlayer(browser: Browser, site: Server): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
  return page;
}

export const call = (page: Page, what: string): Promise<any> => page.evaluate(what);
export const report = (page: Page): Promise<Report> => call(page, "report()");
export const shown = (page: Page): Promise<Shown & { nowMs: number }> => call(page, "shown()");
