// What needs somebody, with what can be done about it.

import { CircleAlert, TriangleAlert } from "lucide-react";
import { useWebhooks } from "../api/queries";
import { since } from "../format";
import { useBusySince } from "../live/board";
import { useNow } from "../live/clock";
import { Attempt, RetryNow } from "../restreams/retry";
import { Link } from "../router";
import { useMay } from "../shell/session";
import { t } from "../text";
import { byHost, inOrderOfHarm, type Trouble, troublesAround } from "./problems";

const SHOWN = 6;

export function TroubleList({ troubles: ofStreams }: { troubles: Trouble[] }) {
  const now = useNow();
  const { data: webhooks = [] } = useWebhooks(useMay("admin"));
  const troubles = inOrderOfHarm([...byHost(ofStreams), ...troublesAround(useBusySince(), webhooks, now)]);
  if (troubles.length === 0) return null;
  const shown = troubles.slice(0, SHOWN);
  return (
    <section className="troubles" aria-label={t.overview.attention}>
      <h2 className="sr-only">{t.overview.attention}</h2>
      <ul>
        {shown.map(({ key, weight, to, stream, restream, title, reason, since: at }) => (
          <li key={key} className={`trouble ${weight === 2 ? "bad" : "wait"}`}>
            {weight === 2 ? <CircleAlert aria-hidden size={16} /> : <TriangleAlert aria-hidden size={16} />}
            <Link to={to} className="trouble-name">
              {title}
              {stream && restream && <span className="trouble-of">{t.overview.of(stream.name)}</span>}
            </Link>
            <span className="trouble-reason">{reason}</span>
            {at && <span className="trouble-since">{t.ago(since(at, now))}</span>}
            {restream && weight === 2 && (
              <span className="trouble-retry">
                <Attempt status={restream.status} />
                <RetryNow restream={restream} />
              </span>
            )}
          </li>
        ))}
      </ul>
      {troubles.length > SHOWN && <Link to="/restreams?state=error" className="trouble-more">{t.overview.moreTroubles(troubles.length - SHOWN)}</Link>}
    </section>
  );
}
