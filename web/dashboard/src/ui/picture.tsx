// The newest picture of a stream, looked at again every few seconds while somebody sees it. One that is not of now says how old it is.

import { History, VideoOff } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { queryClient } from "../api/queries";
import type { Stream } from "../api/types";
import { duration } from "../format";
import { isAwake, onAwake } from "../live/awake";
import { useNow } from "../live/clock";
import { t } from "../text";
import { fetchPicture, isGone, isOld, type Shown } from "./picture_age";

/** Newer pictures are not made. */
const ANEW_MS = 5_000;
/** The first one is being made, or could not be: the server tries that again by itself, so that asking costs it nothing. */
const SOON_MS = 2_000;
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
  const box = useRef<HTMLSpanElement>(null);
  const [shown, setShown] = useState<Shown>();
  const [old, setOld] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let [visible, ended, timer] = [true, false, 0];
    let newest: Shown | undefined;
    const show = (next: Shown | undefined) => {
      newest = next;
      setShown(next);
      grow();
    };
    // A picture grows old by itself, also while the server gives no other.
    const grow = () => {
      if (newest && isGone(newest, Date.now())) show(undefined);
      setOld(newest !== undefined && isOld(newest, Date.now()));
    };
    const look = async () => {
      window.clearTimeout(timer);
      if (!visible || !isAwake()) return;
      const found = await fetchPicture(id);
      if (ended) return;
      if (found !== "unknown") show(found);
      grow();
      const live = queryClient.getQueryData<Stream[]>(["streams"])?.filter(({ status }) => status.live).length ?? 1;
      // Not all tiles in the same moment.
      const wait = newest ? Math.max(ANEW_MS, live * EACH_MS) : SOON_MS;
      window.clearTimeout(timer);
      timer = window.setTimeout(() => void look(), wait * (0.9 + 0.2 * Math.random()));
    };
    const seen = new IntersectionObserver(([entry]) => {
      const before = visible;
      visible = entry?.isIntersecting ?? true;
      if (visible && !before) void look();
    });
    seen.observe(element);
    const forgetAwake = onAwake(() => void look());
    const growing = window.setInterval(grow, 2_000);
    void look();
    return () => {
      ended = true;
      window.clearTimeout(timer);
      window.clearInterval(growing);
      seen.disconnect();
      forgetAwake();
    };
  }, [id]);
  return (
    <span ref={box} className="picture">
      {shown ? <img src={shown.url} alt="" decoding="async" data-shown /> : <NoPicture />}
      {shown && old && <Age of={shown} />}
    </span>
  );
}

function Age({ of: { at } }: { of: Shown }) {
  const now = useNow();
  return (
    <span className="chip wait solid picture-age">
      <History aria-hidden size={12} />
      {t.pictureAge(duration(now - at))}
    </span>
  );
}
