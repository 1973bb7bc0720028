// Restreams as rows: where, how it goes, why not, what next. A hundred of them stay readable.

import { ChevronRight, CirclePlay, CircleStop, Pencil, Trash2, WandSparkles } from "lucide-react";
import { memo, useState } from "react";
import { patch, post, remove } from "../api/client";
import { useChange, useDestinations } from "../api/queries";
import type { Destination, Rendition, Restream, Stream } from "../api/types";
import { bitrate, since } from "../format";
import { useNow } from "../live/clock";
import { ackedBps, keys } from "../live/history";
import { Link } from "../router";
import { useMay } from "../shell/session";
import { renditionLabel, SOURCE_RENDITION } from "../streams/flow_layout";
import { restreamLines } from "../streams/inspector";
import { t } from "../text";
import { Button, IconButton } from "../ui/button";
import { Chart, Legend } from "../ui/chart";
import { Confirm } from "../ui/dialog";
import { Bitrate } from "../ui/figure";
import { Menu } from "../ui/menu";
import { Sparkline } from "../ui/sparkline";
import { StateBadge } from "../ui/state";
import { toast } from "../ui/toast";
import { PlatformMark, platformOf } from "./platform_mark";
import { RestreamDialog } from "./restream_dialog";
import { RestreamFacts } from "./restream_facts";
import { Attempt, RetryNow } from "./retry";

/** From here on, what is out of sight is not drawn. */
const MANY = 30;

export function RestreamTable({ restreams, streams, showStream }: { restreams: Restream[]; streams: Stream[]; showStream?: boolean }) {
  const { data: destinations = [] } = useDestinations();
  const [editing, setEditing] = useState<Restream>();
  const [removing, setRemoving] = useState<Restream>();
  const [open, setOpen] = useState<number>();
  if (restreams.length === 0) return <p className="no-events">{t.restreams.none}</p>;
  return (
    <>
      <ul className={restreams.length > MANY ? "restreams many" : "restreams"}>
        {restreams.map((restream) => (
          <Row key={restream.id} restream={restream} stream={streams.find(({ id }) => id === restream.stream_id)} showStream={showStream ?? false}
            destination={destinations.find(({ id }) => id === restream.destination_id)} open={open === restream.id}
            onToggle={() => setOpen(open === restream.id ? undefined : restream.id)} onEdit={() => setEditing(restream)} onRemove={() => setRemoving(restream)} />
        ))}
      </ul>
      {editing && <RestreamDialog restream={editing} onClose={() => setEditing(undefined)} />}
      <RemoveRestream restream={removing} onClose={() => setRemoving(undefined)} />
    </>
  );
}

interface RowProps {
  restream: Restream;
  stream: Stream | undefined;
  destination: Destination | undefined;
  showStream: boolean;
  open: boolean;
  onToggle: () => void;
  onEdit: () => void;
  onRemove: () => void;
}

const Row = memo(function Row({ restream, stream, destination, showStream, open, onToggle, onEdit, onRemove }: RowProps) {
  const may = useMay("operator");
  const { id, name, status } = restream;
  const start = useChange(() => post(`/restreams/${id}/start`), "restreams");
  const stop = useChange(() => post(`/restreams/${id}/stop`), "restreams");
  const address = destination?.url ?? restream.uri ?? "";
  const acked = ackedBps(id);
  const sent = status.rendition === SOURCE_RENDITION ? t.restreams.asIs : renditionLabel(status.rendition, [restream], undefined);
  const running = status.state !== "stopped";
  const flows = status.state === "streaming" || status.state === "connecting";
  return (
    <li className="restream" data-state={status.state}>
      <div className="restream-row">
        <IconButton className="restream-open" label={open ? t.restreams.less(name) : t.restreams.details(name)} icon={ChevronRight} aria-expanded={open} onClick={onToggle} />
        <PlatformMark id={destination?.platform ?? platformOf(address)} size={26} />
        <div className="restream-name">
          <b>{name}</b>
          <span className="restream-where">
            {showStream && stream && <Link to={`/streams/${stream.id}`}>{stream.name}</Link>}
            <span className="mono" title={address}>{hostOf(address)}</span>
          </span>
        </div>
        <div className="restream-state">
          <span className="restream-state-line">
            <StateBadge state={status.state} />
            <Held restream={restream} />
            <Attempt status={status} />
            {status.backup && <span className="restream-backup">{t.restreams.backup} <StateBadge state={status.backup.state} /></span>}
          </span>
          {status.reason && <span className={`restream-reason ${status.state === "error" ? "bad" : ""}`}>{status.reason.message}</span>}
          <Advice restream={restream} />
        </div>
        <span className="restream-rendition" title={t.restreams.what}>{sent}</span>
        <div className="restream-flow">
          {flows && <Sparkline of={keys.restream(id)} subject={{ kind: "restreams", id }} label={t.restreams.sparkline(name)} />}
          {status.state === "streaming" && (
            <span className="restream-rates">
              <span title={t.restreams.sent}><Bitrate bps={status.bitrate_bps} /></span>
              <span className="faint" title={t.restreams.acked}>{acked === undefined ? "" : t.restreams.ackedShort(bitrate(acked))}</span>
            </span>
          )}
        </div>
        <div className="restream-actions">
          {status.state === "error" && <RetryNow restream={restream} />}
          {may && (running
            ? <Button size="small" kind="ghost" icon={CircleStop} busy={stop.isPending} onClick={() => stop.mutate(undefined, { onError: toast.bad })}>{t.stop}</Button>
            : <Button size="small" icon={CirclePlay} busy={start.isPending} onClick={() => start.mutate(undefined, { onError: toast.bad })}>{t.start}</Button>)}
          {may && <Menu label={t.more} items={[
            { label: t.edit, icon: Pencil, onSelect: onEdit },
            { label: t.remove, icon: Trash2, danger: true, onSelect: onRemove },
          ]} />}
        </div>
      </div>
      {open && (
        <div className="inspector-body inset">
          <div className="inspector-chart">
            <Chart lines={restreamLines(restream)} label={t.graphs.of(name)} height={150} />
            <Legend lines={restreamLines(restream)} />
          </div>
          <RestreamFacts restream={restream} />
        </div>
      )}
    </li>
  );
});

/** For how long, or when it will. */
function Held({ restream: { status, schedule } }: { restream: Restream }) {
  const now = useNow();
  if (status.state === "streaming" && status.connected_since) return <span className="faint">{t.forTime(since(status.connected_since, now))}</span>;
  if (status.state === "stopped" && schedule.start_at) return <span className="faint">{t.restreams.startsAt(new Date(schedule.start_at).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" }))}</span>;
  return null;
}

/** What the platform has against what it is sent, and the click that mends it. */
function Advice({ restream: { id, status } }: { restream: Restream }) {
  const may = useMay("operator");
  const fix = useChange((rendition: Rendition) => patch(`/restreams/${id}`, { rendition }), "restreams");
  const warning = status.warnings.find(({ suggestion }) => suggestion) ?? status.warnings[0];
  if (!warning || status.state === "stopped") return null;
  const { suggestion } = warning;
  return (
    <span className="restream-advice">
      <span className="restream-reason wait">{warning.message}</span>
      {may && suggestion && (
        <Button size="small" icon={WandSparkles} busy={fix.isPending} onClick={() => fix.mutate(suggestion, { onSuccess: () => toast.good(t.saved), onError: toast.bad })}>
          {t.rules.fix(suggestion)}
        </Button>
      )}
    </span>
  );
}

function RemoveRestream({ restream, onClose }: { restream: Restream | undefined; onClose: () => void }) {
  const change = useChange((id: number) => remove(`/restreams/${id}`), "restreams");
  return (
    <Confirm title={t.restreams.removeTitle(restream?.name ?? "")} body={t.restreams.removeBody} action={t.remove} open={Boolean(restream)} onClose={onClose}
      onConfirm={() => (restream ? change.mutateAsync(restream.id) : Promise.resolve())} />
  );
}

function hostOf(address: string): string {
  return address.replace(/^(\w+:\/\/[^/?]+).*$/, "$1");
}
