// The stream's ladder: one that is shared, one of its own, or none. Changed while it runs.

import { Pencil } from "lucide-react";
import { useState } from "react";
import { patch } from "../api/client";
import { useChange } from "../api/queries";
import type { Rendition, Restream, Stream } from "../api/types";
import { kbpsOf, NEW_RENDITION, useLadder, useLadders } from "../ladders/ladders";
import { RenditionEditor, RenditionTable } from "../ladders/rendition_rows";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { FormDialog } from "../ui/dialog";
import { SelectField } from "../ui/field";
import { Panel } from "../ui/page";

export function LadderPanel({ stream }: { stream: Stream; restreams: Restream[] }) {
  const renditions = useLadder(stream.ladder);
  const { ladders } = useLadders();
  const [editing, setEditing] = useState(false);
  const may = useMay("operator");
  const title = typeof stream.ladder === "string" ? (ladders.find(({ name }) => name === stream.ladder)?.title ?? stream.ladder) : stream.ladder ? t.ladders.own : t.ladders.none;
  return (
    <Panel title={t.flow.ladder} note={title} actions={may && <Button size="small" icon={Pencil} onClick={() => setEditing(true)}>{t.ladders.change}</Button>}>
      {renditions.length > 0 ? <RenditionTable renditions={renditions} /> : <p className="no-events">{t.ladders.noneBody}</p>}
      {editing && <LadderDialog stream={stream} current={renditions} onClose={() => setEditing(false)} />}
    </Panel>
  );
}

const OWN = "*own*";

function LadderDialog({ stream, current, onClose }: { stream: Stream; current: Rendition[]; onClose: () => void }) {
  const { ladders } = useLadders();
  const [choice, setChoice] = useState(typeof stream.ladder === "string" ? stream.ladder : stream.ladder ? OWN : "");
  const [renditions, setRenditions] = useState<Rendition[]>(current.length > 0 ? current : [{ ...NEW_RENDITION, name: "720p" }]);
  const save = useChange(() => patch(`/streams/${stream.id}`, { ladder: choice === OWN ? renditions : choice || null }), "streams");
  const shared = ladders.find(({ name }) => name === choice);
  const choose = (next: string) => {
    // One's own begins as what was chosen before it.
    if (next === OWN && shared) setRenditions(shared.renditions);
    setChoice(next);
  };
  return (
    <FormDialog wide open onClose={onClose} title={t.ladders.changeTitle} description={t.ladders.changeBody} submit={t.save} busy={save.isPending} error={save.error}
      onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <SelectField label={t.flow.ladder} value={choice} onChange={(event) => choose(event.target.value)}>
        <option value="">{t.ladders.none}</option>
        {ladders.map(({ name, title }) => <option key={name} value={name}>{title}</option>)}
        <option value={OWN}>{t.ladders.own}</option>
      </SelectField>
      {choice === OWN && <RenditionEditor renditions={renditions} onChange={setRenditions} />}
      {shared && <RenditionTable renditions={shared.renditions} />}
      {(choice === OWN || shared) && <p className="hint">{t.ladders.total((kbpsOf(choice === OWN ? renditions : (shared?.renditions ?? [])) / 1000).toFixed(1))}</p>}
    </FormDialog>
  );
}
