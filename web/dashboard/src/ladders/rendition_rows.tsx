// Renditions as a table: to read, or to edit in place.

import { Plus, Trash2 } from "lucide-react";
import type { InputHTMLAttributes } from "react";
import type { Rendition } from "../api/types";
import { codec } from "../format";
import { t } from "../text";
import { Button, IconButton } from "../ui/button";
import { isSoundAlone, NEW_KEPT, NEW_RENDITION, NEW_SOUND } from "./ladders";

/** EBU R128's, and what streaming services level to. */
const LOUDNESSES = [-23, -16, -14];

export function RenditionTable({ renditions }: { renditions: Rendition[] }) {
  return (
    <div className="table-box">
      <table className="table rendition-table">
        <thead>
          <tr>
            <th scope="col">{t.rendition.title}</th>
            <th scope="col">{t.rendition.size}</th>
            <th scope="col" className="number">{t.rendition.video}</th>
            <th scope="col" className="number">{t.rendition.audio}</th>
            <th scope="col">{t.rendition.codec}</th>
            <th scope="col" className="number">{t.rendition.gop}</th>
            <th scope="col">{t.rendition.rate}</th>
          </tr>
        </thead>
        <tbody>
          {renditions.map((rendition, at) => (
            <tr key={at}>
              <td><b>{rendition.name}</b></td>
              {rendition.passthrough ? (
                <td colSpan={6} className="faint">{t.flow.untouched}</td>
              ) : (
                <>
                  {!hasKnobs(rendition) ? (
                    <td colSpan={2} className="faint">{rendition.video ? t.rendition.pictureAsItIs : t.rendition.soundAlone}</td>
                  ) : (
                    <>
                      <td>{rendition.width}×{rendition.height}{rendition.fit && rendition.fit !== "pad" ? ` · ${t.rendition.fits[rendition.fit]}` : ""}{rendition.fps ? ` · ${t.fps(String(rendition.fps))}` : ""}</td>
                      <td className="number">{rendition.video_bitrate_kbps} <span className="unit">kbps</span></td>
                    </>
                  )}
                  <td className="number">{rendition.audio ? t.rendition.untouched : <>{rendition.audio_bitrate_kbps} <span className="unit">kbps</span></>}{rendition.loudness_lufs == null ? "" : ` · ${t.rendition.lufs(rendition.loudness_lufs)}`}</td>
                  {!hasKnobs(rendition) ? (
                    <td colSpan={3}>{codec(rendition.audio_codec ?? "aac")}</td>
                  ) : (
                    <>
                      <td>{codec(rendition.codec)}{rendition.audio_codec === "opus" ? ` · ${codec("opus")}` : ""}</td>
                      <td className="number">{rendition.gop_seconds} <span className="unit">s</span></td>
                      <td>{(rendition.rate_control ?? "cbr").toUpperCase()}</td>
                    </>
                  )}
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function RenditionEditor({ renditions, onChange }: { renditions: Rendition[]; onChange: (renditions: Rendition[]) => void }) {
  const set = (at: number, change: Partial<Rendition>) => onChange(renditions.map((each, index) => (index === at ? { ...each, ...change } : each)));
  return (
    <div className="renditions">
      {renditions.map((rendition, at) => (
        <fieldset key={at} className="rendition">
          <legend className="sr-only">{t.rendition.nth(at + 1)}</legend>
          <Cell label={t.rendition.called} value={rendition.name} onChange={(event) => set(at, { name: event.target.value })} required placeholder="720p" />
          {rendition.passthrough ? (
            <p className="rendition-as-is">{t.flow.untouched}</p>
          ) : (
            <>
              {hasKnobs(rendition) && <PictureCells rendition={rendition} set={(change) => set(at, change)} />}
              {rendition.video && <p className="rendition-as-is">{t.rendition.pictureAsItIs}</p>}
              {!rendition.audio && <SoundCells rendition={rendition} set={(change) => set(at, change)} />}
            </>
          )}
          <IconButton label={t.rendition.remove(rendition.name)} icon={Trash2} onClick={() => onChange(renditions.filter((_, index) => index !== at))} />
        </fieldset>
      ))}
      <div className="rendition-add">
        <Button size="small" icon={Plus} onClick={() => onChange([...renditions, NEW_RENDITION])}>{t.rendition.add}</Button>
        <Button size="small" kind="ghost" icon={Plus} onClick={() => onChange([...renditions, NEW_SOUND])}>{t.rendition.addSound}</Button>
        {!renditions.some(({ video }) => video) && (
          <Button size="small" kind="ghost" icon={Plus} onClick={() => onChange([...renditions, NEW_KEPT])}>{t.rendition.addKept}</Button>
        )}
        {!renditions.some(({ passthrough }) => passthrough) && (
          <Button size="small" kind="ghost" icon={Plus} onClick={() => onChange([{ name: "source", passthrough: true }, ...renditions])}>{t.rendition.addSource}</Button>
        )}
      </div>
    </div>
  );
}

/** Its picture is encoded. */
function hasKnobs(rendition: Rendition): boolean {
  return !rendition.video && !isSoundAlone(rendition);
}

function SoundCells({ rendition, set }: { rendition: Rendition; set: (change: Partial<Rendition>) => void }) {
  return (
    <>
      <Cell label={t.rendition.audioKbps} type="number" min={16} value={rendition.audio_bitrate_kbps ?? ""} onChange={(event) => set({ audio_bitrate_kbps: Number(event.target.value) })} required />
      <label className="cell">
        <span>{t.rendition.audioCodec}</span>
        <select value={rendition.audio_codec ?? "aac"} onChange={(event) => set({ audio_codec: event.target.value as "aac" })}>
          {(["aac", "opus"] as const).map((each) => <option key={each} value={each}>{codec(each)}</option>)}
        </select>
      </label>
      <label className="cell">
        <span>{t.rendition.loudness}</span>
        <select value={rendition.loudness_lufs ?? ""} onChange={(event) => set({ loudness_lufs: event.target.value ? Number(event.target.value) : null })}>
          <option value="">{t.rendition.untouched}</option>
          {[...new Set([...LOUDNESSES, ...(rendition.loudness_lufs == null ? [] : [rendition.loudness_lufs])])].map((lufs) => <option key={lufs} value={lufs}>{t.rendition.lufs(lufs)}</option>)}
        </select>
      </label>
    </>
  );
}

function PictureCells({ rendition, set }: { rendition: Rendition; set: (change: Partial<Rendition>) => void }) {
  return (
    <>
      <Cell label={t.rendition.width} type="number" min={16} max={7680} step={2} value={rendition.width ?? ""} onChange={(event) => set({ width: Number(event.target.value) })} required />
      <Cell label={t.rendition.height} type="number" min={16} max={4320} step={2} value={rendition.height ?? ""} onChange={(event) => set({ height: Number(event.target.value) })} required />
      <Cell label={t.rendition.videoKbps} type="number" min={50} value={rendition.video_bitrate_kbps ?? ""} onChange={(event) => set({ video_bitrate_kbps: Number(event.target.value) })} required />
      <label className="cell">
        <span>{t.rendition.codec}</span>
        <select value={rendition.codec ?? "h264"} onChange={(event) => set({ codec: event.target.value as "h264" })}>
          {(["h264", "h265", "av1"] as const).map((each) => <option key={each} value={each}>{codec(each)}</option>)}
        </select>
      </label>
      <Cell label={t.rendition.gopSeconds} type="number" min={0.5} max={10} step={0.5} value={rendition.gop_seconds ?? 2} onChange={(event) => set({ gop_seconds: Number(event.target.value) })} />
      <label className="cell">
        <span>{t.rendition.rate}</span>
        <select value={rendition.rate_control ?? "cbr"} onChange={(event) => set({ rate_control: event.target.value as "cbr" })}>
          <option value="cbr">CBR</option>
          <option value="vbr">VBR</option>
        </select>
      </label>
      <label className="cell">
        <span>{t.rendition.fit}</span>
        <select value={rendition.fit ?? "pad"} onChange={(event) => set({ fit: event.target.value as "pad" })}>
          {(["pad", "crop", "stretch"] as const).map((each) => <option key={each} value={each}>{t.rendition.fits[each]}</option>)}
        </select>
      </label>
    </>
  );
}

function Cell({ label, ...rest }: { label: string } & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <label className="cell">
      <span>{label}</span>
      <input autoComplete="off" spellCheck={false} {...rest} />
    </label>
  );
}
