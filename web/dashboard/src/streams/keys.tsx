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

/** What the key is called where encoders ask for it apart from the address before it, as for `rtmp://host/live/KEY`. */
const KEY_APART: Record<string, string> = { rtmp: t.push.key, rtmps: t.push.key, whip: t.push.bearer };

function wayOf(protocol: string, url: string): Way {
  const way = { id: protocol, label: t.protocol(protocol) };
  const key = KEY_APART[protocol];
  const at = url.lastIndexOf("/");
  if (key) return { ...way, rows: [[t.push.server, url.slice(0, at), false], [key, url.slice(at + 1), true]] };
  if (protocol === "srt") return { ...way, rows: [[t.push.address, `${url}&latency=${SRT_LATENCY_MICROS}`, true]], hint: t.push.srtHint };
  return { ...way, rows: [[t.push.address, url, true]] };
}

export function PushKeys({ sources, urls, revealed }: { sources: Stream["sources"]; urls: PushUrls; revealed: boolean }) {
  const slots = sources.map(({ slot }) => slot).filter((slot) => urls[slot]);
  const [slot, setSlot] = useState<Slot>(slots[0] ?? "");
  const [way, setWay] = useState("rtmp");
  const shown = urls[slot] ?? urls[slots[0] ?? ""];
  if (!shown) return <p className="hint">{t.push.none}</p>;
  const ways = Object.entries(shown).flatMap(([protocol, url]) => (url ? [wayOf(protocol, url)] : []));
  const current = ways.find(({ id }) => id === way) ?? ways[0];
  return (
    <div className="keys">
      <div className="keys-choice">
        {ways.length > 1 && <Segments label={t.push.protocol} value={current?.id ?? ""} onChange={setWay} options={ways.map(({ id, label }) => ({ value: id, label }))} />}
        {slots.length > 1 && <Segments label={t.push.slot} value={slot} onChange={setSlot} options={slots.map((each) => ({ value: each, label: each }))} />}
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
