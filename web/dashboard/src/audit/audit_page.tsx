// Who changed, looked at or tried what, from where, and how it ended.

import { useState } from "react";
import { useAudit } from "../api/queries";
import { full, moment } from "../format";
import { useNow } from "../live/clock";
import { t } from "../text";
import { Button } from "../ui/button";
import { Segments } from "../ui/search";
import { Failed, Loading, Page, Panel } from "../ui/page";

export function AuditPage() {
  // Where each page begins; the last is the one shown.
  const [cursors, setCursors] = useState<string[]>([]);
  const [outcome, setOutcome] = useState("");
  const { data, error, isPending } = useAudit(cursors.at(-1), outcome);
  const now = useNow();
  return (
    <Page title={t.nav.audit} note={t.audit.note}>
      <div className="toolbar">
        <Segments label={t.audit.outcome} value={outcome} onChange={(value) => { setOutcome(value); setCursors([]); }} options={[
          { value: "", label: t.all },
          ...Object.entries(t.audit.outcomes).map(([value, label]) => ({ value, label })),
        ]} />
      </div>
      {error && <Failed error={error} />}
      {isPending && <Loading />}
      {data && (
        <Panel>
          <div className="table-box">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t.audit.at}</th>
                  <th scope="col">{t.audit.who}</th>
                  <th scope="col">{t.audit.what}</th>
                  <th scope="col">{t.audit.subject}</th>
                  <th scope="col">{t.audit.outcome}</th>
                  <th scope="col">{t.audit.address}</th>
                </tr>
              </thead>
              <tbody>
                {data.items.map(({ id, at, actor, action, subject, outcome, status, address, count }) => {
                  const [kind = "", name = actor] = actor.split(/:(.*)/);
                  return (
                    <tr key={id}>
                      <td className="nowrap" title={full(at)}>{moment(at, now)}</td>
                      <td className="nowrap"><b>{name}</b> <span className="faint">{t.audit.kinds[kind] ?? kind}</span></td>
                      <td className="nowrap"><span className="chip" data-action={action}>{t.audit.actions[action] ?? action}</span></td>
                      <td className="mono wrap">{subject}</td>
                      <td className="nowrap" title={status ? `HTTP ${status}` : undefined}>
                        {t.audit.outcomes[outcome]}
                        {count > 1 && <span className="faint"> {t.audit.times(count)}</span>}
                      </td>
                      <td className="mono nowrap">{address}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
          {data.items.length === 0 && <p className="no-events">{t.audit.none}</p>}
          {(cursors.length > 0 || data.next_cursor) && (
            <div className="panel-more">
              <Button size="small" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>{t.newer}</Button>
              <Button size="small" disabled={!data.next_cursor} onClick={() => setCursors([...cursors, data.next_cursor ?? ""])}>{t.older}</Button>
            </div>
          )}
        </Panel>
      )}
    </Page>
  );
}
