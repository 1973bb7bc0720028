// The preview by HLS, with a choice of languages. The player is fetched when it is needed.

import type Hls from "hls.js";
import type { ManifestLoadedData } from "hls.js";
import { useEffect, useRef, useState } from "react";
import { plainLoader } from "../../../shared/plain_playlist";
import { silentSounds, soundName } from "../../../shared/sounds";
import { bitrate, NOTHING, seconds, size } from "../format";
import { t } from "../text";
import type { Stat } from "./connection_stats";
import { tokenOf } from "./play_token";
import type { PreviewProps } from "./preview";
import { type Choice, PreviewFrame } from "./preview_frame";
import { PreviewPass } from "./preview_pass";

/** A stream that has just begun has no segment yet, and one that was interrupted has none for a moment. */
const AGAIN_MS = 1_500;

const AUTO = "-1";

export function HlsPreview({ stream, why, ...frame }: PreviewProps & { why: string | undefined }) {
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<Hls>(null);
  const [qualities, setQualities] = useState<Choice[]>([]);
  const [chosen, setChosen] = useState(AUTO);
  const [sounds, setSounds] = useState<Choice[]>([]);
  const [sound, setSound] = useState("");
  const [height, setHeight] = useState<number>();
  const [latency, setLatency] = useState<number>();
  const [trouble, setTrouble] = useState<string>();
  const [attempt, setAttempt] = useState(0);
  const { id, name, protected: isProtected } = stream;

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    let ended = false;
    const timer = window.setInterval(() => setLatency(player.current?.latency), 1_000);
    let again: number | undefined;
    const passes: PreviewPass[] = [];
    void (async () => {
      const [source, { default: Hls, Events }] = await Promise.all([playlistOf(id, name, isProtected), import("hls.js")]);
      if (ended) return;
      if (!Hls.isSupported()) {
        element.src = source;
        return void element.play();
      }
      const pass = new PreviewPass(id);
      await pass.fetched;
      if (ended) return pass.end();
      passes.push(pass);
      const hls = new Hls({
        lowLatencyMode: false,
        liveSyncDurationCount: 2,
        backBufferLength: 10,
        pLoader: plainLoader(Hls.DefaultConfig.loader),
        xhrSetup: (request, url) => pass.show(request, url),
      });
      player.current = hls;
      const show = () => setQualities(hls.levels.map((level, at) => ({ value: String(at), label: `${level.height}p · ${(level.bitrate / 1e6).toFixed(1)} Mbps` })).reverse());
      let loaded: ManifestLoadedData | undefined;
      const showSounds = () => {
        const silent = loaded ? silentSounds(loaded, hls.audioTracks) : [];
        setSounds([
          ...hls.audioTracks.map((track) => ({ value: String(track.id), label: soundName(track) })),
          ...silent.map(({ name: what, codec }, at) => ({ value: `silent ${at}`, label: t.preview.notHere(what, codec), disabled: true })),
        ]);
        setSound(String(hls.audioTrack));
      };
      hls.on(Events.MANIFEST_LOADED, (_, data) => (loaded = data));
      hls.on(Events.AUDIO_TRACKS_UPDATED, showSounds);
      hls.on(Events.AUDIO_TRACK_SWITCHED, (_, { id: heard }) => setSound(String(heard)));
      hls.on(Events.MANIFEST_PARSED, () => {
        show();
        void element.play().catch(() => undefined);
      });
      hls.on(Events.LEVELS_UPDATED, show);
      hls.on(Events.LEVEL_SWITCHED, (_, { level }) => {
        setHeight(hls.levels[level]?.height);
        // hls.js chooses its tracks before it says what it has loaded.
        showSounds();
      });
      hls.on(Events.ERROR, (_, error) => {
        if (!error.fatal) return;
        setTrouble(t.preview.again);
        again = window.setTimeout(() => setAttempt((before) => before + 1), AGAIN_MS);
      });
      hls.on(Events.FRAG_BUFFERED, () => setTrouble(undefined));
      hls.loadSource(source);
      hls.attachMedia(element);
    })().catch((error: unknown) => setTrouble(error instanceof Error ? error.message : t.preview.failed));
    return () => {
      ended = true;
      window.clearInterval(timer);
      window.clearTimeout(again);
      passes.forEach((pass) => pass.end());
      player.current?.destroy();
      player.current = null;
    };
  }, [id, name, isProtected, attempt]);

  const choose = (value: string) => {
    setChosen(value);
    if (player.current) player.current.nextLevel = Number(value);
  };
  const hear = (value: string) => {
    setSound(value);
    if (player.current) player.current.audioTrack = Number(value);
  };
  const hasSounds = sounds.length > 1 || sounds.some(({ disabled }) => disabled);
  const auto = { value: AUTO, label: height && chosen === AUTO ? t.preview.autoAt(height) : t.preview.auto };
  const behind = latency && latency > 0 ? t.preview.behind(latency.toFixed(1)) : undefined;
  return (
    <PreviewFrame {...frame} video={video} way="hls" note={[behind, why].filter(Boolean).join(" · ") || undefined} trouble={trouble} stats={() => statsOf(video.current, player.current)}
      menus={[
        ...(hasSounds ? [{ label: t.preview.sound, choices: sounds, value: sound, onChange: hear }] : []),
        { label: t.preview.quality, choices: [auto, ...qualities], value: chosen, onChange: choose },
      ]} />
  );
}

function statsOf(video: HTMLVideoElement | null, hls: Hls | null): Stat[] {
  const level = hls?.levels[hls.currentLevel];
  const { buffered } = video ?? {};
  const ahead = video && buffered && buffered.length > 0 ? buffered.end(buffered.length - 1) - video.currentTime : undefined;
  return [
    [t.connection.codecs, [level?.videoCodec, level?.audioCodec].filter(Boolean).join(", ") || NOTHING],
    [t.rendition.size, size(video?.videoWidth, video?.videoHeight)],
    [t.connection.bitrate, bitrate(level?.bitrate)],
    [t.connection.buffer, seconds(ahead)],
    [t.ingest.dropped, video ? String(video.getVideoPlaybackQuality().droppedVideoFrames) : NOTHING],
  ];
}

async function playlistOf(id: number, name: string, isProtected: boolean): Promise<string> {
  const token = await tokenOf(id, isProtected);
  return `/play/${encodeURIComponent(name)}/master.m3u8${token ? `?token=${encodeURIComponent(token)}` : ""}`;
}
