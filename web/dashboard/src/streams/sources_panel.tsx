// Every source of a stream, in order of preference: what comes from each, which one is on air, and a button that puts another one there.

import { ArrowLeftRight, ListOrdered } from "lucide-react";
import { useState } from "react";
import { post } from "../api/client";
import { useChange } from "../api/queries";
import type { SourceStatus, Stream } from "../api/types";
import { bitrate, codec, fps, since, size } from "../format";
import { useNow } from "../live/clock";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { Panel } from "../ui/page";
import { StateBadge } from "../ui/state";
import { toast } from "../ui/toast";
import { SourcesDialog } from "./sources_dialog";

export function SourcesPanel({ stream }: { stream: Stream }) {
  const [editing, setEditing] = useState(false);
  const may = useMay("operator");
  const now = useNow();
  const { sources, by_hand } = stream.status;
  const choose = useChange((slot: string | null) => post(`/streams/${stream.id}/switch`, { slot }), "streams");
  const onAir = (slot: string | null) => choose.mutate(slot, { onError: toast.bad });
  return (
    <Panel
      title={t.sources.title}
      note={by_hand ? t.sources.byHand(by_hand) : undefined}
      actions={may && (
        <>
          {by_hand && <Button size="small" busy={choose.isPending} onClick={() => onAir(null)}>{t.sources.automatic}</Button>}
          <Button size="small" icon={ListOrdered} onClick={() => setEditing(true)}>{t.sources.edit}</Button>
        </>
      )}
    >
      <ul className="sources">
        {sources.map((source) => (
          <li key={source.slot} data-slot={source.slot}>
            <span className="source-name">
              <b>{source.slot}</b>
              {source.on_air && <span className="on-air">{t.sources.onAir}</span>}
            </span>
            <span className="source-state"><StateBadge state={source.state} /> <span className="faint nowrap">{t.forTime(since(source.since, now))}</span></span>
            <span className="source-note">{noteOf(source)}</span>
            {may && sources.length > 1 && source.state === "live" && !source.on_air && (
              <Button size="small" icon={ArrowLeftRight} busy={choose.isPending} onClick={() => onAir(source.slot)}>
                {t.sources.put}<span className="sr-only"> {source.slot}</span>
              </Button>
            )}
          </li>
        ))}
      </ul>
      {editing && <SourcesDialog stream={stream} onClose={() => setEditing(false)} />}
    </Panel>
  );
}

function noteOf({ ingest, kind, reason }: SourceStatus): string {
  if (!ingest) return reason?.message ?? (kind === "push" ? t.flow.waiting : t.push.kinds[kind as "pull"]);
  return [t.protocol(ingest.protocol), bitrate(ingest.bitrate_bps), size(ingest.width, ingest.height), t.fps(fps(ingest.fps)), codec(ingest.video_codec)].join(" · ");
}
