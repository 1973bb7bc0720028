// What viewers see, here: HLS with a choice of quality, while somebody looks. The player is fetched when somebody presses play.

import type Hls from "hls.js";
import type { ManifestLoadedData } from "hls.js";
import { Play, VideoOff, Volume2, VolumeX } from "lucide-react";
import { useCallback, useEffect, useRef, useState } from "react";
import { post } from "../api/client";
import type { Stream } from "../api/types";
import { silentSounds, soundName } from "../../../shared/sounds";
import { useAwake } from "../live/awake";
import { t } from "../text";
import { Picture } from "../ui/picture";
import { PreviewPass } from "./preview_pass";
import { plainLoader } from "./plain_playlist";

interface Choice {
  value: number;
  label: string;
  disabled?: boolean;
}

export function Preview({ stream }: { stream: Stream }) {
  const [playing, setPlaying] = useState(false);
  const awake = useAwake();
  const { live } = stream.status;
  return (
    <section className="preview panel" aria-label={t.preview.title}>
      <div className="preview-stage">
        {playing && live && awake ? (
          <Player stream={stream} onEnd={() => setPlaying(false)} />
        ) : live ? (
          <>
            <Picture stream={stream} />
            {stream.play_urls.hls ? (
              <button type="button" className="preview-play" onClick={() => setPlaying(true)}>
                <Play aria-hidden size={22} />
                <span className="sr-only">{t.preview.play}</span>
              </button>
            ) : (
              <p className="preview-note">{t.preview.noHls}</p>
            )}
          </>
        ) : (
          <div className="preview-off">
            <VideoOff aria-hidden size={22} strokeWidth={1.5} />
            <p>{t.preview.offline}</p>
          </div>
        )}
      </div>
    </section>
  );
}

/** A stream that has just begun has no segment yet, and one that was interrupted has none for a moment. */
const AGAIN_MS = 1_500;

function Player({ stream, onEnd }: { stream: Stream; onEnd: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const player = useRef<Hls>(null);
  const [qualities, setQualities] = useState<Choice[]>([]);
  const [chosen, setChosen] = useState(-1);
  const [sounds, setSounds] = useState<Choice[]>([]);
  const [sound, setSound] = useState(-1);
  const [height, setHeight] = useState<number>();
  const [latency, setLatency] = useState<number>();
  const [muted, setMuted] = useState(true);
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
      const show = () => setQualities(hls.levels.map((level, value) => ({ value, label: `${level.height}p · ${(level.bitrate / 1e6).toFixed(1)} Mbps` })).reverse());
      let loaded: ManifestLoadedData | undefined;
      const showSounds = () => {
        const silent = loaded ? silentSounds(loaded, hls.audioTracks) : [];
        setSounds([
          ...hls.audioTracks.map((track) => ({ value: track.id, label: soundName(track) })),
          ...silent.map(({ name: what, codec }, at) => ({ value: -2 - at, label: t.preview.notHere(what, codec), disabled: true })),
        ]);
        setSound(hls.audioTrack);
      };
      hls.on(Events.MANIFEST_LOADED, (_, data) => (loaded = data));
      hls.on(Events.AUDIO_TRACKS_UPDATED, showSounds);
      hls.on(Events.AUDIO_TRACK_SWITCHED, (_, { id: heard }) => setSound(heard));
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

  const choose = useCallback((value: number) => {
    setChosen(value);
    if (player.current) player.current.nextLevel = value;
  }, []);

  const hear = useCallback((value: number) => {
    setSound(value);
    if (player.current) player.current.audioTrack = value;
  }, []);

  return (
    <>
      <video ref={video} muted={muted} playsInline aria-label={t.preview.title} />
      {trouble && (
        <div className="preview-off">
          <p>{trouble}</p>
          <button type="button" className="button plain small" onClick={onEnd}>{t.close}</button>
        </div>
      )}
      <div className="preview-bar">
        <button type="button" className="icon-button" title={muted ? t.preview.unmute : t.preview.mute} onClick={() => setMuted(!muted)}>
          {muted ? <VolumeX aria-hidden size={16} /> : <Volume2 aria-hidden size={16} />}
          <span className="sr-only">{muted ? t.preview.unmute : t.preview.mute}</span>
        </button>
        <span className="preview-latency">{latency && latency > 0 ? t.preview.behind(latency.toFixed(1)) : ""}</span>
        {(sounds.length > 1 || sounds.some(({ disabled }) => disabled)) && (
          <label>
            <span className="sr-only">{t.preview.sound}</span>
            <select value={sound} onChange={(event) => hear(Number(event.target.value))}>
              {sounds.map(({ value, label, disabled }) => <option key={value} value={value} disabled={disabled}>{label}</option>)}
            </select>
          </label>
        )}
        <label>
          <span className="sr-only">{t.preview.quality}</span>
          <select value={chosen} onChange={(event) => choose(Number(event.target.value))}>
            <option value={-1}>{height && chosen === -1 ? t.preview.autoAt(height) : t.preview.auto}</option>
            {qualities.map(({ value, label }) => <option key={value} value={value}>{label}</option>)}
          </select>
        </label>
      </div>
    </>
  );
}

/** Protected streams need a token, which operators may make. */
async function playlistOf(id: number, name: string, isProtected: boolean): Promise<string> {
  const playlist = `/play/${encodeURIComponent(name)}/master.m3u8`;
  if (!isProtected) return playlist;
  const { token } = await post<{ token: string }>(`/streams/${id}/tokens`, { expires_in_seconds: 3600 });
  return `${playlist}?token=${encodeURIComponent(token)}`;
}
