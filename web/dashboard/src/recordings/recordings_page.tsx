// What was recorded, to take away or to delete.

import { Download, Film, Trash2 } from "lucide-react";
import { useState } from "react";
import { remove } from "../api/client";
import { useChange, useRecordings, useStreams } from "../api/queries";
import type { Recording } from "../api/types";
import { bytes, duration, full } from "../format";
import { Link } from "../router";
import { useMay } from "../shell/session";
import { t } from "../text";
import { IconButton } from "../ui/button";
import { Confirm } from "../ui/dialog";
import { Empty, Failed, Loading, Page, Panel } from "../ui/page";
import { StateBadge } from "../ui/state";

export function RecordingsPage() {
  const { data: recordings, error, isPending } = useRecordings();
  const { data: streams = [] } = useStreams();
  const [removing, setRemoving] = useState<Recording>();
  const change = useChange((id: number) => remove(`/recordings/${id}`), "recordings");
  const may = useMay("operator");
  return (
    <Page title={t.nav.recordings} note={t.recordings.note}>
      {error && <Failed error={error} />}
      {isPending && <Loading />}
      {recordings?.length === 0 && <Empty icon={Film} title={t.recordings.none} body={t.recordings.noneBody} />}
      {recordings && recordings.length > 0 && (
        <Panel>
          <div className="table-box">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t.streams.one}</th>
                  <th scope="col">{t.recordings.started}</th>
                  <th scope="col" className="number">{t.recordings.length}</th>
                  <th scope="col" className="number">{t.recordings.size}</th>
                  <th scope="col"><span className="sr-only">{t.actions}</span></th>
                </tr>
              </thead>
              <tbody>
                {[...recordings].reverse().map((recording) => (
                  <tr key={recording.id}>
                    <td><Link to={`/streams/${recording.stream_id}`} className="row-link">{streams.find(({ id }) => id === recording.stream_id)?.name ?? t.recordings.gone}</Link></td>
                    <td className="nowrap">{full(recording.started_at)}</td>
                    <td className="number">{recording.recording ? <StateBadge state="live" /> : duration((recording.duration_seconds ?? 0) * 1000)}</td>
                    <td className="number">{bytes(recording.bytes)}</td>
                    <td className="row-actions">
                      <a className="icon-button" href={`/api/v1/recordings/${recording.id}/file`} download={recording.file_name} title={t.recordings.download}>
                        <Download aria-hidden size={16} />
                        <span className="sr-only">{t.recordings.download}</span>
                      </a>
                      {may && <IconButton label={t.remove} icon={Trash2} onClick={() => setRemoving(recording)} disabled={recording.recording} />}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
      )}
      <Confirm title={t.recordings.removeTitle} body={t.recordings.removeBody(removing?.file_name ?? "")} action={t.remove} open={Boolean(removing)} onClose={() => setRemoving(undefined)}
        onConfirm={() => (removing ? change.mutateAsync(removing.id) : Promise.resolve())} />
    </Page>
  );
}
