// What a stream is asked to do, to change while it runs.

import { useState } from "react";
import { patch } from "../api/client";
import { useChange } from "../api/queries";
import type { Stream } from "../api/types";
import { t } from "../text";
import { FormDialog } from "../ui/dialog";
import { sourcesAs } from "./source_list";
import { errorOf, SelectField, TextField, Toggle } from "../ui/field";

export function StreamSettings({ stream, onClose }: { stream: Stream; onClose: () => void }) {
  const [name, setName] = useState(stream.name);
  const [hls, setHls] = useState(stream.hls);
  const [dash, setDash] = useState(stream.dash);
  const [webrtc, setWebrtc] = useState(stream.webrtc);
  const [isProtected, setProtected] = useState(stream.protected);
  const [record, setRecord] = useState(stream.record);
  const [dvr, setDvr] = useState(String(stream.dvr_seconds));
  const [policy, setPolicy] = useState(stream.encoder_policy);
  const pulled = stream.sources.find(({ kind }) => kind === "pull");
  const [uri, setUri] = useState(pulled?.uri ?? "");
  const save = useChange(() => patch(`/streams/${stream.id}`, changed()), "streams");
  function changed() {
    const wanted = { name: name.trim(), hls, dash, webrtc, protected: isProtected, record, dvr_seconds: Number(dvr), encoder_policy: policy };
    const fields = Object.fromEntries(Object.entries(wanted).filter(([field, value]) => stream[field as keyof Stream] !== value));
    return pulled && uri.trim() !== pulled.uri ? { ...fields, sources: sourcesAs(stream.sources, pulled.slot, uri.trim()) } : fields;
  }
  return (
    <FormDialog open onClose={onClose} title={t.streams.settings} submit={t.save} busy={save.isPending} error={save.error} fields={["name", "dvr_seconds", "encoder_policy", "sources"]}
      onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} hint={t.settings.nameHint} error={errorOf(save.error, "name")} required />
      {pulled && <TextField label={t.push.pullFrom} value={uri} onChange={(event) => setUri(event.target.value)} hint={t.push.pullHint} error={errorOf(save.error, "sources[0].uri", "sources")} required mono />}
      <div className="toggles">
        <Toggle label="HLS" checked={hls} onChange={(event) => setHls(event.target.checked)} />
        <Toggle label="DASH" checked={dash} onChange={(event) => setDash(event.target.checked)} />
        <Toggle label="WebRTC" checked={webrtc} onChange={(event) => setWebrtc(event.target.checked)} />
      </div>
      <Toggle label={t.newStream.isProtected} hint={t.newStream.protectedHint} checked={isProtected} onChange={(event) => setProtected(event.target.checked)} />
      <Toggle label={t.newStream.record} checked={record} onChange={(event) => setRecord(event.target.checked)} />
      <TextField label={t.settings.dvr} type="number" min={0} value={dvr} onChange={(event) => setDvr(event.target.value)} hint={t.settings.dvrHint} error={errorOf(save.error, "dvr_seconds")} />
      <SelectField label={t.settings.policy} value={policy} onChange={(event) => setPolicy(event.target.value as Stream["encoder_policy"])}>
        {(["prefer_hw", "hw_only", "sw_only"] as const).map((each) => <option key={each} value={each}>{t.settings.policies[each]}</option>)}
      </SelectField>
    </FormDialog>
  );
}
