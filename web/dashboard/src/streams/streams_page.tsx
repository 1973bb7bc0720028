// All streams as a table: denser than the tiles, with what they are asked to do.

import { Plus, Radio } from "lucide-react";
import { useState } from "react";
import { useRestreams, useStreams } from "../api/queries";
import { fps, since, size } from "../format";
import { groupBy } from "../group";
import { useNow } from "../live/clock";
import { inOrder, viewersOf } from "../overview/problems";
import { Link, useQueryParameter } from "../router";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { Bitrate } from "../ui/figure";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { SearchBox } from "../ui/search";
import { Dot, StateBadge, toneOf } from "../ui/state";
import { NewStream } from "./new_stream";

export function StreamsPage() {
  const { data: streams, error, isPending } = useStreams();
  const { data: restreams = [] } = useRestreams();
  const [wanted, setWanted] = useQueryParameter("find");
  const [adding, setAdding] = useState(false);
  const may = useMay("operator");
  const now = useNow();
  const byStream = groupBy(restreams, ({ stream_id }) => stream_id);
  const shown = inOrder(streams ?? [], restreams).filter(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
  const add = may && <Button kind="primary" icon={Plus} onClick={() => setAdding(true)}>{t.streams.add}</Button>;
  return (
    <Page title={t.nav.streams} actions={streams?.length ? add : undefined}>
      {error && !streams && <Failed error={error} />}
      {isPending && <Loading />}
      {streams?.length === 0 && <Empty icon={Radio} title={t.streams.none} body={t.streams.noneBody} action={add} />}
      {streams && streams.length > 0 && (
        <>
          <div className="toolbar"><SearchBox value={wanted} onChange={setWanted} label={t.streams.find} /></div>
          <Panel>
            <div className="table-box">
              <table className="table">
                <thead>
                  <tr>
                    <th scope="col">{t.streams.one}</th>
                    <th scope="col">{t.streams.state}</th>
                    <th scope="col">{t.flow.source}</th>
                    <th scope="col" className="number">{t.graphs.ingest}</th>
                    <th scope="col">{t.flow.ladder}</th>
                    <th scope="col" className="number">{t.overview.viewersTitle}</th>
                    <th scope="col">{t.nav.restreams}</th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((stream) => {
                    const { ingest, state, live, since: at } = stream.status;
                    const pushes = byStream.get(stream.id) ?? [];
                    return (
                      <tr key={stream.id}>
                        <td><Link to={`/streams/${stream.id}`} className="row-link">{stream.name}</Link></td>
                        <td><StateBadge state={state} /> <span className="faint nowrap">{t.forTime(since(at, now))}</span></td>
                        <td className="nowrap">{ingest && live ? `${stream.sources.length > 1 ? `${ingest.slot} · ` : ""}${t.protocol(ingest.protocol)} · ${size(ingest.width, ingest.height)} · ${t.fps(fps(ingest.fps))}` : <span className="faint">{t.push.kinds[stream.sources[0]?.kind ?? "push"]}</span>}</td>
                        <td className="number">{live ? <Bitrate bps={ingest?.bitrate_bps} /> : <span className="faint">–</span>}</td>
                        <td>{stream.ladder ? (typeof stream.ladder === "string" ? stream.ladder : t.ladders.own) : <span className="faint">{t.flow.asIs}</span>}</td>
                        <td className="number">{viewersOf(stream)}</td>
                        <td className="nowrap">
                          {pushes.length === 0 ? <span className="faint">–</span> : (
                            <span className="dots" title={pushes.map(({ name, status }) => `${name}: ${t.states[status.state as "error"]}`).join("\n")}>
                              {pushes.slice(0, 10).map(({ id, status }) => <Dot key={id} tone={toneOf(status.state)} />)}
                              <span>{t.overview.pushing(pushes.filter(({ status }) => status.state === "streaming").length, pushes.length)}</span>
                            </span>
                          )}
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          </Panel>
        </>
      )}
      <NewStream open={adding} onClose={() => setAdding(false)} />
    </Page>
  );
}
