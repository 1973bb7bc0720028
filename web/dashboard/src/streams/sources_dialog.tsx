// The list of a stream's sources, to put in order, add to and take from, and the rules by which one comes on air in another's place.

import { ArrowDown, ArrowUp, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { patch } from "../api/client";
import { useChange } from "../api/queries";
import type { SourceInput, Stream } from "../api/types";
import { t } from "../text";
import { Button, IconButton } from "../ui/button";
import { FormDialog } from "../ui/dialog";
import { errorOf, TextField, Toggle } from "../ui/field";
import { inputOf } from "./source_list";

/** The server takes no more. */
const SOURCES_MAX = 8;

interface Row {
  input: SourceInput;
  /** Only then it can still be called otherwise. */
  isNew: boolean;
}

export function SourcesDialog({ stream, onClose }: { stream: Stream; onClose: () => void }) {
  const [rows, setRows] = useState(() => stream.sources.map((source): Row => ({ input: inputOf(source), isNew: false })));
  const [loss, setLoss] = useState(String(stream.failover.loss_seconds));
  const [after, setAfter] = useState(String(stream.failover.return_seconds));
  const [returns, setReturns] = useState(stream.failover.return);
  const save = useChange(() => patch(`/streams/${stream.id}`, changed()), "streams");
  const slots = rows.map(({ input }) => input.slot ?? "");
  const gone = stream.sources.filter(({ slot }) => !slots.includes(slot));
  function changed() {
    const failover = { loss_seconds: Number(loss), return_seconds: Number(after), return: returns };
    return { sources: rows.map(({ input }) => input), failover };
  }
  const set = (at: number, change: Partial<SourceInput>) => setRows(rows.map((row, index) => (index === at ? { ...row, input: { ...row.input, ...change } } : row)));
  const move = (at: number, by: number) => {
    const next = [...rows];
    next.splice(at + by, 0, ...next.splice(at, 1));
    setRows(next);
  };
  const problem = errorOf(save.error, "sources.slot", "sources.uri");
  return (
    <FormDialog open onClose={onClose} title={t.sources.edit} description={t.sources.editBody} submit={t.save} busy={save.isPending} error={save.error}
      fields={["failover.loss_seconds", "failover.return_seconds", "sources.slot", "sources.uri"]} onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <ol className="source-rows">
        {rows.map(({ input, isNew }, at) => {
          const { slot = "", kind, uri } = input;
          return (
            <li key={at}>
              {isNew
                ? <input className="mono" aria-label={t.sources.nth(at + 1)} value={slot ?? ""} pattern="[a-z0-9-]{1,32}" required onChange={(event) => set(at, { slot: event.target.value })} />
                : <span className="mono">{slot}</span>}
              {isNew
                ? (
                  <select aria-label={t.sources.kindOf(at + 1)} value={kind} onChange={(event) => setRows(rows.map((row, index) => (index === at ? { isNew, input: event.target.value === "pull" ? { slot, kind: "pull", uri: "" } : { slot, kind: "push" } } : row)))}>
                    <option value="push">{t.push.kinds.push}</option>
                    <option value="pull">{t.push.kinds.pull}</option>
                  </select>
                )
                : <span className="faint">{t.push.kinds[kind]}</span>}
              <span className="source-moves">
                <IconButton label={t.sources.up(slot ?? "")} icon={ArrowUp} disabled={at === 0} onClick={() => move(at, -1)} />
                <IconButton label={t.sources.down(slot ?? "")} icon={ArrowDown} disabled={at === rows.length - 1} onClick={() => move(at, 1)} />
                <IconButton label={t.sources.remove(slot ?? "")} icon={Trash2} disabled={rows.length === 1} onClick={() => setRows(rows.filter((_, index) => index !== at))} />
              </span>
              {kind === "pull" && (
                <input className="mono source-uri" aria-label={`${t.push.pullFrom}, ${slot}`} value={uri ?? ""} required placeholder="rtmp://host/app/stream" onChange={(event) => set(at, { uri: event.target.value })} />
              )}
            </li>
          );
        })}
      </ol>
      {problem && <p className="field-error" role="alert">{problem}</p>}
      {gone.length > 0 && <p className="hint">{t.sources.goneHint(gone.map(({ slot }) => slot).join(", "))}</p>}
      <Button icon={Plus} size="small" disabled={rows.length >= SOURCES_MAX} onClick={() => setRows([...rows, { isNew: true, input: { slot: freeSlot(slots), kind: "push" } }])}>{t.sources.add}</Button>
      <TextField label={t.sources.loss} type="number" min={0.5} max={60} step={0.1} value={loss} onChange={(event) => setLoss(event.target.value)} hint={t.sources.lossHint} error={errorOf(save.error, "failover.loss_seconds")} />
      <Toggle label={t.sources.returns} hint={t.sources.returnsHint} checked={returns} onChange={(event) => setReturns(event.target.checked)} />
      {returns && <TextField label={t.sources.after} type="number" min={0} max={3600} step={0.5} value={after} onChange={(event) => setAfter(event.target.value)} hint={t.sources.afterHint} error={errorOf(save.error, "failover.return_seconds")} />}
    </FormDialog>
  );
}

/** A name that no source of the list has yet. */
function freeSlot(slots: string[]): string {
  const names = ["primary", "backup", ...Array.from({ length: SOURCES_MAX }, (_, at) => `source-${at + 1}`)];
  return names.find((name) => !slots.includes(name)) ?? "";
}
