// What the dashboard works out by itself, without a browser: rules, the picture of the flow, figures, server-sent events.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Platform, Rendition, Restream, Stream } from "../dashboard/src/api/types";
import { bitrate, bytes, duration, fps } from "../dashboard/src/format";
import { Series } from "../dashboard/src/live/history";
import { type Message, Parser } from "../dashboard/src/live/server_sent";
import { inOrder, troublesOf } from "../dashboard/src/overview/problems";
import { mend, type Sent, sentRendition, violationsOf } from "../dashboard/src/restreams/rules";
import { flowOf } from "../dashboard/src/streams/flow_layout";

const PLATFORM = {
  id: "strict",
  title: "Strict",
  rules: {
    gop_recommended_seconds: 2, gop_max_seconds: 4, video_recommended_kbps: 4000, video_max_kbps: 6000, cbr: true, max_width: 1920, max_height: 1080, max_fps: 60,
    video_codecs: ["h264"], video_profiles: [], audio_codecs: ["aac"], video_required: true, audio_required: true, audio_max_kbps: 160, b_frames: false,
  },
} as unknown as Platform;

const GOOD: Sent = { video_codec: "h264", audio_codec: "aac", width: 1280, height: 720, fps: 30, kbps: 3000, gop_seconds: 2 };

test("a platform's rules find what it would refuse, and nothing else", () => {
  for (const [change, found] of [
    [{}, []],
    [{ gop_seconds: 4.05 }, ["gop advice"]],
    [{ gop_seconds: 10 }, ["gop"]],
    [{ kbps: 5000 }, ["bitrate advice"]],
    [{ kbps: 9000 }, ["bitrate"]],
    [{ video_codec: "h265" }, ["codec"]],
    [{ audio_codec: "opus" }, ["audio_codec"]],
    [{ audio_codec: null }, ["missing_audio"]],
    [{ video_codec: null }, ["missing_video"]],
    [{ width: 3840, height: 2160 }, ["size"]],
    [{ width: 1080, height: 1920 }, []],
    [{ fps: 120 }, ["fps"]],
  ] as [Partial<Sent>, string[]][]) {
    const codes = violationsOf(PLATFORM, { ...GOOD, ...change }).map(({ code, severe }) => (severe ? code : `${code} advice`));
    assert.deepEqual(codes, found, JSON.stringify(change));
  }
});

test("what mends a violation violates nothing", () => {
  for (const change of [{ gop_seconds: 10 }, { width: 3840, height: 2160, kbps: 20_000 }, { width: 1080, height: 2400 }, { fps: 120 }, { video_codec: "av1", kbps: 900 }, { kbps: 80 }]) {
    const sent: Sent = { ...GOOD, ...change };
    const made = mend(PLATFORM, sent);
    assert.deepEqual(violationsOf(PLATFORM, sentRendition(made, null)), [], JSON.stringify(made));
    assert.ok((made.width ?? 1) % 2 === 0 && (made.height ?? 1) % 2 === 0);
  }
});

const status = { state: "live", live: true, since: "2026-01-01T00:00:00Z", ingest: null, renditions: [], viewers: { hls: 2, dash: 0, webrtc: 0, rtmp: 0, srt: 0 }, warnings: [] };
const stream = (id: number, more: object = {}, statusMore: object = {}): Stream =>
  ({ id, name: `s${id}`, hls: true, dash: false, webrtc: false, play_urls: {}, ...more, status: { ...status, ...statusMore } }) as unknown as Stream;
const restream = (id: number, more: object = {}): Restream =>
  ({ id, name: `r${id}`, stream_id: 1, rendition: null, ...more, status: { state: "streaming", since: "2026-01-01T00:00:00Z", warnings: [], ...(more as { status?: object }).status } }) as unknown as Restream;

test("the picture of the flow joins each output to what it takes", () => {
  const ladder: Rendition[] = [{ name: "720p" }, { name: "360p" }];
  const flow = flowOf(stream(1), [restream(1), restream(2, { rendition: "360p" }), restream(3, { rendition: { name: "own" } })], ladder);
  assert.deepEqual(flow.renditions.map(({ name }) => name), ["source", "720p", "360p", "own"]);
  const into = (to: string) => flow.edges.filter(([, each]) => each === to).map(([from]) => from);
  assert.deepEqual(into("restream/1"), ["rendition/source"]);
  assert.deepEqual(into("restream/2"), ["rendition/360p"]);
  assert.deepEqual(into("restream/3"), ["rendition/own"]);
  assert.deepEqual(into("viewers/hls"), ["rendition/720p", "rendition/360p"]);
  const many = flowOf(stream(1), Array.from({ length: 100 }, (_, id) => restream(id)), []);
  assert.equal(many.outputs.length, 9, "HLS, seven restreams, and how many more there are");
});

test("problems come first", () => {
  const streams = [stream(1, { name: "b" }), stream(2, { name: "a" }, { state: "offline", live: false }), stream(3, { name: "c" }, { state: "stalled", live: false }), stream(4, { name: "d" })];
  const failing = restream(9, { stream_id: 4, status: { state: "error", reason: { message: "no" } } });
  assert.deepEqual(inOrder(streams, [failing]).map(({ id }) => id), [3, 4, 1, 2]);
  assert.deepEqual(troublesOf(streams, [failing]).map(({ weight, reason }) => [weight, reason.length > 0]), [[2, true], [2, true]]);
});

test("figures as people read them", () => {
  for (const [value, shown] of [[0, "0 kbps"], [999_400, "999 kbps"], [999_600, "1.00 Mbps"], [9_996_000, "10.0 Mbps"], [2e9, "2.00 Gbps"]] as const) assert.equal(bitrate(value), shown);
  for (const [value, shown] of [[5, "5 B"], [999_600, "1.0 MB"], [123_456, "123 kB"], [1.5e9, "1.5 GB"]] as const) assert.equal(bytes(value), shown);
  for (const [value, shown] of [[29.97, "30"], [29.88, "30"], [59.5, "59.50"], [25, "25"]] as const) assert.equal(fps(value), shown);
  for (const [value, shown] of [[-5, "0 s"], [59_900, "59 s"], [61_000, "1 m 01 s"], [7_265_000, "2 h 01 m"], [90_000_000, "1 d 1 h"]] as const) assert.equal(duration(value), shown);
});

test("server-sent events in any pieces", () => {
  const text = ': hello\n\nid: 7\nevent: stream_state\ndata: {"a":1}\n\ndata: x\r\ndata: y\r\n\r\n';
  for (const size of [1, 3, 1000]) {
    const messages: Message[] = [];
    const parser = new Parser((message) => messages.push(message));
    for (let at = 0; at < text.length; at += size) parser.feed(text.slice(at, at + size));
    assert.deepEqual(messages, [{ id: "7", type: "stream_state", data: '{"a":1}' }, { id: "7", type: "message", data: "x\ny" }]);
  }
});

test("a series keeps the newest, in order, and takes what was before it", () => {
  const series = new Series();
  for (let time = 1; time <= 1_000; time++) series.push(time, time);
  series.push(1_000, 5);
  const kept: number[] = [];
  series.each((time) => kept.push(time));
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [900, 101, 1_000]);
  const short = new Series();
  short.push(10, 1);
  short.prepend([[8, 3], [9, 2], [10, 9]]);
  const values: number[] = [];
  short.each((_, value) => values.push(value));
  assert.deepEqual(values, [3, 2, 1]);
});
