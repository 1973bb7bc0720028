// The preview shows what viewers see while somebody looks, by WebRTC or else by HLS. It holds one connection at most, and none while it is hidden.

import { Play, VideoOff } from "lucide-react";
import { useState } from "react";
import type { Stream } from "../api/types";
import { useAwake } from "../live/awake";
import { t } from "../text";
import { Picture } from "../ui/picture";
import { HlsPreview } from "./preview_hls";
import { WebrtcPreview } from "./preview_webrtc";

export type Way = "webrtc" | "hls";

/** What a player of either way is given. */
export interface PreviewProps {
  stream: Stream;
  muted: boolean;
  onMute: (muted: boolean) => void;
  /** The ways that there are; none where there is no choice. */
  ways: Way[];
  onWay: (way: Way) => void;
  onEnd: () => void;
}

export function Preview({ stream }: { stream: Stream }) {
  const [playing, setPlaying] = useState(false);
  const awake = useAwake();
  const { live } = stream.status;
  const ways = waysOf(stream);
  return (
    <section className="preview panel" aria-label={t.preview.title}>
      <div className="preview-stage">
        {playing && live && awake ? (
          <Player stream={stream} ways={ways} onEnd={() => setPlaying(false)} />
        ) : live ? (
          <>
            <Picture stream={stream} />
            {ways.length > 0 ? (
              <button type="button" className="preview-play" onClick={() => setPlaying(true)}>
                <Play aria-hidden size={22} />
                <span className="sr-only">{t.preview.play}</span>
              </button>
            ) : (
              <p className="preview-note">{t.preview.noWay}</p>
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

function waysOf({ play_urls: { whep, hls } }: Stream): Way[] {
  return [...(whep && "RTCPeerConnection" in window ? ["webrtc" as const] : []), ...(hls ? ["hls" as const] : [])];
}

function Player({ stream, ways, onEnd }: { stream: Stream; ways: Way[]; onEnd: () => void }) {
  const [chosen, setChosen] = useState(ways[0]);
  const [muted, setMuted] = useState(true);
  const [why, setWhy] = useState<string>();
  const way = chosen && ways.includes(chosen) ? chosen : ways[0];
  const choose = (next: Way, because?: string) => {
    setChosen(next);
    setWhy(because);
  };
  const props = { stream, muted, onMute: setMuted, ways, onWay: choose, onEnd };
  if (way === "webrtc") return <WebrtcPreview {...props} onElse={ways.includes("hls") ? (because) => choose("hls", because) : undefined} />;
  return <HlsPreview {...props} why={why} />;
}
