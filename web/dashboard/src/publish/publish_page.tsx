// Publishes from this browser: a camera or a screen goes to the stream by WHIP. The quickest first stream that there is.

import { CircleStop, Lock, Mic, MicOff, RadioTower, Video } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useStreams } from "../api/queries";
import type { Slot, Stream } from "../api/types";
import { Link } from "../router";
import { useMay } from "../shell/session";
import { connectionStats } from "../streams/connection_stats";
import { t } from "../text";
import { Button } from "../ui/button";
import { Facts } from "../ui/facts";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { StateBadge } from "../ui/state";
import { type CaptureWish, mayCapture, mayCaptureScreen } from "./capture";
import { useCapture } from "./use_capture";
import { usePublishing } from "./use_publishing";
import { PublishSettings, type SendingWish } from "./publish_settings";

export function PublishPage({ parameters }: { parameters: Record<string, string> }) {
  const id = Number(parameters["id"]);
  const { data: streams, error, isPending } = useStreams();
  const stream = streams?.find((each) => each.id === id);
  const may = useMay("operator");
  const back = <Link to={`/streams/${id}`} className="button plain normal">{t.nav.streams}</Link>;
  if (!stream) return <Page title={t.publish.title}>{isPending ? <Loading rows={8} /> : error ? <Failed error={error} /> : <Empty icon={RadioTower} title={t.streams.gone} action={back} />}</Page>;
  return (
    <Page title={t.publish.title} above={<Link to={`/streams/${id}`}>{stream.name}</Link>} beside={<StateBadge state={stream.status.state} solid />} note={t.publish.note}>
      {!may ? <Empty icon={Lock} title={t.forbidden.title} body={t.publish.operators} />
        : !stream.active ? <Empty icon={RadioTower} title={t.streams.inactive} action={back} />
        : slotsOf(stream).length === 0 ? <Empty icon={RadioTower} title={t.publish.off} body={t.publish.offBody} action={back} />
        : !mayCapture() ? <Empty icon={Lock} title={t.publish.insecure} body={t.publish.insecureBody} action={back} />
        : <Studio stream={stream} />}
    </Page>
  );
}

/** Slots that this browser could publish to. */
function slotsOf({ sources, push_urls }: Stream): Slot[] {
  return sources.map(({ slot }) => slot).filter((slot) => push_urls[slot]?.["whip"]);
}

function Studio({ stream }: { stream: Stream }) {
  const slots = slotsOf(stream);
  const [wish, setWish] = useState<CaptureWish>({ kind: "camera", camera: "", microphone: "", hasSound: true, isVoice: true, height: 720, fps: 30 });
  const [sending, setSending] = useState<SendingWish>({ slot: slots[0] ?? "", kbps: 2_500 });
  const [muted, setMuted] = useState(false);
  const { media, cameras, microphones, trouble, open, close } = useCapture();
  const { state, words, figures, begin, end } = usePublishing();
  const isLive = state !== "stopped";
  const video = useRef<HTMLVideoElement>(null);

  useEffect(() => {
    if (video.current) video.current.srcObject = media ?? null;
  }, [media]);
  useEffect(() => {
    media?.getAudioTracks().forEach((track) => (track.enabled = !muted));
  }, [media, muted]);
  // The screen may be taken back by the browser's own button, and a camera pulled out.
  useEffect(() => {
    if (!media) end();
  }, [media, end]);

  const change = (next: CaptureWish) => {
    setWish(next);
    if (media && next.kind === wish.kind) void open(next);
    else close();
  };
  const hasSound = (media?.getAudioTracks().length ?? 0) > 0;
  return (
    <div className="publish">
      <div className="stack">
        <section className="panel preview" aria-label={t.preview.title}>
          <div className="preview-stage">
            <video ref={video} className={wish.kind === "camera" ? "mirrored" : undefined} autoPlay muted playsInline aria-label={t.preview.title} />
            {!media && (
              <div className="preview-off">
                {trouble && <p role="alert">{trouble}</p>}
                <Button kind="primary" icon={Video} onClick={() => void open(wish)}>{wish.kind === "camera" ? t.publish.openCamera : t.publish.openScreen}</Button>
              </div>
            )}
          </div>
          <div className="publish-actions">
            {isLive
              ? <Button kind="danger" icon={CircleStop} onClick={end}>{t.publish.end}</Button>
              : <Button kind="primary" icon={RadioTower} disabled={!media} onClick={() => media && void begin(stream.id, media, sending, wish.kind)}>{t.publish.begin}</Button>}
            {hasSound && <Button icon={muted ? MicOff : Mic} aria-pressed={muted} onClick={() => setMuted(!muted)}>{muted ? t.preview.unmute : t.preview.mute}</Button>}
            {media && !isLive && <Button kind="ghost" onClick={close}>{t.publish.close}</Button>}
            <p className="publish-state" role="status" data-state={state}>{t.publish.states[state]}{words ? `: ${words}` : ""}</p>
          </div>
        </section>
        {isLive && <Panel title={t.preview.stats}><div className="panel-body"><Facts facts={[...connectionStats(figures), [t.publish.limit, t.publish.limits[figures?.limit ?? ""] ?? t.publish.noLimit]]} /></div></Panel>}
      </div>
      <PublishSettings wish={wish} onWish={change} sending={sending} onSending={setSending} slots={slots} cameras={cameras} microphones={microphones} disabled={isLive} hasScreen={mayCaptureScreen()} />
    </div>
  );
}
