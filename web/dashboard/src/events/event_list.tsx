// Events as lines: when, how bad, what, about whom.

import { useMemo } from "react";
import { useRestreams, useStreams } from "../api/queries";
import type { WeirEvent } from "../api/types";
import { full, moment } from "../format";
import { useNow } from "../live/clock";
import { Link } from "../router";
import { t } from "../text";
import { Dot } from "../ui/state";
import { renditionLabel } from "../streams/flow_layout";
import { describe } from "./describe";
import { withOutagesAsOne } from "./outages";

export function EventList({ events, compact }: { events: readonly WeirEvent[]; compact?: boolean }) {
  const { data: streams } = useStreams();
  const { data: restreams } = useRestreams();
  const now = useNow();
  const names = useMemo(
    () => ({
      stream: (id: unknown) => streams?.find((stream) => stream.id === id)?.name,
      restream: (id: unknown) => restreams?.find((restream) => restream.id === id)?.name,
      rendition: (id: unknown, name: string) => {
        const label = renditionLabel(name, restreams?.filter(({ stream_id }) => stream_id === id) ?? [], undefined);
        return label === name ? undefined : label;
      },
    }),
    [streams, restreams],
  );
  const happened = useMemo(() => withOutagesAsOne(events), [events]);
  if (events.length === 0) return <p className="no-events">{t.events.none}</p>;
  return (
    <ol className={`events ${compact ? "compact" : ""}`} {...(compact ? { tabIndex: 0, "aria-label": t.nav.events } : {})}>
      {happened.map(({ event, attempts = 0, since }) => {
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
              {attempts > 1 && since && <span className="event-detail">{t.events.attempts(attempts, moment(since, now))}</span>}
            </span>
            {!compact && <span className="event-type mono">{event.type}</span>}
          </li>
        );
      })}
    </ol>
  );
}
