// Ladders that streams share: those that come with the server, and one's own.

import { CopyPlus, Layers, Pencil, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { patch, post, remove } from "../api/client";
import { useChange, useStreams } from "../api/queries";
import type { Rendition, SavedLadder } from "../api/types";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button, IconButton } from "../ui/button";
import { Confirm, FormDialog } from "../ui/dialog";
import { errorOf, TextField } from "../ui/field";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { kbpsOf, NEW_RENDITION, useLadders } from "./ladders";
import { RenditionEditor, RenditionTable } from "./rendition_rows";

export function LaddersPage() {
  const { ladders, isPending, error } = useLadders();
  const { data: streams = [] } = useStreams();
  const [editing, setEditing] = useState<{ ladder?: SavedLadder; copyOf?: SavedLadder }>();
  const [removing, setRemoving] = useState<SavedLadder>();
  const may = useMay("admin");
  const usedBy = (name: string) => streams.filter(({ ladder }) => ladder === name).length;
  return (
    <Page title={t.nav.ladders} note={t.ladders.note} actions={may && <Button kind="primary" icon={Plus} onClick={() => setEditing({})}>{t.ladders.add}</Button>}>
      {error && <Failed error={error} />}
      {isPending && <Loading />}
      {!isPending && !error && ladders.length === 0 && <Empty icon={Layers} title={t.ladders.noneYet} />}
      <div className="stack">
        {ladders.map((ladder) => (
          <Panel key={ladder.id} title={ladder.title} note={<><span className="mono">{ladder.name}</span> · {t.ladders.total((kbpsOf(ladder.renditions) / 1000).toFixed(1))} · {t.ladders.usedBy(usedBy(ladder.name))}</>}
            actions={
              <>
                {ladder.builtin && <span className="chip">{t.ladders.builtin}</span>}
                {may && <IconButton label={t.ladders.copy(ladder.title)} icon={CopyPlus} onClick={() => setEditing({ copyOf: ladder })} />}
                {may && !ladder.builtin && <IconButton label={t.ladders.edit(ladder.title)} icon={Pencil} onClick={() => setEditing({ ladder })} />}
                {may && !ladder.builtin && <IconButton label={t.ladders.remove(ladder.title)} icon={Trash2} onClick={() => setRemoving(ladder)} />}
              </>
            }>
            <RenditionTable renditions={ladder.renditions} />
          </Panel>
        ))}
      </div>
      {editing && <LadderDialog {...editing} onClose={() => setEditing(undefined)} />}
      <RemoveLadder ladder={removing} onClose={() => setRemoving(undefined)} />
    </Page>
  );
}

function RemoveLadder({ ladder, onClose }: { ladder: SavedLadder | undefined; onClose: () => void }) {
  const change = useChange((id: number) => remove(`/ladders/${id}`), "ladders");
  return (
    <Confirm title={t.ladders.remove(ladder?.title ?? "")} body={t.ladders.removeBody} action={t.remove} open={Boolean(ladder)} onClose={onClose}
      onConfirm={() => (ladder ? change.mutateAsync(ladder.id) : Promise.resolve())} />
  );
}

/** One that exists, or a new one that begins as a copy. */
function LadderDialog({ ladder, copyOf, onClose }: { ladder?: SavedLadder; copyOf?: SavedLadder; onClose: () => void }) {
  const [title, setTitle] = useState(ladder?.title ?? "");
  const [name, setName] = useState(ladder?.name ?? "");
  const [renditions, setRenditions] = useState<Rendition[]>((ladder ?? copyOf)?.renditions ?? [{ ...NEW_RENDITION, name: "720p" }]);
  const save = useChange(() => (ladder ? patch(`/ladders/${ladder.id}`, { name, title: title || null, renditions }) : post("/ladders", { name, title: title || null, renditions })), "ladders", "streams");
  return (
    <FormDialog wide open onClose={onClose} title={ladder ? t.ladders.edit(ladder.title) : t.ladders.add} submit={t.save} busy={save.isPending} error={save.error} fields={["name", "title"]}
      onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <div className="two tight">
        <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} hint={t.ladders.nameHint} error={errorOf(save.error, "name")} required placeholder="sports-1080p" />
        <TextField label={t.ladders.title} value={title} onChange={(event) => setTitle(event.target.value)} error={errorOf(save.error, "title")} />
      </div>
      <RenditionEditor renditions={renditions} onChange={setRenditions} />
    </FormDialog>
  );
}
