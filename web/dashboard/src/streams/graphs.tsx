// All that flows, second by second: ingest, renditions, restreams, and the picture's own figures.

import { useState } from "react";
import type { Restream, Stream } from "../api/types";
import { fps, seconds } from "../format";
import { keys } from "../live/history";
import { type Subject, useLongPast } from "../live/past";
import { t } from "../text";
import { Chart, Legend, type Line } from "../ui/chart";
import { Panel } from "../ui/page";
import { Segments } from "../ui/search";
import { renditionLabel } from "./flow_layout";

const COLOURS = ["--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-6"];
const colour = (at: number) => COLOURS[at % COLOURS.length] ?? "--chart-1";

type View = "renditions" | "restreams" | "picture";
/** In minutes: seconds up to fifteen, then steps of ten seconds as far back as the server remembers. */
const SPANS = ["5", "15", "60", "360", "1440"] as const;
type Span = (typeof SPANS)[number];

export function Graphs({ stream, restreams }: { stream: Stream; restreams: Restream[] }) {
  const [view, setView] = useState<View>("renditions");
  const [span, setSpan] = useState<Span>("5");
  const spanSeconds = Number(span) * 60;
  const { renditions } = stream.status;
  const renditionLines: Line[] = [
    { key: keys.ingest(stream.id), label: t.graphs.ingest, colour: colour(0) },
    ...renditions.filter(({ name }) => name !== "source").map((status, at) => ({ key: keys.rendition(stream.id, status.name), label: renditionLabel(status.name, restreams, status), colour: colour(at + 1) })),
  ];
  const drawn = restreams.filter(({ status }) => status.state !== "stopped").slice(0, COLOURS.length);
  const restreamLines: Line[] = drawn.map(({ id, name }, at) => ({ key: keys.restream(id), label: name, colour: colour(at) }));
  const subjects: Subject[] = view === "restreams" ? drawn.map(({ id }) => ({ kind: "restreams", id })) : [{ kind: "streams", id: stream.id }];
  const past = useLongPast(subjects, spanSeconds);
  return (
    <Panel title={t.graphs.title} actions={<>
      <Segments label={t.graphs.span} value={span} onChange={setSpan} options={SPANS.map((value) => ({ value, label: t.graphs.spans[value] }))} />
      <Segments label={t.graphs.title} value={view} onChange={setView} options={[
        { value: "renditions", label: t.graphs.renditions },
        { value: "restreams", label: t.nav.restreams },
        { value: "picture", label: t.graphs.picture },
      ]} />
    </>}>
      <div className="panel-body">
        {view === "renditions" && <Graph label={t.graphs.renditions} lines={renditionLines} seconds={spanSeconds} past={past} />}
        {view === "restreams" && (restreamLines.length > 0 ? <Graph label={t.nav.restreams} lines={restreamLines} seconds={spanSeconds} past={past} /> : <p className="no-events">{t.restreams.none}</p>)}
        {view === "picture" && (
          <div className="two">
            <div>
              <h3>{t.ingest.fps}</h3>
              <Chart label={t.ingest.fps} lines={[{ key: keys.fps(stream.id), label: t.ingest.fps, colour: colour(0) }]} height={140} format={fps} seconds={spanSeconds} past={past} />
            </div>
            <div>
              <h3>{t.ingest.gop}</h3>
              <Chart label={t.ingest.gop} lines={[{ key: keys.gop(stream.id), label: t.ingest.gop, colour: colour(1) }]} height={140} format={seconds} seconds={spanSeconds} past={past} />
            </div>
            <div>
              <h3>{t.graphs.lateness}</h3>
              <Chart label={t.graphs.lateness} lines={[{ key: keys.lateness(stream.id), label: t.graphs.lateness, colour: colour(2) }]} height={140} format={seconds} seconds={spanSeconds} past={past} />
            </div>
          </div>
        )}
      </div>
    </Panel>
  );
}

function Graph({ label, lines, seconds, past }: { label: string; lines: Line[]; seconds: number; past: ReturnType<typeof useLongPast> }) {
  return (
    <>
      <Chart label={label} lines={lines} height={220} seconds={seconds} past={past} />
      <Legend lines={lines} />
    </>
  );
}
