// Who is told of events over HTTP, and whether they listen.

import { Plus, Trash2, Webhook as WebhookIcon } from "lucide-react";
import { useState } from "react";
import { post, remove } from "../api/client";
import { useChange, useWebhooks } from "../api/queries";
import type { Webhook } from "../api/types";
import { duration, since } from "../format";
import { useNow } from "../live/clock";
import { t } from "../text";
import { Button, IconButton } from "../ui/button";
import { Confirm, FormDialog } from "../ui/dialog";
import { errorOf, TextField } from "../ui/field";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { Dot } from "../ui/state";

export function WebhooksPage() {
  const { data: webhooks, error, isPending } = useWebhooks();
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Webhook>();
  const change = useChange((id: number) => remove(`/webhooks/${id}`), "webhooks");
  const now = useNow();
  const add = <Button kind="primary" icon={Plus} onClick={() => setAdding(true)}>{t.webhooks.add}</Button>;
  return (
    <Page title={t.nav.webhooks} note={t.webhooks.note} actions={webhooks?.length ? add : undefined}>
      {error && <Failed error={error} />}
      {isPending && <Loading />}
      {webhooks?.length === 0 && <Empty icon={WebhookIcon} title={t.webhooks.none} body={t.webhooks.noneBody} action={add} />}
      {webhooks && webhooks.length > 0 && (
        <Panel>
          <div className="table-box">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t.webhooks.url}</th>
                  <th scope="col">{t.webhooks.types}</th>
                  <th scope="col">{t.webhooks.signed}</th>
                  <th scope="col">{t.streams.state}</th>
                  <th scope="col"><span className="sr-only">{t.actions}</span></th>
                </tr>
              </thead>
              <tbody>
                {webhooks.map((webhook) => {
                  const { failed_attempts, failure, last_told_at, next_try_at } = webhook.status;
                  return (
                    <tr key={webhook.id}>
                      <td className="mono wrap">{webhook.url}</td>
                      <td>{webhook.types ? webhook.types.map((type) => <span key={type} className="chip mono">{type}</span>) : t.webhooks.all}</td>
                      <td>{webhook.secret ? t.yes : <span className="faint">{t.no}</span>}</td>
                      <td>
                        <span className="dots">
                          <Dot tone={failed_attempts > 0 ? "bad" : last_told_at ? "good" : "idle"} />
                          <span>
                            {failed_attempts > 0
                              ? `${failure ?? t.states.error} · ${t.restreams.attempt(failed_attempts)}${next_try_at ? ` · ${t.restreams.retryIn(duration(Date.parse(next_try_at) - now))}` : ""}`
                              : last_told_at ? t.webhooks.told(since(last_told_at, now)) : t.webhooks.never}
                          </span>
                        </span>
                      </td>
                      <td className="row-actions"><IconButton label={t.webhooks.remove} icon={Trash2} onClick={() => setRemoving(webhook)} /></td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        </Panel>
      )}
      {adding && <WebhookDialog onClose={() => setAdding(false)} />}
      <Confirm title={t.webhooks.remove} body={removing?.url ?? ""} action={t.remove} open={Boolean(removing)} onClose={() => setRemoving(undefined)}
        onConfirm={() => (removing ? change.mutateAsync(removing.id) : Promise.resolve())} />
    </Page>
  );
}

function WebhookDialog({ onClose }: { onClose: () => void }) {
  const [url, setUrl] = useState("");
  const [secret, setSecret] = useState("");
  const [types, setTypes] = useState("");
  const save = useChange(() => {
    const wanted = types.split(/[\s,]+/).filter(Boolean);
    return post("/webhooks", { url: url.trim(), secret: secret || null, types: wanted.length > 0 ? wanted : null });
  }, "webhooks");
  return (
    <FormDialog open onClose={onClose} title={t.webhooks.add} submit={t.save} busy={save.isPending} error={save.error} fields={["url", "secret", "types"]} onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <TextField label={t.webhooks.url} mono value={url} onChange={(event) => setUrl(event.target.value)} error={errorOf(save.error, "url")} required placeholder="https://example.com/hooks/weir" />
      <TextField label={t.webhooks.secret} mono value={secret} onChange={(event) => setSecret(event.target.value)} hint={t.webhooks.secretHint} error={errorOf(save.error, "secret")} />
      <TextField label={t.webhooks.types} mono value={types} onChange={(event) => setTypes(event.target.value)} hint={t.webhooks.typesHint} error={errorOf(save.error, "types")} placeholder="restream_state stream_state" />
    </FormDialog>
  );
}
