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
  const [kind, setKind] = useState<"push" | "pull">("push");
  const [uri, setUri] = useState("");
  const [ladder, setLadder] = useState("");
  const [isProtected, setProtected] = useState(false);
  const [record, setRecord] = useState(false);
  const { ladders } = useLadders();
  const create = useChange(() => post<Stream>("/streams", wanted()), "streams");
  function wanted() {
    const sources = kind === "pull" ? [{ kind, uri: uri.trim() }] : undefined;
    return { name: name.trim(), sources, ladder: ladder || null, protected: isProtected, record };
  }

  if (create.data) {
    const { id, sources, push_urls } = create.data;
    const finish = () => {
      onClose();
      navigate(`/streams/${id}`);
    };
    const pulls = kind === "pull";
    return (
      <Dialog open onClose={finish} title={t.newStream.ready(create.data.name)} description={pulls ? t.newStream.pullReadyBody : t.newStream.readyBody}>
        {!pulls && <div className="dialog-body"><PushKeys sources={sources} urls={push_urls} revealed /></div>}
        <footer className="dialog-foot"><Button kind="primary" onClick={finish}>{t.newStream.open}</Button></footer>
      </Dialog>
    );
  }
  return (
    <FormDialog open onClose={onClose} title={t.streams.add} submit={t.newStream.submit} busy={create.isPending} error={create.error} fields={["name", "ladder", "sources"]}
      onSubmit={() => create.mutate(undefined)}>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} hint={t.newStream.nameHint} error={errorOf(create.error, "name")} required autoFocus placeholder="main-stage" />
      <SelectField label={t.newStream.source} value={kind} onChange={(event) => setKind(event.target.value as "push" | "pull")}>
        <option value="push">{t.push.kinds.push}</option>
        <option value="pull">{t.push.kinds.pull}</option>
      </SelectField>
      {kind === "pull" && (
        <TextField label={t.push.pullFrom} value={uri} onChange={(event) => setUri(event.target.value)} hint={t.push.pullHint} error={errorOf(create.error, "sources[0].uri", "sources")} required mono placeholder="rtmp://host/app/stream" />
      )}
      <SelectField label={t.newStream.ladder} value={ladder} onChange={(event) => setLadder(event.target.value)} hint={t.newStream.ladderHint} error={errorOf(create.error, "ladder")}>
        <option value="">{t.ladders.none}</option>
        {ladders.map(({ name: each, title }) => <option key={each} value={each}>{title}</option>)}
      </SelectField>
      <Toggle label={t.newStream.isProtected} hint={t.newStream.protectedHint} checked={isProtected} onChange={(event) => setProtected(event.target.checked)} />
      <Toggle label={t.newStream.record} checked={record} onChange={(event) => setRecord(event.target.checked)} />
    </FormDialog>
  );
}
