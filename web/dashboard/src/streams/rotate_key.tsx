// A new key for a source: the old one ends at once, the new one is shown once.

import { useState } from "react";
import { post } from "../api/client";
import { useChange } from "../api/queries";
import type { Slot, Stream } from "../api/types";
import { t } from "../text";
import { Button } from "../ui/button";
import { Dialog, FormDialog } from "../ui/dialog";
import { SelectField } from "../ui/field";
import { PushKeys } from "./keys";

export function RotateKey({ stream, onClose }: { stream: Stream; onClose: () => void }) {
  const slots = stream.sources.filter(({ kind }) => kind === "push").map(({ slot }) => slot);
  const [slot, setSlot] = useState<Slot>(slots[0] ?? "");
  const rotate = useChange(() => post<Stream>(`/streams/${stream.id}/rotate-key`, { slot }), "streams");
  if (rotate.data) {
    return (
      <Dialog open onClose={onClose} title={t.rotate.done} description={t.rotate.doneBody}>
        <div className="dialog-body"><PushKeys sources={rotate.data.sources} urls={rotate.data.push_urls} revealed /></div>
        <footer className="dialog-foot"><Button kind="primary" onClick={onClose}>{t.done}</Button></footer>
      </Dialog>
    );
  }
  return (
    <FormDialog open onClose={onClose} title={t.streams.rotate} description={t.rotate.body} submit={t.rotate.submit} busy={rotate.isPending} error={rotate.error} onSubmit={() => rotate.mutate(undefined)}>
      {slots.length > 1 && (
        <SelectField label={t.push.slot} value={slot} onChange={(event) => setSlot(event.target.value)}>
          {slots.map((each) => <option key={each} value={each}>{each}</option>)}
        </SelectField>
      )}
    </FormDialog>
  );
}
