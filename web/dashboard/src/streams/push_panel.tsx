// How to send to this stream. Keys are masked until somebody asks for them, which is written down.

import { Eye, EyeOff, Video } from "lucide-react";
import { useState } from "react";
import { get } from "../api/client";
import type { SourceStatus, Stream } from "../api/types";
import { duration } from "../format";
import { useNow } from "../live/clock";
import { Link } from "../router";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { Panel } from "../ui/page";
import { toast } from "../ui/toast";
import { PushKeys } from "./keys";

/** Somebody may look over a shoulder: keys hide again. */
const REVEALED_MS = 60_000;

/** Why a source that is fetched is not there, and when it is tried again. */
function SourceTrouble({ status }: { status: SourceStatus | undefined }) {
  const now = useNow();
  if (!status?.reason) return null;
  const left = status.next_retry_at ? Date.parse(status.next_retry_at) - now : 0;
  return (
    <div className="key-row">
      <dt>{left < 1000 ? t.restreams.retryingNow : t.restreams.retryIn(duration(left + 500))} · {t.restreams.attempt(status.attempt)}</dt>
      <dd className="text-bad">{status.reason.message}</dd>
    </div>
  );
}

export function PushPanel({ stream }: { stream: Stream }) {
  const [revealed, setRevealed] = useState<Stream["push_urls"]>();
  const may = useMay("operator");
  const pulls = stream.sources.filter(({ kind }) => kind !== "push");
  const reveal = async () => {
    try {
      const whole = await get<Stream>(`/streams/${stream.id}?reveal=true`);
      setRevealed(whole.push_urls);
      window.setTimeout(() => setRevealed(undefined), REVEALED_MS);
    } catch (error) {
      toast.bad(error);
    }
  };
  const pushes = stream.sources.some(({ kind }) => kind === "push");
  return (
    <Panel
      title={t.push.title}
      actions={may && pushes && (revealed
        ? <Button size="small" icon={EyeOff} onClick={() => setRevealed(undefined)}>{t.push.hide}</Button>
        : <Button size="small" icon={Eye} onClick={() => void reveal()}>{t.push.reveal}</Button>)}
    >
      <div className="panel-body">
        {pushes && <PushKeys sources={stream.sources} urls={revealed ?? stream.push_urls} revealed={Boolean(revealed)} />}
        {pushes && <p className="hint">{revealed ? t.push.revealed : t.push.obs}</p>}
        {may && stream.active && Object.values(stream.push_urls).some((urls) => urls?.whip) && (
          <Link to={`/streams/${stream.id}/publish`} className="button plain normal">
            <Video aria-hidden size={15} />
            {t.publish.open}
          </Link>
        )}
        {pulls.map(({ slot, kind, uri, items }) => (
          <dl className="key-rows" key={slot}>
            <div className="key-row">
              <dt>{t.push.kinds[kind]} · {slot}</dt>
              <dd><span className="mono">{uri ?? items?.join("\n")}</span></dd>
            </div>
            <SourceTrouble status={stream.status.sources.find((source) => source.slot === slot)} />
          </dl>
        ))}
      </div>
    </Panel>
  );
}
