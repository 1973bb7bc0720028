// All streams together, and what they cost the machine.

import { useMachine } from "../api/queries";
import type { Restream, Stream } from "../api/types";
import { bitrateParts, count } from "../format";
import { useLoad } from "../live/board";
import { machineOf } from "../system/machine";
import { t } from "../text";
import { Figure, Meter } from "../ui/figure";
import { isFailing, viewersOf } from "./problems";

export function Totals({ streams, restreams }: { streams: Stream[]; restreams: Restream[] }) {
  const live = streams.filter(({ status }) => status.live).length;
  const streaming = restreams.filter(({ status }) => status.state === "streaming").length;
  const failed = restreams.filter(isFailing).length;
  const [inValue, inUnit] = bitrateParts(sum(streams.map(({ status }) => status.ingest?.bitrate_bps ?? 0)));
  const [outValue, outUnit] = bitrateParts(sum(restreams.map(({ status }) => status.bitrate_bps)));
  const started = restreams.filter(({ status }) => status.state !== "stopped").length;
  return (
    <section className="totals" aria-label={t.overview.totals}>
      <dl className="figures">
        <Figure label={t.overview.live} value={count(live)} unit={t.of(streams.length)} />
        <Figure label={t.nav.restreams} value={count(streaming)} unit={t.of(started)} tone={failed > 0 ? "bad" : "good"} note={failed > 0 ? t.overview.inError(failed) : undefined} />
        <Figure label={t.overview.viewers} value={count(sum(streams.map(viewersOf)))} />
        <Figure label={t.overview.ingest} value={inValue} unit={inUnit} />
        <Figure label={t.overview.egress} value={outValue} unit={outUnit} />
      </dl>
      <Machine />
    </section>
  );
}

function Machine() {
  const { data: system } = useMachine();
  const meters = machineOf(system, useLoad());
  if (meters.length === 0) return null;
  return (
    <div className="meters">
      {meters.map(({ label, share, text }) => <Meter key={label} label={label} share={share} text={text} />)}
    </div>
  );
}

function sum(values: number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
