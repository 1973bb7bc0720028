// What the dashboard works out by itself, without a browser: the picture of the flow, figures, server-sent events.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Rendition, Restream, Stream, Webhook, WeirEvent } from "../dashboard/src/api/types";
import { describe } from "../dashboard/src/events/describe";
import { withOutagesAsOne } from "../dashboard/src/events/outages";
import { bitrate, bytes, duration, fps } from "../dashboard/src/format";
import { Series } from "../dashboard/src/live/history";
import { type Page, Relay, type Said, type Told } from "../dashboard/src/live/relay";
import { type Follower, type Message, Parser } from "../dashboard/src/live/server_sent";
import { byHost, inOrder, troublesAround, troublesOf } from "../dashboard/src/overview/problems";
import { flowOf } from "../dashboard/src/streams/flow_layout";
import { plainPlaylist } from "../shared/plain_playlist";
import { keyOf } from "../dashboard/src/publish/use_publishing";
import { aligned, top } from "../dashboard/src/ui/chart_data";
import { silentSounds, soundName } from "../shared/sounds";
import { fragmentOf } from "../shared/webrtc/exchange";
import { receivedFigures, sentFigures } from "../shared/webrtc/figures";
import { iceServersOf } from "../shared/webrtc/ice_servers";
import { againAfterMs } from "../shared/webrtc/tries";
import { readAddress, withWay } from "../watch/src/address";
import { languagesOf, renditionsOf } from "../watch/src/by_webrtc";

const status = { state: "live", live: true, since: "2026-01-01T00:00:00Z", ingest: null, renditions: [], viewers: { hls: 2, dash: 0, webrtc: 0, rtmp: 0, srt: 0 }, warnings: [] };
const stream = (id: number, more: object = {}, statusMore: object = {}): Stream =>
  ({ id, name: `s${id}`, hls: true, dash: false, webrtc: false, play_urls: {}, ...more, status: { ...status, ...statusMore } }) as unknown as Stream;
const restream = (id: number, more: object = {}): Restream =>
  ({ id, name: `r${id}`, stream_id: 1, rendition: null, ...more, status: { state: "streaming", since: "2026-01-01T00:00:00Z", rendition: "source", warnings: [], ...(more as { status?: object }).status } }) as unknown as Restream;

test("the picture of the flow joins each output to what it takes", () => {
  const ladder: Rendition[] = [{ name: "720p" }, { name: "360p" }];
  const own = "~640x360-h264-cbr-867k-128k-2s";
  const restreams = [restream(1), restream(2, { rendition: "360p", status: { rendition: "360p" } }), restream(3, { rendition: { name: "youtube" }, status: { rendition: own } })];
  // Its own rendition runs under the server's name, and is shown under the name that somebody gave it: one box, and it runs.
  const running = { renditions: [{ name: own, label: "640×360 · H.264 · 867 kbps", encoder: "x264enc", bitrate_bps: 867_000 }] };
  const flow = flowOf(stream(1, {}, running), restreams, ladder);
  assert.deepEqual(flow.renditions.map(({ label }) => label), ["source", "720p", "360p", "youtube"]);
  assert.equal(flow.renditions.at(-1)?.status?.encoder, "x264enc");
  const into = (to: string) => flow.edges.filter(([, each]) => each === to).map(([from]) => from);
  assert.deepEqual(into("restream/1"), ["rendition/source"]);
  assert.deepEqual(into("restream/2"), ["rendition/360p"]);
  assert.deepEqual(into("restream/3"), [`rendition/${own}`]);
  // What somebody else asked for, and this page knows nothing of, has words, too.
  assert.equal(flowOf(stream(1, {}, running), [], ladder).renditions.at(-1)?.label, "640×360 · H.264 · 867 kbps");
  assert.deepEqual(into("viewers/hls"), ["rendition/720p", "rendition/360p"]);
  const many = flowOf(stream(1), Array.from({ length: 100 }, (_, id) => restream(id)), []);
  assert.equal(many.outputs.length, 9, "HLS, seven restreams, and how many more there are");
});

test("problems come first", () => {
  const streams = [stream(1, { name: "b" }), stream(2, { name: "a" }, { state: "offline", live: false }), stream(3, { name: "c" }, { state: "stalled", live: false }), stream(4, { name: "d" })];
  const failing = restream(9, { stream_id: 4, status: { state: "error", failing_since: "2026-01-01T00:00:00Z", reason: { message: "no" } } });
  assert.deepEqual(inOrder(streams, [failing]).map(({ id }) => id), [3, 4, 1, 2]);
  assert.deepEqual(troublesOf(streams, [failing]).map(({ weight, reason }) => [weight, reason.length > 0]), [[2, true], [2, true]]);
});

test("troubles stay where they are while they last", () => {
  const streams = [stream(1)];
  const failing = (id: number, since: string, state: string, changed: string) =>
    restream(id, { status: { state, since: changed, failing_since: since, reason: state === "error" ? { message: "refused" } : null } });
  // Two outages, of which each is tried again: now the one, now the other has the newest state.
  const orders = [["error", "error", "12:00:30", "12:00:20"], ["connecting", "error", "12:00:40", "12:00:20"], ["error", "connecting", "12:00:45", "12:00:50"]].map(([one = "", other = "", oneAt, otherAt]) =>
    troublesOf(streams, [failing(1, "2026-01-01T12:00:00Z", one, `2026-01-01T${oneAt}Z`), failing(2, "2026-01-01T12:00:10Z", other, `2026-01-01T${otherAt}Z`)]));
  for (const troubles of orders) assert.deepEqual(troubles.map(({ key, since }) => [key, since]), [["restream/2", "2026-01-01T12:00:10Z"], ["restream/1", "2026-01-01T12:00:00Z"]]);
});

test("restreams that fail at one host are one row", () => {
  const failing = (id: number, host: string) => restream(id, { uri: `rtmp://${host}/app/…`, status: { state: "error", failing_since: `2026-01-01T12:00:0${id}Z`, reason: { message: "refused" } } });
  const troubles = troublesOf([stream(1)], [failing(1, "a"), failing(2, "b"), failing(3, "a"), failing(4, "a"), failing(5, "b")]);
  assert.deepEqual(byHost(troubles).map(({ title, since }) => [title, since?.slice(18, 19)]), [["r5", "5"], ["3 restreams to a", "1"], ["r2", "2"]]);
});

test("a full machine, late renditions and webhooks that fail need attention", () => {
  const late = { renditions: [{ name: "720p", state: "degraded", reason: "it is behind its source" }, { name: "360p", state: "live", reason: "x264enc works here" }] };
  assert.deepEqual(troublesOf([stream(1, {}, late)], []).map(({ reason }) => reason), ["Rendition 720p is degraded: it is behind its source"]);
  const webhooks = [{ id: 1, url: "http://a", status: { failed_attempts: 3, failure: "refused" } }, { id: 2, url: "http://b", status: { failed_attempts: 0 } }] as unknown as Webhook[];
  const keys = (busySince: number | undefined, now: number) => troublesAround(busySince, webhooks, now).map(({ key }) => key);
  assert.deepEqual([keys(undefined, 99_000), keys(95_000, 99_000), keys(90_000, 99_000)], [["webhook/1"], ["webhook/1"], ["cpu", "webhook/1"]]);
});

test("an outage is one thing that happened", () => {
  const at = (id: number, from: string, to: string) => ({ id, type: "restream_state", at: `2026-01-01T12:00:${String(id).padStart(2, "0")}Z`, restream_id: 7, slot: "primary", from, to });
  const events = [at(1, "connecting", "streaming"), at(2, "streaming", "error"), at(3, "error", "connecting"), at(4, "connecting", "error"), at(5, "error", "connecting"), { id: 6, type: "scte35", at: "" }, at(7, "connecting", "error"), at(8, "error", "connecting")].reverse();
  assert.deepEqual(withOutagesAsOne(events).map(({ event, attempts, since }) => [event.id, attempts, since?.slice(17, 19)]), [[7, 3, "02"], [6, undefined, undefined], [1, undefined, undefined]]);
  const ended = [at(1, "streaming", "error"), at(2, "error", "connecting"), at(3, "connecting", "streaming")].reverse();
  assert.deepEqual(withOutagesAsOne(ended).map(({ event }) => event.id), [3, 1]);
});

test("events are sentences", () => {
  const nobody = { stream: () => undefined, restream: () => undefined };
  const told = (event: object) => {
    const { text, detail } = describe({ id: 1, at: "", ...event } as WeirEvent, nobody);
    return detail ? `${text} | ${detail}` : text;
  };
  for (const [event, said] of [
    [{ type: "rendition_planned", rendition: "~640x360-h264-cbr-867k-128k-2s", label: "640×360 · H.264 · 867 kbps", encoder: "x264enc", reason: "no hardware encodes this codec" }, "640×360 · H.264 · 867 kbps is encoded by x264enc | no hardware encodes this codec"],
    [{ type: "rendition_degraded", cause: "delay", rendition: "720p", encoder: "x264enc" }, "720p falls behind its source"],
    [{ type: "rendition_degraded", cause: "encoder", rendition: "720p", encoder: "x264enc", reason: "NVENC failed" }, "720p had to move to x264enc | NVENC failed"],
    [{ type: "rendition_recovered", rendition: "720p", encoder: "x264enc" }, "720p keeps up with its source again"],
    [{ type: "ingest_refused", protocol: "rtmp", code: "NetStream.Publish.BadName", message: "unknown stream key", remote: "10.0.0.1:5" }, "A publisher was refused | unknown stream key · RTMP · from 10.0.0.1:5"],
    [{ type: "play_refused", protocol: "srt", message: "no such stream", count: 40 }, "Players were refused 40 times | no such stream · SRT"],
    [{ type: "stream_key_rotated", name: "cam1", by: "apikey:scheduler" }, "scheduler renewed the stream key of cam1"],
    [{ type: "configuration_reloaded", applied: ["log.level"], needs_restart: ["rtmp.listen"] }, "The configuration was read again | log.level · needs a restart: rtmp.listen"],
    [{ type: "stream_changed", name: "cam1", by: "user:maria", changed: ["ladder", "dvr_seconds"] }, "maria changed the stream cam1 | ladder, dvr seconds"],
    [{ type: "recording_started", recording_id: 3 }, "Recording began"],
    [{ type: "something_new", of_it: 3 }, "Something new | of it: 3"],
  ] as const) assert.equal(told(event), said);
});

test("graphs have gaps where nothing was measured, and no burst sets their scale", () => {
  const { times, columns } = aligned([[[1, 5], [2, 6], [3, Number.NaN], [4, 7]], [[1, 1], [4, 2], [20, 3]]], 5);
  assert.deepEqual(times, [1, 2, 3, 4, 5, 20]);
  assert.deepEqual(columns[0], [5, 6, null, 7, undefined, undefined]);
  assert.deepEqual(columns[1], [1, undefined, undefined, 2, null, 3]);
  // Steps of ten seconds are no gaps.
  assert.deepEqual(aligned([[[0, 1], [10, 2], [20, Number.NaN], [30, 3]]], 5).columns, [[1, 2, null, 3]]);
  const level = (value: number, count: number) => new Array<number>(count).fill(value);
  for (const [values, expected] of [
    [[], 0],
    [[7], 7],
    [[...level(30, 3), ...level(5, 40)], 5],
    [[...level(5, 20), ...level(30, 4), ...level(5, 20)], 5],
    [[...level(5, 100), ...level(30, 6)], 30],
    [[5, 6, 5, 7, 5, 6, 5, 5, 5, 6, 5], 7],
    [[null, ...level(4, 12), undefined], 4],
  ] as [(number | null | undefined)[], number][]) assert.equal(top(values), expected, String(values));
});

test("playlists of the preview ask for nothing that is not there yet", () => {
  const low = [
    "#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.002", "#EXT-X-PART-INF:PART-TARGET=0.334",
    "#EXTINF:2.00000,", "video/7.m4s", '#EXT-X-PART:DURATION=0.33333,URI="video/8.0.m4s",INDEPENDENT=YES', '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="video/8.1.m4s"', '#EXT-X-RENDITION-REPORT:URI="audio.m3u8",LAST-MSN=8,LAST-PART=0', "",
  ].join("\n");
  assert.equal(plainPlaylist(low), ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0", "#EXTINF:2.00000,", "video/7.m4s", ""].join("\n"));
});

test("all pages of a browser share one connection, and give it back", () => {
  let [now, open, ended] = [0, 0, 0];
  let follower: Follower | undefined;
  const relay = new Relay((_, following) => {
    open++;
    follower = following;
    return () => {
      open--;
      ended++;
    };
  }, () => now);
  class TestPage implements Page {
    onmessage: Page["onmessage"] = null;
    readonly heard: string[] = [];
    constructor() {
      relay.accept(this);
    }
    postMessage(told: Told): void {
      this.heard.push(told.tell === "heard" ? `${told.type} ${told.data}` : told.tell);
    }
    say(said: Said): void {
      this.onmessage?.({ data: said } as MessageEvent<Said>);
    }
  }
  const watch: Said = { say: "watch", session: "a" };
  const [one, other] = [new TestPage(), new TestPage()];
  assert.equal(open, 0, "nobody looks");
  one.say(watch);
  follower?.onOpen();
  const board = (streams: object[], more = "") => `{"at":"t","config_version":1,"system":{},"streams":${JSON.stringify(streams)},"restreams":[]${more}}`;
  follower?.onMessage({ id: "", type: "snapshot", data: board([{ id: 1, name: "a" }, { id: 2, name: "b" }]) });
  const delta = board([{ id: 1, name: "c" }], ',"streams_gone":[2],"restreams_gone":[]');
  follower?.onMessage({ id: "", type: "delta", data: delta });
  other.say(watch);
  assert.equal(open, 1, "one for both");
  // Who joins later is told all that there is.
  const [joined, opened, snapshot] = other.heard;
  assert.deepEqual([joined, opened, JSON.parse(snapshot?.replace("snapshot ", "") ?? "").streams], ["joined", "open", [{ id: 1, name: "c" }]]);
  follower?.onMessage({ id: "7", type: "event", data: "{}" });
  assert.deepEqual([one.heard.at(-1), other.heard.at(-1)], ["event {}", "event {}"]);
  assert.equal(follower?.lastId(), "7");
  one.say({ say: "leave" });
  assert.equal(open, 1);
  other.say({ say: "leave" });
  assert.equal(open, 0, "given back");
  one.say(watch);
  assert.deepEqual([open, follower?.lastId()], [1, undefined], "what it missed the page reads itself");
  one.say({ say: "watch", session: "b" });
  assert.deepEqual([open, ended], [1, 2], "another login is another connection");
  one.say({ say: "leave" });
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
  short.push(20, 4);
  // Before it was opened, and while nobody looked; where it has seen something itself, that stays.
  short.fill([[7, 3], [8, 2], [10, 9], [14, Number.NaN], [15, 8], [19, 7], [21, 6]]);
  const values: number[] = [];
  short.each((_, value) => values.push(value));
  assert.deepEqual(values, [3, 2, 1, Number.NaN, 8, 4]);
});

test("sounds are called by their language, and those that can't be heard are told with their codec", () => {
  assert.equal(soundName({ name: "deu", lang: "de" }, "en"), "German");
  assert.equal(soundName({ name: "Director (deu)", lang: "de" }, "en"), "Director (deu)");
  assert.equal(soundName({ name: "sound 2" }, "en"), "sound 2");
  const track = (groupId: string, name: string, lang: string) => ({ groupId, name, lang });
  const level = (group: string, codecs: string) => ({ attrs: { AUDIO: group, CODECS: codecs } });
  const loaded = {
    audioTracks: [track("source", "deu", "de"), track("source-ac3", "deu", "de"), track("source-ac3", "eng", "en")],
    levels: [level("source", "avc1.42c00d,mp4a.40.2"), level("source-ac3", "avc1.42c00d,mp4a.40.2,ac-3")],
    sessionData: { "weir.sounds-left-out": { VALUE: "mp2 fra;mp2 Director, cut" } },
  } as unknown as Parameters<typeof silentSounds>[0];
  const told = (playable: object[]) => silentSounds(loaded, playable as Parameters<typeof silentSounds>[1]).map(({ name, codec }) => `${name} ${codec}`);
  assert.deepEqual(told([track("source", "deu", "de")]), ["English AC-3", "French MP2", "Director, cut MP2"]);
  assert.deepEqual(told([track("small", "deu", "de"), track("small", "eng", "en"), track("small", "fra", "fr")]), ["Director, cut MP2"]);
});

test("helpers are read out of Link headers as the server writes them", () => {
  const turn = '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="we,ir"; credential="se;cret"; credential-type="password"';
  assert.deepEqual(iceServersOf(`<stun:stun.example:3478>; rel="ice-server", ${turn}`), [
    { urls: "stun:stun.example:3478" },
    { urls: "turn:turn.example:3478?transport=udp", username: "we,ir", credential: "se;cret" },
  ]);
  for (const other of [null, "", '</whep/cam>; rel="self"', "stun:h; rel=ice-server"]) assert.deepEqual(iceServersOf(other), [], String(other));
});

test("candidates are told as a fragment of the description that they belong to", () => {
  const description = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=mid:0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n";
  const candidates = [{ candidate: "candidate:1 1 udp 1 10.0.0.1 5 typ host" }];
  assert.equal(fragmentOf(description, candidates), "a=ice-ufrag:abcd\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\na=end-of-candidates\r\n");
  assert.equal(fragmentOf(description, []), undefined);
  assert.equal(fragmentOf("", candidates), undefined);
});

test("figures are of the time between two looks", () => {
  const pair = [{ id: "T", type: "transport", selectedCandidatePairId: "P" }, { id: "P", type: "candidate-pair", localCandidateId: "L", currentRoundTripTime: 0.02 }, { id: "L", type: "local-candidate", protocol: "udp" }];
  const picture = (bytes: number, more: object) => ({ id: "V", type: "inbound-rtp", kind: "video", codecId: "C", bytesReceived: bytes, framesPerSecond: 30, frameWidth: 1280, frameHeight: 720, freezeCount: 1, totalFreezesDuration: 0.4, framesDecoded: 60, ...more });
  const at = (ms: number, ...entries: object[]) => ({ at: ms, entries: [...pair, { id: "C", type: "codec", mimeType: "video/H264" }, ...entries] as Parameters<typeof receivedFigures>[0]["entries"] });
  const before = at(1_000, picture(100_000, { packetsLost: 1, packetsReceived: 100, jitterBufferDelay: 1, jitterBufferEmittedCount: 30 }));
  const now = at(3_000, picture(350_000, { packetsLost: 3, packetsReceived: 198, jitterBufferDelay: 4, jitterBufferEmittedCount: 90 }));
  assert.deepEqual(receivedFigures(now, before), {
    bitrateBps: 1_000_000, bytes: 350_000, transport: "udp", codecs: ["H.264"], fps: 30, width: 1280, height: 720, rttMs: 20, lossPercent: 2, freezes: 1, frozenMs: 400, jitterBufferMs: 50, pictures: 60,
  });
  const first = receivedFigures(now, undefined);
  assert.deepEqual([first.bitrateBps, first.lossPercent], [undefined, undefined], "nothing is known of one look");
  // A connection that was made anew counts from nothing.
  assert.equal(receivedFigures(at(4_000, { ...picture(50_000, {}), id: "W" }), now).bitrateBps, 400_000);
  const sent = at(2_000, { id: "O", type: "outbound-rtp", kind: "video", bytesSent: 5, framesEncoded: 7, qualityLimitationReason: "cpu" }, { id: "R", type: "remote-inbound-rtp", kind: "video", fractionLost: 0.01, roundTripTime: 0.05 });
  const { limit, lossPercent, rttMs, pictures } = sentFigures(sent, undefined);
  assert.deepEqual([limit, lossPercent, rttMs, pictures], ["cpu", 1, 50, 7]);
});

test("a connection that was lost is tried at once, then ever more seldom", () => {
  const waits = [0, 1, 2, 3, 4, 5, 6, 100].map(againAfterMs);
  assert.deepEqual([waits[0], waits.at(-1)], [0, 8_000]);
  assert.deepEqual(waits, [...waits].sort((one, other) => one - other));
});

test("the watch page reads its address, and keeps in it which way to play was chosen", () => {
  const { name, playlist, whep, way } = readAddress({ pathname: "/weir/watch/cam%201", search: "?token=a%2Bb&way=hls" });
  assert.deepEqual([name, playlist, way], ["cam 1", "/weir/play/cam%201/master.m3u8?token=a%2Bb", "hls"]);
  assert.deepEqual([whep(), whep("720p")], ["/weir/whep/cam%201?token=a%2Bb", "/weir/whep/cam%201?rendition=720p&token=a%2Bb"]);
  assert.equal(whep(undefined, "fr"), "/weir/whep/cam%201?audio=fr&token=a%2Bb");
  const bare = readAddress({ pathname: "/watch/cam", search: "?way=other" });
  assert.deepEqual([bare.playlist, bare.whep(), bare.way], ["/play/cam/master.m3u8", "/whep/cam", undefined]);
  assert.equal(withWay("http://h/watch/cam?token=a", "ll-hls"), "http://h/watch/cam?token=a&way=ll-hls");
});

test("renditions for WebRTC are those of the playlist, each once", () => {
  const variant = (bps: number, size: string, uri: string) => `#EXT-X-STREAM-INF:BANDWIDTH=${bps},AVERAGE-BANDWIDTH=1,CODECS="avc1",RESOLUTION=${size},AUDIO="a"\n${uri}\n`;
  const playlist = `#EXTM3U\n${variant(700_000, "640x360", "360p/video.m3u8?token=x")}${variant(2_500_000, "1280x720", "source/video.m3u8")}${variant(2_600_000, "1280x720", "source/video.m3u8")}#EXT-X-STREAM-INF:BANDWIDTH=96000,CODECS="mp4a"\nradio/audio.m3u8\n`;
  assert.deepEqual(renditionsOf(playlist), [{ value: "source", label: "720p · 2.5 Mbps" }, { value: "360p", label: "360p · 0.7 Mbps" }]);
  assert.deepEqual(renditionsOf(""), []);
});

test("languages for WebRTC are those of the playlist, whatever their codecs, the default first", () => {
  const sound = (group: string, name: string, language: string, more = "") => `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${group}",NAME="${name}",LANGUAGE="${language}"${more}\n`;
  const two = sound("a", "eng", "en") + sound("a", "deu", "de", ",DEFAULT=YES") + sound("b", "eng", "en");
  const left = `#EXT-X-SESSION-DATA:DATA-ID="weir.sounds-left-out",VALUE="mp2 fra;mp2 Stadium"\n`;
  assert.deepEqual(languagesOf(two + left), [{ value: "de", label: "German" }, { value: "en", label: "English" }, { value: "fra", label: "French" }]);
  assert.deepEqual([languagesOf(sound("a", "eng", "en")), languagesOf("")], [[], []]);
});

test("the key for this browser is the last piece of WHIP's address", () => {
  assert.deepEqual([keyOf("https://h/whip/KEY"), keyOf("https://h/whip"), keyOf(null)], ["KEY", undefined, undefined]);
});
