// Where viewers watch.

import type { Stream } from "../api/types";
import { t } from "../text";
import { CopyButton } from "../ui/button";
import { Panel } from "../ui/page";

export function PlayPanel({ stream }: { stream: Stream }) {
  const { watch, hls, dash, whep } = stream.play_urls;
  const rows: [string, string | null | undefined][] = [[t.play.watch, watch], ["HLS", hls], ["DASH", dash], ["WHEP", whep]];
  const { viewers } = stream.status;
  return (
    <Panel title={t.play.title} note={stream.protected ? t.play.isProtected : undefined}>
      <div className="panel-body">
        <dl className="key-rows">
          {rows.map(([label, url]) => url && (
            <div key={label} className="key-row">
              <dt>{label}</dt>
              <dd>
                <span className="mono"><a href={url} target="_blank" rel="noreferrer">{url}</a></span>
                <CopyButton text={url} what={label} />
              </dd>
            </div>
          ))}
        </dl>
        <dl className="viewer-counts">
          {Object.entries(viewers).map(([protocol, value]) => (
            <div key={protocol} data-none={value === 0 || undefined}>
              <dt>{t.protocol(protocol)}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Panel>
  );
}
