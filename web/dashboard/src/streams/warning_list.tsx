// What the server warns of, in its own words.

import { TriangleAlert } from "lucide-react";
import type { Stream } from "../api/types";
import { since } from "../format";
import { useNow } from "../live/clock";
import { t } from "../text";

export function WarningList({ stream }: { stream: Stream }) {
  const now = useNow();
  const { warnings, reason, state } = stream.status;
  const down = state === "failed" || state === "stalled";
  if (warnings.length === 0 && !down) return null;
  return (
    <section className="troubles" aria-label={t.overview.attention}>
      <ul>
        {down && (
          <li className="trouble bad">
            <TriangleAlert aria-hidden size={16} />
            <span className="trouble-reason">{reason?.message ?? t.overview.reasons[state]}</span>
          </li>
        )}
        {warnings.map(({ code, message, since: at }) => (
          <li key={code} className="trouble wait">
            <TriangleAlert aria-hidden size={16} />
            <span className="trouble-reason">{message}</span>
            <span className="trouble-since">{t.ago(since(at, now))}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
