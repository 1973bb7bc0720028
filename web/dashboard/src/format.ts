// Numbers and times as people read them. Nothing here knows what they are of.

const number = (digits: number) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const WHOLE = number(0);
const TENTHS = number(1);
const HUNDREDTHS = number(2);

export const NOTHING = "–";

export function count(value: number | null | undefined): string {
  return value == null ? NOTHING : WHOLE.format(value);
}

/** 2 figures of a fraction below 10 Mbps, where they tell something; the unit apart, so that it can be set smaller. */
export function bitrateParts(bps: number | null | undefined): [string, string] {
  if (bps == null) return [NOTHING, ""];
  if (bps < 999_500) return [WHOLE.format(bps / 1e3), "kbps"];
  if (bps < 9_995_000) return [HUNDREDTHS.format(bps / 1e6), "Mbps"];
  if (bps < 999_500_000) return [TENTHS.format(bps / 1e6), "Mbps"];
  return [HUNDREDTHS.format(bps / 1e9), "Gbps"];
}

export function bitrate(bps: number | null | undefined): string {
  const [value, unit] = bitrateParts(bps);
  return unit ? `${value} ${unit}` : value;
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  let left = value;
  while (left >= 999.5 && at < units.length - 1) {
    left /= 1000;
    at++;
  }
  return `${at === 0 || left >= 100 ? WHOLE.format(left) : TENTHS.format(left)} ${units[at]}`;
}

export function percent(value: number | null | undefined): string {
  return value == null ? NOTHING : `${WHOLE.format(value)} %`;
}

export function fps(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  const rounded = Math.round(value * 100) / 100;
  return Math.abs(rounded - Math.round(rounded)) < 0.15 ? WHOLE.format(rounded) : HUNDREDTHS.format(rounded);
}

export function seconds(value: number | null | undefined): string {
  return value == null ? NOTHING : `${value >= 10 ? WHOLE.format(value) : TENTHS.format(value)} s`;
}

export function milliseconds(value: number | null | undefined): string {
  return value == null ? NOTHING : `${WHOLE.format(value)} ms`;
}

/** `45 s`, `3 m 05 s`, `2 h 14 m`, `3 d 4 h`. */
export function duration(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [d, h, m, s] = [Math.floor(all / 86_400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${two(m)} m`;
  if (m > 0) return `${m} m ${two(s)} s`;
  return `${s} s`;
}

export function since(at: string, now: number): string {
  return duration(now - Date.parse(at));
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export function clock(at: string | number): string {
  return CLOCK.format(new Date(at));
}

/** The time, with the day where it is not today. */
export function moment(at: string, now: number): string {
  const then = new Date(at);
  return then.toDateString() === new Date(now).toDateString() ? CLOCK.format(then) : `${DAY.format(then)}, ${CLOCK.format(then)}`;
}

export function full(at: string): string {
  return FULL.format(new Date(at));
}

export function size(width: number | null | undefined, height: number | null | undefined): string {
  return width && height ? `${width}×${height}` : NOTHING;
}

const CODECS: Record<string, string> = { h264: "H.264", h265: "H.265", hevc: "H.265", av1: "AV1", aac: "AAC", opus: "Opus", mp3: "MP3", mp2: "MP2", ac3: "AC-3", eac3: "E-AC-3", mpeg2: "MPEG-2", vp8: "VP8", vp9: "VP9" };
export function codec(name: string | null | undefined): string {
  return name ? (CODECS[name.toLowerCase()] ?? name) : NOTHING;
}
