// A new stream in two steps: what it is called, then where to send.

import { useState } from "react";
import { post } from "../api/client";
import { useChange } from "../api/queries";
import type { Stream } from "../api/types";
import { useLadders } from "../ladders/ladders";
import { navigate } from "../router";
import { t } from "../text";
import { Button } from "../ui/button";
import { Dialog, FormDialog } from "../ui/dialog";
import { errorOf, SelectField, TextField, Toggle } from "../ui/field";
import { PushKeys } from "./keys";

export function NewStream({ open, onClose }: { open: boolean; onClose: () => void }) {
  // Begins anew each time.
  return open ? <Steps onClose={onClose} /> : null;
}

function Steps({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [ladder, setLadder] = useState("");
  const [isProtected, setProtected] = useState(false);
  const [record, setRecord] = useState(false);
  const { ladders } = useLadders();
  const create = useChange(() => post<Stream>("/streams", { name: name.trim(), ladder: ladder || null, protected: isProtected, record }), "streams");

  if (create.data) {
    const { id, push_urls } = create.data;
    const finish = () => {
      onClose();
      navigate(`/streams/${id}`);
    };
    return (
      <Dialog open onClose={finish} title={t.newStream.ready(create.data.name)} description={t.newStream.readyBody}>
        <div className="dialog-body"><PushKeys urls={push_urls} revealed /></div>
        <footer className="dialog-foot"><Button kind="primary" onClick={finish}>{t.newStream.open}</Button></footer>
      </Dialog>
    );
  }
  return (
    <FormDialog open onClose={onClose} title={t.streams.add} submit={t.newStream.submit} busy={create.isPending} error={create.error} fields={["name", "ladder"]}
      onSubmit={() => create.mutate(undefined)}>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} hint={t.newStream.nameHint} error={errorOf(create.error, "name")} required autoFocus placeholder="main-stage" />
      <SelectField label={t.newStream.ladder} value={ladder} onChange={(event) => setLadder(event.target.value)} hint={t.newStream.ladderHint} error={errorOf(create.error, "ladder")}>
        <option value="">{t.ladders.none}</option>
        {ladders.map(({ name: each, title }) => <option key={each} value={each}>{title}</option>)}
      </SelectField>
      <Toggle label={t.newStream.isProtected} hint={t.newStream.protectedHint} checked={isProtected} onChange={(event) => setProtected(event.target.checked)} />
      <Toggle label={t.newStream.record} checked={record} onChange={(event) => setRecord(event.target.checked)} />
    </FormDialog>
  );
}
