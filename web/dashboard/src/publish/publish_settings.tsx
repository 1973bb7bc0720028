// The operator chooses the devices, the size and the bitrate here. They are fixed while the page is on the air.

import type { Slot } from "../api/types";
import { t } from "../text";
import { SelectField, TextField, Toggle } from "../ui/field";
import { Panel } from "../ui/page";
import { Segments } from "../ui/search";
import { type CaptureWish, type Device, type Kind, SIZES, widthOf } from "./capture";

const RATES = [15, 25, 30, 50, 60];

/** What a browser's encoder can be asked for. */
const KBPS = { min: 100, max: 20_000 };

export interface SendingWish {
  slot: Slot;
  kbps: number;
}

interface Props {
  wish: CaptureWish;
  onWish: (wish: CaptureWish) => void;
  sending: SendingWish;
  onSending: (sending: SendingWish) => void;
  slots: Slot[];
  cameras: Device[];
  microphones: Device[];
  disabled: boolean;
  hasScreen: boolean;
}

export function PublishSettings({ wish, onWish, sending, onSending, slots, cameras, microphones, disabled, hasScreen }: Props) {
  const set = (some: Partial<CaptureWish>) => onWish({ ...wish, ...some });
  const kinds: Kind[] = hasScreen ? ["camera", "screen"] : ["camera"];
  const isCamera = wish.kind === "camera";
  return (
    <Panel title={t.publish.settings} note={disabled ? t.publish.fixed : undefined}>
      <fieldset className="panel-body publish-settings" disabled={disabled}>
        <legend className="sr-only">{t.publish.settings}</legend>
        {kinds.length > 1 && <Segments label={t.publish.source} value={wish.kind} onChange={(kind) => set({ kind })} options={kinds.map((value) => ({ value, label: t.publish.kinds[value] }))} />}
        {isCamera && <DeviceField label={t.publish.camera} devices={cameras} value={wish.camera} onChange={(camera) => set({ camera })} />}
        {isCamera && wish.hasSound && <DeviceField label={t.publish.microphone} devices={microphones} value={wish.microphone} onChange={(microphone) => set({ microphone })} />}
        <Toggle label={isCamera ? t.publish.withMicrophone : t.publish.withSystemSound} checked={wish.hasSound} onChange={(event) => set({ hasSound: event.target.checked })} />
        {isCamera && wish.hasSound && <Toggle label={t.publish.voice} hint={t.publish.voiceHint} checked={wish.isVoice} onChange={(event) => set({ isVoice: event.target.checked })} />}
        <div className="publish-row">
          <SelectField label={t.rendition.size} value={wish.height} onChange={(event) => {
            const size = SIZES.find(({ height }) => height === Number(event.target.value));
            if (!size) return;
            onSending({ ...sending, kbps: size.kbps });
            set({ height: size.height });
          }}>
            {SIZES.map(({ height }) => <option key={height} value={height}>{`${widthOf(height)}×${height}`}</option>)}
          </SelectField>
          <SelectField label={t.ingest.fps} value={wish.fps} onChange={(event) => set({ fps: Number(event.target.value) })}>
            {RATES.map((rate) => <option key={rate} value={rate}>{t.fps(String(rate))}</option>)}
          </SelectField>
        </div>
        <TextField label={t.rendition.videoKbps} type="number" min={KBPS.min} max={KBPS.max} step={100} value={sending.kbps} hint={t.publish.kbpsHint}
          onChange={(event) => onSending({ ...sending, kbps: Number(event.target.value) })} />
        {slots.length > 1 && (
          <SelectField label={t.push.slot} value={sending.slot} onChange={(event) => onSending({ ...sending, slot: event.target.value })}>
            {slots.map((slot) => <option key={slot} value={slot}>{slot}</option>)}
          </SelectField>
        )}
      </fieldset>
    </Panel>
  );
}

function DeviceField({ label, devices, value, onChange }: { label: string; devices: Device[]; value: string; onChange: (id: string) => void }) {
  return (
    <SelectField label={label} value={value} onChange={(event) => onChange(event.target.value)} hint={devices.length === 0 ? t.publish.devicesHint : undefined}>
      <option value="">{t.publish.defaultDevice}</option>
      {devices.map((device) => <option key={device.id} value={device.id}>{device.label}</option>)}
    </SelectField>
  );
}
