// A preview's picture, and the bar of what can be chosen.

import { Activity, Volume2, VolumeX } from "lucide-react";
import { type RefObject, useState } from "react";
import { t } from "../text";
import type { PreviewProps, Way } from "./preview";

export interface Choice {
  value: string;
  label: string;
  disabled?: boolean;
}

export interface Menu {
  label: string;
  choices: Choice[];
  value: string;
  onChange: (value: string) => void;
}

interface Frame extends Omit<PreviewProps, "stream"> {
  video: RefObject<HTMLVideoElement | null>;
  way: Way;
  /** Beside the sound's button: how far behind it is, or why it plays this way. */
  note: string | undefined;
  trouble: string | undefined;
  menus: Menu[];
  stats: () => [string, string][];
}

export function PreviewFrame({ video, way, muted, onMute, ways, onWay, onEnd, note, trouble, menus, stats }: Frame) {
  const [open, setOpen] = useState(false);
  const byWay: Menu = { label: t.preview.way, value: way, choices: ways.map((value) => ({ value, label: t.preview.ways[value] })), onChange: (value: string) => onWay(value as Way) };
  return (
    <>
      <video ref={video} muted={muted} playsInline aria-label={t.preview.title} />
      {trouble && (
        <div className="preview-off">
          <p>{trouble}</p>
          <button type="button" className="button plain small" onClick={onEnd}>{t.close}</button>
        </div>
      )}
      {open && <Stats stats={stats()} />}
      <div className="preview-bar">
        <BarButton label={muted ? t.preview.unmute : t.preview.mute} onClick={() => onMute(!muted)} icon={muted ? VolumeX : Volume2} />
        <BarButton label={t.preview.stats} onClick={() => setOpen(!open)} icon={Activity} pressed={open} />
        <span className="preview-latency" title={note}>{note}</span>
        {[...menus, ...(ways.length > 1 ? [byWay] : [])].map(({ label, choices, value, onChange }) => (
          <label key={label}>
            <span className="sr-only">{label}</span>
            <select value={value} onChange={(event) => onChange(event.target.value)}>
              {choices.map((choice) => <option key={choice.value} value={choice.value} disabled={choice.disabled}>{choice.label}</option>)}
            </select>
          </label>
        ))}
      </div>
    </>
  );
}

function BarButton({ label, icon: Icon, onClick, pressed }: { label: string; icon: typeof Activity; onClick: () => void; pressed?: boolean }) {
  return (
    <button type="button" className="icon-button" title={label} onClick={onClick} aria-pressed={pressed}>
      <Icon aria-hidden size={16} />
      <span className="sr-only">{label}</span>
    </button>
  );
}

function Stats({ stats }: { stats: [string, string][] }) {
  return (
    <dl className="preview-stats" aria-label={t.preview.stats}>
      {stats.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
