// The machine: what runs, how busy it is, what it can encode and how that was proved.

import { Check, RotateCw, X } from "lucide-react";
import { post } from "../api/client";
import { useChange, useSystem } from "../api/queries";
import type { Encoder, System } from "../api/types";
import { bytes, codec, count, duration, full, milliseconds, NOTHING, percent } from "../format";
import { groupBy } from "../group";
import { useLoad } from "../live/board";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { Facts } from "../ui/facts";
import { Meter } from "../ui/figure";
import { Failed, Loading, Page, Panel } from "../ui/page";
import { toast } from "../ui/toast";
import { encodingOf, machineOf } from "./machine";

export function SystemPage() {
  const { data: system, error, isPending } = useSystem();
  const load = useLoad();
  if (!system) return <Page title={t.nav.system}>{error ? <Failed error={error} /> : isPending ? <Loading /> : null}</Page>;
  const meters = [...machineOf(system, load), encodingOf(system)];
  return (
    <Page title={t.nav.system}>
      <div className="stack">
        <Panel title={t.system.server}>
          <div className="panel-body">
            <Facts facts={[
              [t.system.version, <span className="mono">{system.version}</span>],
              [t.system.cores, String(system.cpu_cores)],
              ["GStreamer", system.gstreamer ?? t.system.noGstreamer],
              [t.system.uptime, duration(system.uptime_seconds * 1000)],
              [t.system.started, full(system.started_at)],
              [t.system.api, <a href="/api/v1/openapi.json" target="_blank" rel="noreferrer" className="mono">/api/v1/openapi.json</a>],
              [t.system.metrics, <a href="/metrics" target="_blank" rel="noreferrer" className="mono">/metrics</a>],
            ]} />
          </div>
        </Panel>
        <Panel title={t.system.load}>
          <div className="panel-body meters-wide">{meters.map(({ label, share, text }) => <Meter key={label} label={label} share={share} text={text} />)}</div>
        </Panel>
        <Webrtc webrtc={system.webrtc} />
        {system.gpus.length > 0 && <Gpus gpus={system.gpus} />}
        <Encoders encoders={system.encoders} />
      </div>
    </Page>
  );
}

function Gpus({ gpus }: { gpus: System["gpus"] }) {
  return (
    <Panel title={t.system.gpus}>
      <div className="table-box">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{t.system.card}</th>
              <th scope="col" className="number">{t.system.busy}</th>
              <th scope="col" className="number">{t.rendition.encoder}</th>
              <th scope="col" className="number">{t.system.decoder}</th>
              <th scope="col" className="number">{t.system.sessions}</th>
              <th scope="col" className="number">{t.system.memory}</th>
              <th scope="col" className="number">{t.system.temperature}</th>
            </tr>
          </thead>
          <tbody>
            {gpus.map((gpu) => (
              <tr key={gpu.index}>
                <td><b>{gpu.name ?? t.system.gpu(gpu.index)}</b></td>
                <td className="number">{percent(gpu.utilization_percent)}</td>
                <td className="number">{percent(gpu.encoder_percent)}</td>
                <td className="number">{percent(gpu.decoder_percent)}</td>
                <td className="number">{count(gpu.encoder_sessions)}</td>
                <td className="number">{bytes(gpu.memory_used_bytes)} / {bytes(gpu.memory_total_bytes)}</td>
                <td className="number">{gpu.temperature_celsius == null ? NOTHING : `${gpu.temperature_celsius} °C`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** Where viewers by WebRTC come to, and whether they get through. */
function Webrtc({ webrtc }: { webrtc: System["webrtc"] }) {
  if (!webrtc) return <Panel title="WebRTC"><p className="no-events">{t.system.webrtcOff}</p></Panel>;
  const { engine, engine_reason, udp_listen, tcp_listen, told, connections, connected, never_connected } = webrtc;
  const of = (wanted: string) => told.filter(({ transport }) => transport === wanted).map(({ address }) => address).join(", ");
  const port = (listen: string, transport: string) => (
    <>
      <span className="mono">{listen}</span> <span className="faint">{t.system.told(of(transport))}</span>
    </>
  );
  return (
    <Panel title="WebRTC" note={t.system.webrtcNote}>
      <div className="panel-body">
        <Facts facts={[
          [t.system.engine, <><span className="mono">{engine}</span> <span className="faint">{engine_reason}</span></>],
          [t.system.udp, port(udp_listen, "udp")],
          [t.system.tcp, tcp_listen ? port(tcp_listen, "tcp") : t.system.noTcp],
          [t.system.connections, count(connections)],
          [t.system.cameThrough, <span className={never_connected > connected ? "text-bad" : undefined}>{t.system.came(connected, never_connected)}</span>],
        ]} />
      </div>
    </Panel>
  );
}

/** Families that work first; each with its proof. */
function Encoders({ encoders }: { encoders: Encoder[] }) {
  const families = [...groupBy(encoders, ({ family }) => family)].sort(([, one], [, other]) => works(other) - works(one));
  return (
    <Panel title={t.system.encoders} note={t.system.encodersNote} actions={<TryAgain />}>
      <div className="table-box">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{t.system.family}</th>
              <th scope="col">{t.rendition.codec}</th>
              <th scope="col">{t.system.element}</th>
              <th scope="col">{t.system.proof}</th>
            </tr>
          </thead>
          <tbody>
            {families.flatMap(([family, all]) => all.map(({ codec: of, element, proof, reason }, at) => (
              <tr key={element} data-off={!proof.ok || undefined}>
                <td>{at === 0 && <b>{family}</b>}</td>
                <td>{codec(of)}</td>
                <td className="mono">{element}</td>
                <td>
                  <span className="proof">
                    {proof.ok ? <Check aria-hidden size={15} className="text-good" /> : <X aria-hidden size={15} className="faint" />}
                    {proof.ok ? t.system.works(proof.ms == null ? "" : milliseconds(proof.ms)) : <span className="faint">{reason ?? t.system.fails}</span>}
                  </span>
                </td>
              </tr>
            )))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** After a driver was mended, or a card was put in. */
function TryAgain() {
  const may = useMay("admin");
  const prove = useChange(() => post("/system/prove"), "system");
  if (!may) return null;
  return (
    <Button size="small" icon={RotateCw} busy={prove.isPending} onClick={() => prove.mutate(undefined, { onError: toast.bad })}>
      {t.system.tryAgain}
    </Button>
  );
}

function works(encoders: Encoder[]): number {
  return encoders.some(({ proof }) => proof.ok) ? 1 : 0;
}
