// A new restream in three clicks: platform, key, go. The same form changes one that exists.

import { useState } from "react";
import { patch, post } from "../api/client";
import { useChange, useDestinations, usePlatforms, useRestreams, useStreams } from "../api/queries";
import type { Destination, Platform, Rendition, Restream, RestreamCheckInput, Stream } from "../api/types";
import { useLadder } from "../ladders/ladders";
import { languageName } from "../../../shared/sounds";
import { useUser } from "../shell/session";
import { t } from "../text";
import { FormDialog } from "../ui/dialog";
import { errorOf, SelectField, TextField, Toggle } from "../ui/field";
import { toast } from "../ui/toast";
import { Check } from "./check";
import { PlatformMark, platformOf } from "./platform_mark";

interface RestreamDialogProps {
  /** The stream it is for; to be chosen where it is missing. */
  stream?: Stream | undefined;
  restream?: Restream | undefined;
  onClose: () => void;
}

export function RestreamDialog({ stream: given, restream, onClose }: RestreamDialogProps) {
  const { data: streams = [] } = useStreams();
  const { data: platforms = [] } = usePlatforms();
  const { data: destinations = [] } = useDestinations();
  const { data: restreams = [] } = useRestreams();
  const [streamId, setStreamId] = useState(restream?.stream_id ?? given?.id ?? streams[0]?.id);
  const stream = streams.find(({ id }) => id === streamId) ?? given;
  const ladder = useLadder(stream?.ladder);
  // Who may not name addresses chooses among those that an admin saved.
  const mayNameAddresses = useUser().may_use_raw_uris;

  const [destinationId, setDestinationId] = useState(restream?.destination_id ?? undefined);
  const [platformId, setPlatformId] = useState(platformOf(restream?.uri));
  const destination = destinations.find(({ id }) => id === destinationId);
  const platform = platforms.find(({ id }) => id === (destination?.platform ?? platformId));
  const isRtmp = platform?.protocol.startsWith("rtmp") ?? true;

  const [server, setServer] = useState(restream?.uri ?? "");
  const [key, setKey] = useState("");
  const [name, setName] = useState(restream?.name ?? "");
  const [backup, setBackup] = useState("");
  const [both, setBoth] = useState(false);
  const [wish, setWish] = useState<string>(typeof restream?.rendition === "string" ? restream.rendition : restream?.rendition ? OWN : "");
  const [own, setOwn] = useState<Rendition | undefined>(restream?.rendition && typeof restream.rendition !== "string" ? restream.rendition : undefined);
  const [language, setLanguage] = useState(restream?.audio_language ?? "");
  const [active, setActive] = useState(true);
  const [startAt, setStartAt] = useState(local(restream?.schedule.start_at));
  const [stopAt, setStopAt] = useState(local(restream?.schedule.stop_at));

  const backupServer = destination || !mayNameAddresses ? undefined : platform?.backup_url;
  const rendition = wish === "" ? null : wish === OWN ? (own ?? null) : wish;
  const languages = languagesOf(stream, language);
  // RTMP carries one sound. All others carry every one, so that there is nothing to choose.
  const choosesSound = isRtmp && languages.length > 0;
  const suggested = freeName(destination?.name ?? platform?.title ?? t.restreams.one, restreams.filter(({ stream_id, id }) => stream_id === streamId && id !== restream?.id).map((each) => each.name));

  const save = useChange(async () => {
    const schedule = { start_at: utc(startAt), stop_at: utc(stopAt) };
    // What is sent again although it is the same might cut the push.
    const target = destination
      ? { ...(key || destination.id !== restream?.destination_id ? { destination_id: destination.id } : {}), ...(key ? { stream_key: key.trim() } : {}) }
      : uriChanged(restream, server, key) ? { uri: join(server, key) } : {};
    const backupUri = backup ? { backup_uri: backup.trim() } : both && backupServer && key ? { backup_uri: join(backupServer, key) } : {};
    const common = { name: (name || suggested).trim(), rendition, schedule, ...(choosesSound ? { audio_language: language || null } : {}), ...backupUri };
    if (restream) return patch(`/restreams/${restream.id}`, { ...common, ...target });
    return post("/restreams", { ...common, ...target, stream_id: streamId, active });
  }, "restreams");

  const pickPlatform = ({ id, url }: Platform) => {
    setDestinationId(undefined);
    setPlatformId(id);
    setServer(url ?? "");
  };
  const pickDestination = ({ id }: Destination) => setDestinationId(id);

  return (
    <FormDialog
      wide
      open
      onClose={onClose}
      title={restream ? t.restreams.editTitle(restream.name) : t.restreams.add}
      submit={restream ? t.save : active ? t.restreams.go : t.restreams.addStopped}
      busy={save.isPending}
      error={save.error}
      fields={["name", "uri", "stream_key", "backup_uri", "rendition", "audio_language", "destination_id", "schedule.start_at", "schedule.stop_at"]}
      onSubmit={() => save.mutate(undefined, { onSuccess: () => { toast.good(restream ? t.saved : t.restreams.added); onClose(); } })}
    >
      {!given && !restream && (
        <SelectField label={t.restreams.stream} value={streamId ?? ""} onChange={(event) => setStreamId(Number(event.target.value))}>
          {streams.map((each) => <option key={each.id} value={each.id}>{each.name}</option>)}
        </SelectField>
      )}
      <div className="platforms" role="group" aria-label={t.restreams.where}>
        {mayNameAddresses && platforms.map((each) => (
          <button key={each.id} type="button" className="platform" aria-pressed={!destination && platform?.id === each.id} onClick={() => pickPlatform(each)}>
            <PlatformMark id={each.id} />
            <span>{each.title}</span>
          </button>
        ))}
        {destinations.map((each) => (
          <button key={`d${each.id}`} type="button" className="platform saved" aria-pressed={destination?.id === each.id} onClick={() => pickDestination(each)}>
            <PlatformMark id={each.platform} />
            <span>{each.name}</span>
            <span className="platform-note">{t.restreams.saved}</span>
          </button>
        ))}
      </div>
      {!mayNameAddresses && <p className="check">{destinations.length > 0 ? t.restreams.onlySaved : t.restreams.noneSaved}</p>}
      {destination ? (
        <dl className="key-rows">
          <div className="key-row">
            <dt>{t.restreams.destination}</dt>
            <dd><span className="mono">{destination.url}</span></dd>
          </div>
        </dl>
      ) : mayNameAddresses ? (
        <TextField label={t.restreams.server} mono value={server} onChange={(event) => setServer(event.target.value)} required={!restream && !key.includes("://")}
          placeholder={platform?.server_example ?? `${platform?.protocol ?? "rtmp"}://host/app`} hint={platform?.server_help ?? undefined} error={errorOf(save.error, "uri")} />
      ) : null}
      <TextField label={t.restreams.key} mono value={key} onChange={(event) => setKey(event.target.value)} required={Boolean(destination) && !restream}
        hint={restream ? t.restreams.keyKept(restream.stream_key ?? "") : platform?.key_help} error={errorOf(save.error, "stream_key")} />
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} placeholder={suggested} hint={t.restreams.nameHint} error={errorOf(save.error, "name")} />

      {platform && stream && (
        <Check platform={platform} asked={{ stream_id: stream.id, rendition, ...(choosesSound && language ? { audio_language: language } : {}), ...goesTo(destination, server || platform.url, key) }} onFix={(mended) => {
          if (typeof mended === "string") setWish(mended);
          else {
            setOwn(mended);
            setWish(OWN);
          }
        }} />
      )}
      {backupServer && !restream && <Toggle label={t.restreams.both} hint={backupServer} checked={both} onChange={(event) => setBoth(event.target.checked)} />}
      <details className="more" open={Boolean(restream)}>
        <summary>{t.restreams.more}</summary>
        <div className="more-body">
          <SelectField label={t.restreams.what} value={wish} onChange={(event) => setWish(event.target.value)} error={errorOf(save.error, "rendition")}>
            <option value="">{t.restreams.asIs}</option>
            {ladder.map(({ name: each, height, video_bitrate_kbps }) => <option key={each} value={each}>{each}{video_bitrate_kbps ? ` · ${height}p · ${video_bitrate_kbps} kbps` : ""}</option>)}
            {own && <option value={OWN}>{t.restreams.own(own)}</option>}
          </SelectField>
          {choosesSound && (
            <SelectField label={t.restreams.language} value={language} onChange={(event) => setLanguage(event.target.value)} hint={t.restreams.languageHint} error={errorOf(save.error, "audio_language")}>
              <option value="">{t.restreams.languageDefault}</option>
              {languages.map((each) => <option key={each} value={each}>{languageName(each)}</option>)}
            </SelectField>
          )}
          {mayNameAddresses && <TextField label={t.restreams.backupUrl} mono value={backup} onChange={(event) => setBackup(event.target.value)} hint={restream?.backup_uri ? t.restreams.backupKept(restream.backup_uri) : t.restreams.backupHint} error={errorOf(save.error, "backup_uri")} />}
          <div className="two tight">
            <TextField label={t.restreams.startAt} type="datetime-local" value={startAt} onChange={(event) => setStartAt(event.target.value)} error={errorOf(save.error, "schedule.start_at")} />
            <TextField label={t.restreams.stopAt} type="datetime-local" value={stopAt} onChange={(event) => setStopAt(event.target.value)} error={errorOf(save.error, "schedule.stop_at")} />
          </div>
          {!restream && <Toggle label={t.restreams.startNow} checked={active} onChange={(event) => setActive(event.target.checked)} />}
        </div>
      </details>
    </FormDialog>
  );
}

const OWN = "*own*";

/** Those that the source has now, and the one that was chosen, which it may not have at the moment. */
function languagesOf(stream: Stream | undefined, chosen: string): string[] {
  const spoken = (stream?.status.tracks ?? []).flatMap(({ kind, language }) => (kind === "audio" && language ? [language] : []));
  return [...new Set([...spoken, ...(chosen ? [chosen] : [])])];
}

/** As far as rules depend on it: a key is no part of that, unless it is the whole address. */
function goesTo(destination: Destination | undefined, server: string | null | undefined, key: string): Pick<RestreamCheckInput, "uri" | "destination_id"> {
  if (key.includes("://")) return { uri: key.trim() };
  return destination ? { destination_id: destination.id } : { uri: server?.trim() ?? "" };
}

/** URL and key are one address: a slash between them, and never two. SRT's key is its stream id. */
function join(server: string, key: string): string {
  const [url, last] = [server.trim(), key.trim()];
  if (!last) return url;
  if (last.includes("://")) return last;
  if (url.startsWith("srt:")) return /[?&]streamid=/.test(url) ? url : `${url}${url.includes("?") ? "&" : "?"}streamid=${encodeURIComponent(last)}`;
  // YouTube's backup server has a query, and the key goes before it.
  const [path = "", query] = url.split(/\?(.*)/);
  return `${path.replace(/\/+$/, "")}/${last.replace(/^\/+/, "")}${query ? `?${query}` : ""}`;
}

/** What is shown of a restream's address is not its whole address: sent again only when somebody changed it. */
function uriChanged(restream: Restream | undefined, server: string, key: string): boolean {
  return !restream || key.trim() !== "" || server.trim() !== (restream.uri ?? "");
}

function freeName(base: string, taken: string[]): string {
  if (!taken.includes(base)) return base;
  for (let number = 2; ; number++) {
    if (!taken.includes(`${base} ${number}`)) return `${base} ${number}`;
  }
}

function local(at: string | null | undefined): string {
  if (!at) return "";
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function utc(at: string): string | null {
  return at ? new Date(at).toISOString() : null;
}
