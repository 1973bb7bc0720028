// Events as lines: when, how bad, what, about whom.

import { useMemo } from "react";
import { useRestreams, useStreams } from "../api/queries";
import type { WeirEvent } from "../api/types";
import { full, moment } from "../format";
import { useNow } from "../live/clock";
import { Link } from "../router";
import { t } from "../text";
import { Dot } from "../ui/state";
import { describe } from "./describe";

export function EventList({ events, compact }: { events: readonly WeirEvent[]; compact?: boolean }) {
  const { data: streams } = useStreams();
  const { data: restreams } = useRestreams();
  const now = useNow();
  const names = useMemo(
    () => ({
      stream: (id: unknown) => streams?.find((stream) => stream.id === id)?.name,
      restream: (id: unknown) => restreams?.find((restream) => restream.id === id)?.name,
    }),
    [streams, restreams],
  );
  if (events.length === 0) return <p className="no-events">{t.events.none}</p>;
  return (
    <ol className={`events ${compact ? "compact" : ""}`} {...(compact ? { tabIndex: 0, "aria-label": t.nav.events } : {})}>
      {events.map((event) => {
        const { tone, text, detail } = describe(event, names);
        const stream = names.stream(event["stream_id"]);
        return (
          <li key={event.id}>
            <time dateTime={event.at} title={full(event.at)}>{moment(event.at, now)}</time>
            <Dot tone={tone} />
            {!compact && (
              <span className="event-about">
                {stream ? <Link to={`/streams/${String(event["stream_id"])}`}>{stream}</Link> : String(event["stream"] ?? "")}
              </span>
            )}
            <span className="event-text" title={compact ? detail : undefined}>
              {text}
              {detail && <span className="event-detail">{detail}</span>}
            </span>
            {!compact && <span className="event-type mono">{event.type}</span>}
          </li>
        );
      })}
    </ol>
  );
}
