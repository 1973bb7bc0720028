// Figures: a number, its unit set smaller, and what it is.

import type { ReactNode } from "react";
import { bitrateParts } from "../format";

export function Figure({ label, value, unit, note, tone }: { label: string; value: ReactNode; unit?: string; note?: ReactNode; tone?: string }) {
  return (
    <div className="figure" data-tone={tone}>
      <dt>{label}</dt>
      <dd>
        <span className="figure-value">{value}</span>
        {unit && <span className="unit"> {unit}</span>}
        {note && <span className="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

export function Bitrate({ bps }: { bps: number | null | undefined }) {
  const [value, unit] = bitrateParts(bps);
  return (
    <span className="bitrate">
      {value}
      {unit && <span className="unit"> {unit}</span>}
    </span>
  );
}

/** A share of a whole, 0 to 1, with its words beside it. */
export function Meter({ label, share, text }: { label: string; share: number; text: string }) {
  const full = Math.min(1, Math.max(0, share));
  return (
    <div className="meter">
      <span className="meter-label">{label}</span>
      <span className="meter-track" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(full * 100)} aria-valuetext={text}>
        <span className="meter-fill" data-tone={full > 0.9 ? "bad" : full > 0.75 ? "wait" : "good"} style={{ transform: `scaleX(${full})` }} />
      </span>
      <span className="meter-text">{text}</span>
    </div>
  );
}
