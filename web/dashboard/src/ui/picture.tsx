// The newest picture of a stream, looked at again every few seconds while somebody sees it.

import { VideoOff } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Stream } from "../api/types";

/** Keyframes come every 2 s; fifty tiles ask for ten pictures a second then. */
const ANEW_MS = 5_000;

export function Picture({ stream }: { stream: Stream }) {
  const live = stream.status.state === "live" || stream.status.state === "stalled";
  return live ? <LivePicture key={stream.name} name={stream.name} id={stream.id} /> : <NoPicture />;
}

function NoPicture() {
  return (
    <span className="no-picture" aria-hidden>
      <VideoOff size={20} strokeWidth={1.5} />
    </span>
  );
}

function LivePicture({ name, id }: { name: string; id: number }) {
  const image = useRef<HTMLImageElement>(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const element = image.current;
    if (!element) return;
    let visible = true;
    const load = () => {
      if (visible && !document.hidden) element.src = `/play/${encodeURIComponent(name)}/thumbnail.jpg?at=${Math.floor(Date.now() / ANEW_MS)}`;
    };
    const seen = new IntersectionObserver(([entry]) => {
      visible = entry?.isIntersecting ?? true;
      load();
    });
    seen.observe(element);
    // Not all tiles in the same moment.
    let timer: number;
    const first = window.setTimeout(() => {
      load();
      timer = window.setInterval(load, ANEW_MS);
    }, (id * 379) % ANEW_MS);
    return () => {
      window.clearTimeout(first);
      window.clearInterval(timer);
      seen.disconnect();
    };
  }, [name, id]);
  return (
    <>
      {!shown && <NoPicture />}
      <img ref={image} alt="" decoding="async" data-shown={shown || undefined} onLoad={() => setShown(true)} onError={() => setShown(false)} />
    </>
  );
}
