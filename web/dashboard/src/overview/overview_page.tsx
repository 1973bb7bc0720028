// The first page: what needs somebody, then everything that runs, at a glance.

import { Plus, Radio } from "lucide-react";
import { useMemo, useState } from "react";
import { useRestreams, useStreams } from "../api/queries";
import { useMay } from "../shell/session";
import { NewStream } from "../streams/new_stream";
import { t } from "../text";
import { groupBy } from "../group";
import { Button } from "../ui/button";
import { Empty, Failed, Loading, Page } from "../ui/page";
import { SearchBox } from "../ui/search";
import { inOrder, troublesOf } from "./problems";
import { StreamTile } from "./stream_tile";
import { Totals } from "./totals";
import { TroubleList } from "./trouble_list";

/** Beyond, tiles are looked for by name. */
const SEARCH_FROM = 9;

/** From here on, what is out of sight is not drawn. */
const MANY = 24;

export function OverviewPage() {
  const { data: streams, error, isPending } = useStreams();
  const { data: restreams = [] } = useRestreams();
  const [adding, setAdding] = useState(false);
  const [wanted, setWanted] = useState("");
  const mayAdd = useMay("operator");
  const byStream = useMemo(() => groupBy(restreams, ({ stream_id }) => stream_id), [restreams]);
  const shown = useMemo(() => {
    const text = wanted.trim().toLowerCase();
    return inOrder(streams ?? [], restreams).filter(({ name }) => name.toLowerCase().includes(text));
  }, [streams, restreams, wanted]);
  const add = mayAdd && <Button kind="primary" icon={Plus} onClick={() => setAdding(true)}>{t.streams.add}</Button>;

  return (
    <Page title={t.nav.overview} actions={streams?.length ? add : undefined}>
      {error && !streams && <Failed error={error} />}
      {isPending && <Loading />}
      {streams && streams.length === 0 && <Empty icon={Radio} title={t.streams.none} body={t.streams.noneBody} action={add} />}
      {streams && streams.length > 0 && (
        <>
          <Totals streams={streams} restreams={restreams} />
          <TroubleList troubles={troublesOf(streams, restreams)} />
          <section aria-label={t.nav.streams}>
            {streams.length >= SEARCH_FROM && (
              <div className="toolbar">
                <SearchBox value={wanted} onChange={setWanted} label={t.streams.find} />
                <span className="toolbar-note">{t.streams.shown(shown.length, streams.length)}</span>
              </div>
            )}
            <ul className={shown.length > MANY ? "tiles many" : "tiles"}>
              {shown.map((stream) => <StreamTile key={stream.id} stream={stream} restreams={byStream.get(stream.id) ?? []} isOneOfMany={shown.length > MANY} />)}
            </ul>
          </section>
        </>
      )}
      <NewStream open={adding} onClose={() => setAdding(false)} />
    </Page>
  );
}
