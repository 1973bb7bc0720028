// All restreams of all streams, worst first.

import { Plus, Send } from "lucide-react";
import { useMemo, useState } from "react";
import { useRestreams, useStreams } from "../api/queries";
import type { Restream, RestreamState } from "../api/types";
import { isFailing } from "../overview/problems";
import { useQueryParameter } from "../router";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { SearchBox, Segments } from "../ui/search";
import { RestreamDialog } from "./restream_dialog";
import { RestreamTable } from "./restream_table";

const STATES: RestreamState[] = ["error", "connecting", "streaming", "awaiting_stream", "stopped"];

/** An attempt to end an outage moves nothing. */
function urgency(restream: Restream): number {
  return isFailing(restream) ? 0 : STATES.indexOf(restream.status.state as RestreamState);
}

export function RestreamsPage() {
  const { data: restreams, error, isPending } = useRestreams();
  const { data: streams = [] } = useStreams();
  const [state, setState] = useQueryParameter("state");
  const [wanted, setWanted] = useQueryParameter("find");
  const [adding, setAdding] = useState(false);
  const may = useMay("operator");
  const shown = useMemo(() => {
    const text = wanted.toLowerCase();
    const streamName = new Map(streams.map(({ id, name }) => [id, name]));
    return (restreams ?? [])
      .filter((each) => !state || each.status.state === state)
      .filter(({ name, uri, stream_id }) => !text || [name, uri, streamName.get(stream_id)].some((each) => each?.toLowerCase().includes(text)))
      .sort((one, other) => urgency(one) - urgency(other) || one.id - other.id);
  }, [restreams, streams, state, wanted]);
  const count = (each: RestreamState) => restreams?.filter(({ status }) => status.state === each).length ?? 0;
  const add = may && streams.length > 0 && <Button kind="primary" icon={Plus} onClick={() => setAdding(true)}>{t.restreams.add}</Button>;
  return (
    <Page title={t.nav.restreams} actions={add}>
      {error && !restreams && <Failed error={error} />}
      {isPending && <Loading />}
      {restreams?.length === 0 && <Empty icon={Send} title={t.restreams.noneYet} body={t.restreams.noneBody} />}
      {restreams && restreams.length > 0 && (
        <>
          <div className="toolbar">
            <Segments label={t.restreams.state} value={state} onChange={setState} options={[
              { value: "", label: t.all, count: restreams.length },
              ...STATES.filter((each) => count(each) > 0 || each === state).map((each) => ({ value: each, label: t.states[each], count: count(each) })),
            ]} />
            <SearchBox value={wanted} onChange={setWanted} label={t.restreams.find} />
          </div>
          <Panel><RestreamTable restreams={shown} streams={streams} showStream /></Panel>
        </>
      )}
      {adding && <RestreamDialog onClose={() => setAdding(false)} />}
    </Page>
  );
}
