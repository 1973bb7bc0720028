// The preview by WebRTC: a tenth of a second behind, and no connection of those six that a browser has to a host.

import { useEffect, useRef, useState } from "react";
import type { Figures } from "../../../shared/webrtc/figures";
import { type Over, WhepViewer } from "../../../shared/webrtc/viewer";
import { renditionLabel } from "./flow_layout";
import { t } from "../text";
import { watchedStats } from "./connection_stats";
import { tokenOf } from "./play_token";
import type { PreviewProps } from "./preview";
import { PreviewFrame } from "./preview_frame";
import { PreviewPass } from "./preview_pass";

interface Props extends PreviewProps {
  /** Goes on another way, and says why. */
  onElse: ((because: string) => void) | undefined;
}

export function WebrtcPreview({ stream, onElse, ...frame }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const [rendition, setRendition] = useState("");
  const [figures, setFigures] = useState<Figures>();
  const [note, setNote] = useState<string>();
  const [trouble, setTrouble] = useState<string>();
  const [silent, setSilent] = useState(false);
  const { id, name, protected: isProtected } = stream;
  const goElse = useRef(onElse);
  goElse.current = onElse;

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const pass = new PreviewPass(id);
    const address = async () => {
      const [token] = await Promise.all([tokenOf(id, isProtected), pass.fetched]);
      const query = new URLSearchParams({ ...(rendition ? { rendition } : {}), ...(token ? { token } : {}) });
      return { url: `/whep/${encodeURIComponent(name)}?${query}`, headers: pass.headers() };
    };
    setTrouble(t.preview.again);
    const viewer = new WhepViewer(element, address, {
      onPlaying: (notice) => {
        setTrouble(undefined);
        setSilent(notice !== null);
        setNote(notice === null ? undefined : t.preview.silent);
      },
      onQuiet: () => setTrouble(t.preview.quiet),
      onAgain: () => setTrouble(t.preview.again),
      onFigures: setFigures,
      onOver: (why) => {
        if (goElse.current) goElse.current(wordsOf(why));
        else setTrouble(why.kind === "refused" && why.words ? why.words : t.preview.failed);
      },
    });
    return () => {
      viewer.end();
      pass.end();
    };
  }, [id, name, isProtected, rendition]);

  // Sound that WebRTC does not have here is heard the other way.
  const isWanted = silent && !frame.muted;
  useEffect(() => {
    if (isWanted) goElse.current?.(t.preview.silentByWebrtc);
  }, [isWanted]);

  const { renditions } = stream.status;
  const choices = [{ value: "", label: figures?.height && !rendition ? t.preview.autoAt(figures.height) : t.preview.auto },
    // Those of single restreams, which have a tilde, are for nobody else.
    ...renditions.filter((each) => !each.name.startsWith("~")).map((each) => ({ value: each.name, label: each.name === "source" ? t.flow.asIs : renditionLabel(each.name, [], each) }))];
  return (
    <PreviewFrame {...frame} video={video} way="webrtc" note={note} trouble={trouble} stats={() => watchedStats(figures)}
      menus={[{ label: t.preview.quality, choices, value: rendition, onChange: setRendition }]} />
  );
}

function wordsOf(why: Over): string {
  switch (why.kind) {
    case "refused":
      return why.words || t.preview.failed;
    case "no-picture":
      return t.preview.noPicture;
    default:
      return t.preview.noWebrtc;
  }
}
