// Servers to push to, for any number of restreams; without keys. Only admins change them.

import { Pencil, Plus, Server, Trash2 } from "lucide-react";
import { useState } from "react";
import { patch, post, remove } from "../api/client";
import { useChange, useDestinations, usePlatforms, useRestreams } from "../api/queries";
import type { Destination } from "../api/types";
import { PlatformMark } from "../restreams/platform_mark";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button, CopyButton, IconButton } from "../ui/button";
import { Confirm, FormDialog } from "../ui/dialog";
import { errorOf, SelectField, TextField } from "../ui/field";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";

export function DestinationsPage() {
  const { data: destinations, error, isPending } = useDestinations();
  const { data: platforms = [] } = usePlatforms();
  const { data: restreams = [] } = useRestreams();
  const [editing, setEditing] = useState<Destination | "new">();
  const [removing, setRemoving] = useState<Destination>();
  const change = useChange((id: number) => remove(`/destinations/${id}`), "destinations");
  const may = useMay("admin");
  const add = may && <Button kind="primary" icon={Plus} onClick={() => setEditing("new")}>{t.destinations.add}</Button>;
  const used = (id: number) => restreams.filter(({ destination_id }) => destination_id === id).length;
  return (
    <Page title={t.nav.destinations} note={may ? t.destinations.note : t.destinations.noteOthers} actions={destinations?.length ? add : undefined}>
      {error && <Failed error={error} />}
      {isPending && <Loading />}
      {destinations?.length === 0 && <Empty icon={Server} title={t.destinations.none} body={t.destinations.noneBody} action={add} />}
      {destinations && destinations.length > 0 && (
        <Panel>
          <div className="table-box">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t.destinations.one}</th>
                  <th scope="col">{t.restreams.server}</th>
                  <th scope="col">{t.restreams.backup}</th>
                  <th scope="col" className="number">{t.nav.restreams}</th>
                  <th scope="col"><span className="sr-only">{t.actions}</span></th>
                </tr>
              </thead>
              <tbody>
                {destinations.map((destination) => (
                  <tr key={destination.id}>
                    <td>
                      <span className="with-mark">
                        <PlatformMark id={destination.platform} size={24} />
                        <span><b>{destination.name}</b><span className="faint block">{platforms.find(({ id }) => id === destination.platform)?.title ?? destination.platform}</span></span>
                      </span>
                    </td>
                    <td className="mono wrap">{destination.url}</td>
                    <td className="mono wrap">{destination.backup_url ?? <span className="faint">–</span>}</td>
                    <td className="number">{used(destination.id)}</td>
                    <td className="row-actions">
                      <CopyButton text={destination.url} what={t.restreams.server} />
                      {may && <IconButton label={t.destinations.edit(destination.name)} icon={Pencil} onClick={() => setEditing(destination)} />}
                      {may && <IconButton label={t.destinations.remove(destination.name)} icon={Trash2} onClick={() => setRemoving(destination)} />}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
      )}
      {editing && <DestinationDialog destination={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
      <Confirm title={t.destinations.remove(removing?.name ?? "")} body={t.destinations.removeBody(removing ? used(removing.id) : 0)} action={t.remove} open={Boolean(removing)} onClose={() => setRemoving(undefined)}
        onConfirm={() => (removing ? change.mutateAsync(removing.id) : Promise.resolve())} />
    </Page>
  );
}

function DestinationDialog({ destination, onClose }: { destination: Destination | undefined; onClose: () => void }) {
  const { data: platforms = [] } = usePlatforms();
  const [name, setName] = useState(destination?.name ?? "");
  const [platform, setPlatform] = useState(destination?.platform ?? "generic-rtmp");
  const [url, setUrl] = useState(destination?.url ?? "");
  const [backup, setBackup] = useState(destination?.backup_url ?? "");
  const save = useChange(() => {
    const input = { name: name.trim(), platform, url: url.trim(), backup_url: backup.trim() || null };
    return destination ? patch(`/destinations/${destination.id}`, input) : post("/destinations", input);
  }, "destinations");
  const pick = (id: string) => {
    const found = platforms.find((each) => each.id === id);
    setPlatform(id);
    if (!destination) {
      setUrl(found?.url ?? "");
      setBackup(found?.backup_url ?? "");
      if (found && (name === "" || platforms.some(({ title }) => title === name))) setName(found.title);
    }
  };
  return (
    <FormDialog open onClose={onClose} title={destination ? t.destinations.edit(destination.name) : t.destinations.add} submit={t.save} busy={save.isPending} error={save.error} fields={["name", "url", "backup_url", "platform"]}
      onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <SelectField label={t.destinations.platform} value={platform} onChange={(event) => pick(event.target.value)} error={errorOf(save.error, "platform")}>
        {platforms.map(({ id, title }) => <option key={id} value={id}>{title}</option>)}
      </SelectField>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} error={errorOf(save.error, "name")} required />
      <TextField label={t.restreams.server} mono value={url} onChange={(event) => setUrl(event.target.value)} hint={t.destinations.urlHint} error={errorOf(save.error, "url")} required placeholder="rtmp://host/app" />
      <TextField label={t.restreams.backupUrl} mono value={backup} onChange={(event) => setBackup(event.target.value)} error={errorOf(save.error, "backup_url")} />
    </FormDialog>
  );
}
