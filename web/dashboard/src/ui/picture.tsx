// The newest picture of a stream, looked at again every few seconds while somebody sees it.

import { VideoOff } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { queryClient } from "../api/queries";
import type { Stream } from "../api/types";

/** Newer pictures are not made. */
const ANEW_MS = 5_000;
/** Each picture costs the server a tenth of a second: not more than one a second is asked for, however many streams are live. */
const EACH_MS = 1_000;

export function Picture({ stream }: { stream: Stream }) {
  const live = stream.status.state === "live" || stream.status.state === "stalled";
  return live ? <LivePicture key={stream.id} id={stream.id} /> : <NoPicture />;
}

function NoPicture() {
  return (
    <span className="no-picture" aria-hidden>
      <VideoOff size={20} strokeWidth={1.5} />
    </span>
  );
}

function LivePicture({ id }: { id: number }) {
  const image = useRef<HTMLImageElement>(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const element = image.current;
    if (!element) return;
    let visible = true;
    const load = () => {
      if (visible && !document.hidden) element.src = `/api/v1/streams/${id}/thumbnail.jpg?at=${Math.floor(Date.now() / ANEW_MS)}`;
    };
    const seen = new IntersectionObserver(([entry]) => {
      const before = visible;
      visible = entry?.isIntersecting ?? true;
      if (visible && !before) load();
    });
    seen.observe(element);
    load();
    let timer: number;
    const again = () => {
      const live = queryClient.getQueryData<Stream[]>(["streams"])?.filter(({ status }) => status.live).length ?? 1;
      // Not all tiles in the same moment.
      timer = window.setTimeout(() => {
        load();
        again();
      }, Math.max(ANEW_MS, live * EACH_MS) * (0.9 + 0.2 * Math.random()));
    };
    again();
    return () => {
      window.clearTimeout(timer);
      seen.disconnect();
    };
  }, [id]);
  return (
    <>
      {!shown && <NoPicture />}
      <img ref={image} alt="" decoding="async" data-shown={shown || undefined} onLoad={() => setShown(true)} onError={() => setShown(false)} />
    </>
  );
}
