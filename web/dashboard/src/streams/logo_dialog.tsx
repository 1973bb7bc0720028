// The picture that lies over every rendition of a stream: which one, where, how large.

import { useEffect, useState } from "react";
import { patch, putPicture, remove } from "../api/client";
import { useChange } from "../api/queries";
import type { Logo, Stream } from "../api/types";
import { t } from "../text";
import { FormDialog } from "../ui/dialog";
import { errorOf, SelectField, TextField, Toggle } from "../ui/field";

const CORNERS: Logo["position"][] = ["top_left", "top_right", "bottom_left", "bottom_right"];

export function LogoDialog({ stream, onClose }: { stream: Stream; onClose: () => void }) {
  const { logo } = stream;
  const [file, setFile] = useState<File>();
  const [without, setWithout] = useState(false);
  const [position, setPosition] = useState(logo.position);
  const [width, setWidth] = useState(String(logo.width_percent));
  const [margin, setMargin] = useState(String(logo.margin_percent));
  const [opacity, setOpacity] = useState(String(Math.round(logo.opacity * 100)));
  const chosen = useAddressOf(file);
  const picture = without ? undefined : (chosen ?? (logo.image ? `/api/v1/streams/${stream.id}/logo?${logo.image.digest}` : undefined));
  const save = useChange(async () => {
    // The place first: a new picture is never seen at the old one.
    await patch(`/streams/${stream.id}`, { logo: { position, width_percent: Number(width), margin_percent: Number(margin), opacity: Number(opacity) / 100 } });
    if (without && logo.image) await remove(`/streams/${stream.id}/logo`);
    else if (file && !without) await putPicture(`/streams/${stream.id}/logo`, file);
  }, "streams");
  return (
    <FormDialog open onClose={onClose} title={t.logo.title} description={t.logo.body} submit={t.save} busy={save.isPending} error={save.error}
      fields={["logo", "logo.width_percent", "logo.margin_percent", "logo.opacity"]}
      onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <div className="logo-box">{picture ? <img src={picture} alt={t.logo.picture} /> : <p className="hint">{t.logo.none}</p>}</div>
      <TextField label={t.logo.file} type="file" accept="image/png" hint={t.logo.fileHint} error={errorOf(save.error, "logo")}
        onChange={(event) => {
          setFile(event.target.files?.[0]);
          setWithout(false);
        }} />
      {logo.image && <Toggle label={t.logo.remove} checked={without} onChange={(event) => setWithout(event.target.checked)} />}
      <SelectField label={t.logo.position} value={position} onChange={(event) => setPosition(event.target.value as Logo["position"])}>
        {CORNERS.map((corner) => <option key={corner} value={corner}>{t.logo.corners[corner]}</option>)}
      </SelectField>
      <TextField label={t.logo.width} type="number" min={1} max={100} step="any" value={width} onChange={(event) => setWidth(event.target.value)} error={errorOf(save.error, "logo.width_percent")} required />
      <TextField label={t.logo.margin} type="number" min={0} max={50} step="any" value={margin} onChange={(event) => setMargin(event.target.value)} error={errorOf(save.error, "logo.margin_percent")} required />
      <TextField label={t.logo.opacity} type="number" min={0} max={100} step={1} value={opacity} onChange={(event) => setOpacity(event.target.value)} error={errorOf(save.error, "logo.opacity")} required />
    </FormDialog>
  );
}

/** An address under which the page can show a file that was not sent yet. */
function useAddressOf(file: File | undefined): string | undefined {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    if (!file) return setAddress(undefined);
    const made = URL.createObjectURL(file);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return address;
}
