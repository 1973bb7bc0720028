// One stream at a glance.

import { Eye, TriangleAlert } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import type { Restream, Stream } from "../api/types";
import { codec, fps } from "../format";
import { keys } from "../live/history";
import { Link } from "../router";
import { t } from "../text";
import { Bitrate } from "../ui/figure";
import { Sparkline } from "../ui/sparkline";
import { StateBadge, toneOf } from "../ui/state";
import { Picture } from "../ui/picture";
import { isFailing, viewersOf } from "./problems";

/** Among many, figures out of sight stay as they were until they are seen: fifty tiles cost little more than the dozen on the
 *  screen. States are always those of now. */
export function StreamTile({ stream, restreams, isOneOfMany }: { stream: Stream; restreams: Restream[]; isOneOfMany: boolean }) {
  const item = useRef<HTMLLIElement>(null);
  const [seen, setSeen] = useState(true);
  const drawn = useRef<ReactNode>(null);
  useEffect(() => {
    const element = item.current;
    if (!element) return;
    const observer = new IntersectionObserver(([entry]) => setSeen(entry?.isIntersecting ?? true), { rootMargin: "200px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const states = useRef("");
  const now = [stream.name, stream.status.state, stream.status.warnings.length, ...restreams.map(({ status }) => status.state)].join();
  if (seen || !isOneOfMany || states.current !== now) {
    states.current = now;
    drawn.current = <Tile stream={stream} restreams={restreams} />;
  }
  return (
    <li ref={item} className="tile" data-tone={toneOf(stream.status.state)}>
      {drawn.current}
    </li>
  );
}

function Tile({ stream, restreams }: { stream: Stream; restreams: Restream[] }) {
  const { ingest, state, viewers, warnings } = stream.status;
  const live = state === "live" || state === "stalled";
  const watching = viewersOf(stream);
  const byProtocol = Object.entries(viewers).filter(([, count]) => count > 0).map(([protocol, count]) => `${t.protocol(protocol)} ${count}`);
  return (
      <Link to={`/streams/${stream.id}`} className="tile-link">
        <span className="tile-picture">
          <Picture stream={stream} />
          <span className="tile-over">
            <StateBadge state={state} solid />
            {warnings.length > 0 && (
              <span className="chip wait solid" title={warnings.map(({ message }) => message).join("\n")}>
                <TriangleAlert aria-hidden size={12} />
                {warnings.length}
                <span className="sr-only">{t.overview.warnings}</span>
              </span>
            )}
          </span>
        </span>
        <span className="tile-body">
          <span className="tile-name">{stream.name}</span>
          <span className="tile-facts">
            {ingest && live ? (
              <>
                <span>{t.protocol(ingest.protocol)}</span>
                {ingest.height && <span>{`${ingest.width}×${ingest.height}`}</span>}
                {ingest.fps != null && <span>{t.fps(fps(ingest.fps))}</span>}
                <span>{codec(ingest.video_codec)}</span>
              </>
            ) : (
              <span>{t.overview.noSource}</span>
            )}
          </span>
          <span className="tile-line">
            {live ? <Sparkline of={keys.ingest(stream.id)} subject={{ kind: "streams", id: stream.id }} label={t.overview.sparkline(stream.name)} tone={state === "stalled" ? "bad" : "accent"} /> : <span className="sparkline" />}
            {live && <Bitrate bps={ingest?.bitrate_bps} />}
          </span>
          <span className="tile-foot">
            <span className="tile-viewers" title={byProtocol.join(" · ")}>
              <Eye aria-hidden size={14} />
              {watching}
              <span className="sr-only">{t.overview.viewers}</span>
            </span>
            <RestreamDots restreams={restreams} />
          </span>
        </span>
      </Link>
  );
}

/** A dot to a restream while there are few, then figures. */
function RestreamDots({ restreams }: { restreams: Restream[] }) {
  if (restreams.length === 0) return null;
  const streaming = restreams.filter(({ status }) => status.state === "streaming").length;
  const failed = restreams.filter(isFailing).length;
  return (
    <span className="tile-restreams" title={restreams.map(({ name, status }) => `${name}: ${t.states[status.state as "error"]}`).join("\n")}>
      {restreams.length <= 8 && (
        <span className="dots" aria-hidden>
          {restreams.map(({ id, status }) => <span key={id} className={`dot ${toneOf(status.state)}`} />)}
        </span>
      )}
      <span className={failed > 0 ? "text-bad" : undefined}>{failed > 0 ? t.overview.failed(failed, restreams.length) : t.overview.pushing(streaming, restreams.length)}</span>
    </span>
  );
}
