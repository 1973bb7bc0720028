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
import { errorOf, SelectField, TextArea, TextField, Toggle } from "../ui/field";
import { PushKeys } from "./keys";

type SourceKind = "push" | "pull" | "playlist";

export function NewStream({ open, onClose }: { open: boolean; onClose: () => void }) {
  // Begins anew each time.
  return open ? <Steps onClose={onClose} /> : null;
}

function Steps({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [kind, setKind] = useState<SourceKind>("push");
  const [backup, setBackup] = useState(false);
  const [uri, setUri] = useState("");
  const [items, setItems] = useState("");
  const [ladder, setLadder] = useState("");
  const [isProtected, setProtected] = useState(false);
  const [record, setRecord] = useState(false);
  const { ladders } = useLadders();
  const create = useChange(() => {
    const primary = kind === "push" ? { kind } : kind === "pull" ? { kind, uri: uri.trim() } : { kind, items: items.split("\n").map((line) => line.trim()).filter(Boolean), loop: true };
    const sources = [{ slot: "primary", ...primary }, ...(kind === "push" && backup ? [{ slot: "backup", kind }] : [])];
    return post<Stream>("/streams", { name: name.trim(), sources, ladder: ladder || null, protected: isProtected, record });
  }, "streams");

  if (create.data) {
    const { id, push_urls, sources } = create.data;
    const finish = () => {
      onClose();
      navigate(`/streams/${id}`);
    };
    return (
      <Dialog open onClose={finish} title={t.newStream.ready(create.data.name)} description={kind === "push" ? t.newStream.readyBody : t.newStream.readyPull}>
        <div className="dialog-body">{sources.some((source) => source.kind === "push") && <PushKeys urls={push_urls} revealed />}</div>
        <footer className="dialog-foot"><Button kind="primary" onClick={finish}>{t.newStream.open}</Button></footer>
      </Dialog>
    );
  }
  return (
    <FormDialog open onClose={onClose} title={t.streams.add} submit={t.newStream.submit} busy={create.isPending} error={create.error} fields={["name", "sources.uri", "sources.items", "ladder"]}
      onSubmit={() => create.mutate(undefined)}>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} hint={t.newStream.nameHint} error={errorOf(create.error, "name")} required autoFocus placeholder="main-stage" />
      <SelectField label={t.newStream.source} value={kind} onChange={(event) => setKind(event.target.value as SourceKind)} hint={t.newStream.sourceHints[kind]}>
        {(["push", "pull", "playlist"] as const).map((each) => <option key={each} value={each}>{t.push.kinds[each]}</option>)}
      </SelectField>
      {kind === "push" && <Toggle label={t.newStream.backup} hint={t.newStream.backupHint} checked={backup} onChange={(event) => setBackup(event.target.checked)} />}
      {kind === "pull" && <TextField label={t.newStream.uri} value={uri} onChange={(event) => setUri(event.target.value)} error={errorOf(create.error, "sources.uri")} required mono placeholder="srt://camera.example:9000" />}
      {kind === "playlist" && <TextArea label={t.newStream.items} value={items} onChange={(event) => setItems(event.target.value)} error={errorOf(create.error, "sources.items")} required placeholder="/srv/media/intro.mp4" />}
      <SelectField label={t.newStream.ladder} value={ladder} onChange={(event) => setLadder(event.target.value)} hint={t.newStream.ladderHint} error={errorOf(create.error, "ladder")}>
        <option value="">{t.ladders.none}</option>
        {ladders.map(({ name: each, title }) => <option key={each} value={each}>{title}</option>)}
      </SelectField>
      <Toggle label={t.newStream.isProtected} hint={t.newStream.protectedHint} checked={isProtected} onChange={(event) => setProtected(event.target.checked)} />
      <Toggle label={t.newStream.record} checked={record} onChange={(event) => setRecord(event.target.checked)} />
    </FormDialog>
  );
}
