// Where an encoder sends: exactly the fields that OBS has, and the same as one address for all others.

import { useState } from "react";
import type { Slot, Stream } from "../api/types";
import { t } from "../text";
import { CopyButton } from "../ui/button";
import { Segments } from "../ui/search";

type PushUrls = Stream["push_urls"];

interface Way {
  id: string;
  label: string;
  /** Label, value, whether it is secret. */
  rows: [string, string, boolean][];
  hint?: string;
}

/** Without one, encoders ask for an eighth of a second, which is no time to send again what was lost on the way. */
const SRT_LATENCY_MICROS = 1_000_000;

/** `rtmp://host/live/KEY` is asked for in two pieces everywhere. */
function waysOf(urls: NonNullable<PushUrls[Slot]>): Way[] {
  const ways: Way[] = [];
  for (const protocol of ["rtmp", "rtmps"] as const) {
    const url = urls[protocol];
    if (!url) continue;
    const at = url.lastIndexOf("/");
    ways.push({ id: protocol, label: t.protocols[protocol] ?? protocol, rows: [[t.push.server, url.slice(0, at), false], [t.push.key, url.slice(at + 1), true]] });
  }
  if (urls.srt) ways.push({ id: "srt", label: "SRT", rows: [[t.push.address, `${urls.srt}&latency=${SRT_LATENCY_MICROS}`, true]], hint: t.push.srtHint });
  if (urls.whip) {
    const at = urls.whip.lastIndexOf("/");
    ways.push({ id: "whip", label: "WHIP", rows: [[t.push.server, urls.whip.slice(0, at), false], [t.push.bearer, urls.whip.slice(at + 1), true]] });
  }
  return ways;
}

export function PushKeys({ urls, revealed }: { urls: PushUrls; revealed: boolean }) {
  const slots = (["primary", "backup"] as const).filter((slot) => urls[slot]);
  const [slot, setSlot] = useState<Slot>("primary");
  const [way, setWay] = useState("rtmp");
  const shown = urls[slot] ?? urls.primary;
  if (!shown) return <p className="hint">{t.push.none}</p>;
  const ways = waysOf(shown);
  const current = ways.find(({ id }) => id === way) ?? ways[0];
  return (
    <div className="keys">
      <div className="keys-choice">
        {ways.length > 1 && <Segments label={t.push.protocol} value={current?.id ?? ""} onChange={setWay} options={ways.map(({ id, label }) => ({ value: id, label }))} />}
        {slots.length > 1 && <Segments label={t.push.slot} value={slot} onChange={setSlot} options={slots.map((each) => ({ value: each, label: t.flow.slot[each] }))} />}
      </div>
      <dl className="key-rows">
        {current?.rows.map(([label, value, secret]) => (
          <div key={label} className="key-row">
            <dt>{label}</dt>
            <dd>
              <span className="mono">{value}</span>
              <CopyButton text={value} what={label} disabled={secret && !revealed} />
            </dd>
          </div>
        ))}
      </dl>
      {current?.hint && <p className="hint">{current.hint}</p>}
    </div>
  );
}
