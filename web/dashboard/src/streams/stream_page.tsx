// Everything about one stream.

import { CirclePlay, CircleStop, KeyRound, Plus, RadioTower, Settings2, Stamp, Trash2, ExternalLink } from "lucide-react";
import { useState } from "react";
import { post, remove } from "../api/client";
import { useChange, useRestreams, useStreams } from "../api/queries";
import { since } from "../format";
import { useLadder } from "../ladders/ladders";
import { useNow } from "../live/clock";
import { usePast } from "../live/past";
import { viewersOf } from "../overview/problems";
import { RestreamDialog } from "../restreams/restream_dialog";
import { RestreamTable } from "../restreams/restream_table";
import { Link, navigate } from "../router";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { Confirm } from "../ui/dialog";
import { Menu } from "../ui/menu";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { StateBadge } from "../ui/state";
import { toast } from "../ui/toast";
import { FlowPicture } from "./flow";
import { Graphs } from "./graphs";
import { Inspector } from "./inspector";
import { LadderPanel } from "./ladder_panel";
import { LogoDialog } from "./logo_dialog";
import { PlayPanel } from "./play_panel";
import { Preview } from "./preview";
import { PushPanel } from "./push_panel";
import { RotateKey } from "./rotate_key";
import { SourcesPanel } from "./sources_panel";
import { StreamSettings } from "./stream_settings";
import { WarningList } from "./warning_list";

export function StreamPage({ parameters }: { parameters: Record<string, string> }) {
  const id = Number(parameters["id"]);
  const { data: streams, error, isPending } = useStreams();
  const { data: allRestreams = [] } = useRestreams();
  const stream = streams?.find((each) => each.id === id);
  const restreams = allRestreams.filter(({ stream_id }) => stream_id === id);
  const ladder = useLadder(stream?.ladder);
  const [selected, setSelected] = useState("source");
  const [open, setOpen] = useState<"restream" | "stop" | "remove" | "rotate" | "settings" | "logo">();
  const may = useMay("operator");
  const start = useChange(() => post(`/streams/${id}/start`), "streams");
  const stop = useChange(() => post(`/streams/${id}/stop`), "streams");
  const now = useNow();
  usePast("streams", id);
  const close = () => setOpen(undefined);

  if (!stream) {
    return (
      <Page title={t.nav.streams}>
        {isPending ? <Loading rows={8} /> : error ? <Failed error={error} /> : <Empty icon={RadioTower} title={t.streams.gone} action={<Link to="/streams" className="button plain normal">{t.nav.streams}</Link>} />}
      </Page>
    );
  }
  const { status } = stream;
  return (
    <Page
      title={stream.name}
      above={<Link to="/streams">{t.nav.streams}</Link>}
      beside={<StateBadge state={status.state} solid />}
      note={!stream.active ? t.streams.inactive : t.streams.stateFor(t.states[status.state as "live"] ?? status.state, since(status.since, now))}
      actions={
        <>
          {stream.play_urls.watch && (
            <a className="button ghost normal" href={stream.play_urls.watch} target="_blank" rel="noreferrer">
              <ExternalLink aria-hidden size={15} />
              {t.streams.watchPage}
            </a>
          )}
          {may && (stream.active
            ? <Button icon={CircleStop} onClick={() => setOpen("stop")}>{t.stop}</Button>
            : <Button icon={CirclePlay} kind="primary" busy={start.isPending} onClick={() => start.mutate(undefined, { onError: toast.bad })}>{t.start}</Button>)}
          {may && (
            <Menu label={t.more} items={[
              { label: t.streams.settings, icon: Settings2, onSelect: () => setOpen("settings") },
              { label: t.logo.title, icon: Stamp, onSelect: () => setOpen("logo") },
              { label: t.streams.rotate, icon: KeyRound, onSelect: () => setOpen("rotate") },
              { label: t.streams.remove, icon: Trash2, danger: true, onSelect: () => setOpen("remove") },
            ]} />
          )}
        </>
      }
    >
      <WarningList stream={stream} />
      <div className="stream-top">
        <div className="stack">
          <Preview stream={stream} />
          <PushPanel stream={stream} />
          <PlayPanel stream={stream} />
        </div>
        <div className="stack">
          <Panel title={t.flow.title} className="flow-panel">
            <FlowPicture stream={stream} restreams={restreams} ladder={ladder} selected={selected} onSelect={(node) => (node === "more" ? document.getElementById("restreams")?.scrollIntoView() : setSelected(node))} />
          </Panel>
          <SourcesPanel stream={stream} />
          <Inspector stream={stream} restreams={restreams} selected={selected} />
        </div>
      </div>
      <Panel id="restreams" title={t.nav.restreams} actions={may && <Button kind="primary" size="small" icon={Plus} onClick={() => setOpen("restream")}>{t.restreams.add}</Button>}>
        <RestreamTable restreams={restreams} streams={[stream]} />
      </Panel>
      <LadderPanel stream={stream} restreams={restreams} />
      <Graphs stream={stream} restreams={restreams} />

      {open === "restream" && <RestreamDialog stream={stream} onClose={close} />}
      {open === "settings" && <StreamSettings stream={stream} onClose={close} />}
      {open === "logo" && <LogoDialog stream={stream} onClose={close} />}
      {open === "rotate" && <RotateKey stream={stream} onClose={close} />}
      <Confirm title={t.streams.stopTitle(stream.name)} body={t.streams.stopBody(restreams.filter(({ status }) => status.state !== "stopped").length, viewersOf(stream))} action={t.streams.stop} open={open === "stop"} onClose={close}
        onConfirm={() => stop.mutateAsync(undefined)} />
      <Confirm title={t.streams.removeTitle(stream.name)} body={t.streams.removeBody(restreams.length)} action={t.streams.remove} open={open === "remove"} onClose={close}
        onConfirm={async () => {
          await remove(`/streams/${id}`);
          toast.good(t.streams.removed(stream.name));
          navigate("/streams");
        }} />
    </Page>
  );
}
