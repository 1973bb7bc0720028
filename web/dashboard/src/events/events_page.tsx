// What happened, newest first, as it happens.

import { useMemo, useState } from "react";
import { useStreams } from "../api/queries";
import { useConnection, useEvents } from "../live/events";
import { useQueryParameter } from "../router";
import { t } from "../text";
import { Button } from "../ui/button";
import { Page, Panel } from "../ui/page";
import { SearchBox, Segments } from "../ui/search";
import { Dot } from "../ui/state";
import { EventList } from "./event_list";
import { describe } from "./describe";

const PAGE_SIZE = 100;

const nobody = { stream: () => undefined, restream: () => undefined };

export function EventsPage() {
  const events = useEvents();
  const connection = useConnection();
  const { data: streams = [] } = useStreams();
  const [kind, setKind] = useQueryParameter("kind");
  const [stream, setStream] = useQueryParameter("stream");
  const [wanted, setWanted] = useQueryParameter("find");
  const [most, setMost] = useState(PAGE_SIZE);
  const shown = useMemo(() => {
    const text = wanted.toLowerCase();
    return events.filter((event) => {
      if (stream && String(event["stream_id"]) !== stream) return false;
      if (kind === "trouble" && !["bad", "wait"].includes(describe(event, nobody).tone)) return false;
      if (kind && kind !== "trouble" && !event.type.startsWith(kind)) return false;
      return !text || JSON.stringify(event).toLowerCase().includes(text);
    });
  }, [events, kind, stream, wanted]);
  return (
    <Page title={t.nav.events} beside={<span className="connection"><Dot tone={connection === "open" ? "good" : "wait"} />{t.events.connection[connection]}</span>}>
      <div className="toolbar">
        <Segments label={t.events.kind} value={kind} onChange={setKind} options={[
          { value: "", label: t.all },
          { value: "trouble", label: t.events.trouble },
          { value: "stream", label: t.nav.streams },
          { value: "restream", label: t.nav.restreams },
          { value: "rendition", label: t.graphs.renditions },
        ]} />
        <label className="inline-select">
          <span className="sr-only">{t.streams.one}</span>
          <select value={stream} onChange={(event) => setStream(event.target.value)}>
            <option value="">{t.events.allStreams}</option>
            {streams.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
          </select>
        </label>
        <SearchBox value={wanted} onChange={setWanted} label={t.events.find} />
      </div>
      <Panel>
        <EventList events={shown.slice(0, most)} />
        {shown.length > most && <div className="panel-more"><Button size="small" onClick={() => setMost(most + PAGE_SIZE)}>{t.events.more(shown.length - most)}</Button></div>}
      </Panel>
    </Page>
  );
}
