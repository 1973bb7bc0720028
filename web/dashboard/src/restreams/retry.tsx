// What happens next to a restream that failed: which attempt, when, and the button that does not wait for it.

import { RotateCw } from "lucide-react";
import { post } from "../api/client";
import { useChange } from "../api/queries";
import type { PushStatus, Restream } from "../api/types";
import { duration } from "../format";
import { useNow } from "../live/clock";
import { useMay } from "../shell/session";
import { t } from "../text";
import { Button } from "../ui/button";
import { toast } from "../ui/toast";

export function Attempt({ status }: { status: PushStatus }) {
  const now = useNow();
  if (status.state !== "error") return null;
  const left = status.next_retry_at ? Date.parse(status.next_retry_at) - now : undefined;
  return (
    <span className="attempt">
      {left === undefined ? t.restreams.noRetry : left < 1000 ? t.restreams.retryingNow : t.restreams.retryIn(duration(left + 500))}
      {status.attempt > 0 && <span className="attempt-count">{t.restreams.attempt(status.attempt)}</span>}
    </span>
  );
}

export function RetryNow({ restream }: { restream: Restream }) {
  const may = useMay("operator");
  const retry = useChange(() => post(`/restreams/${restream.id}/retry`), "restreams");
  if (!may) return null;
  return (
    <Button size="small" icon={RotateCw} busy={retry.isPending} onClick={() => retry.mutate(undefined, { onError: toast.bad })}>
      {t.restreams.retryNow}
    </Button>
  );
}
