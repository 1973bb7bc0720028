// A restream's figures, as the far end lets us know them.

import type { ReactNode } from "react";
import type { PushStatus, Restream } from "../api/types";
import { languageName } from "../../../shared/sounds";
import { bitrate, bytes, codec, count, milliseconds, percent, since } from "../format";
import { useNow } from "../live/clock";
import { ackedBps } from "../live/history";
import { usePast } from "../live/past";
import { t } from "../text";
import { Facts } from "../ui/facts";
import { StateBadge } from "../ui/state";
import { Attempt } from "./retry";

export function RestreamFacts({ restream }: { restream: Restream }) {
  const { status } = restream;
  usePast("restreams", restream.id);
  return (
    <div className="restream-facts">
      <PushFacts status={status} acked={ackedBps(restream.id)} />
      {status.backup && (
        <>
          <h3>{t.restreams.backup}</h3>
          <PushFacts status={status.backup} />
        </>
      )}
    </div>
  );
}

function PushFacts({ status, acked }: { status: PushStatus; acked?: number | undefined }) {
  const now = useNow();
  return (
    <Facts facts={[
      [t.ingest.state, <span className="fact-state"><StateBadge state={status.state} /> <Attempt status={status} /></span>],
      ...(status.reason ? [[t.restreams.reason, <>{status.reason.message} <span className="fault">{t.faults[status.reason.fault] ?? status.reason.fault}</span></>] as [string, ReactNode]] : []),
      [t.restreams.sent, `${bitrate(status.bitrate_bps)} · ${bytes(status.sent_bytes)}`],
      [t.restreams.acked, `${acked === undefined ? "" : `${bitrate(acked)} · `}${bytes(status.acked_bytes)}`],
      ...(status.sounds.length > 0 ? [[status.sounds.length > 1 ? t.restreams.sounds : t.restreams.sound, status.sounds.map(soundWords).join(", ")] as [string, string]] : []),
      [t.restreams.connected, status.connected_since ? t.forTime(since(status.connected_since, now)) : t.no],
      [t.ingest.dropped, count(status.dropped_frames)],
      ...(status.rtt_ms != null ? [[t.ingest.rtt, milliseconds(status.rtt_ms)] as [string, string]] : []),
      ...(status.loss_percent != null ? [[t.ingest.loss, percent(status.loss_percent)] as [string, string]] : []),
      ...(status.latency_ms != null ? [[t.ingest.latency, milliseconds(status.latency_ms)] as [string, string]] : []),
    ]} />
  );
}

function soundWords({ language, codec: name }: PushStatus["sounds"][number]): string {
  return [language ? languageName(language) : "", codec(name)].filter(Boolean).join(" · ");
}
