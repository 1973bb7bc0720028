// Says so when what is shown is no longer of now.

import { useQueryClient } from "@tanstack/react-query";
import { WifiOff } from "lucide-react";
import { useStreams } from "../api/queries";
import { duration } from "../format";
import { useNow } from "../live/clock";
import { useHeardAt } from "../live/board";
import { useConnection } from "../live/events";
import { t } from "../text";
import { Button } from "../ui/button";

/** Answers come every second; two that are missed may be the network's hiccup. */
const STALE_MS = 4_000;

export function StaleNotice() {
  const now = useNow();
  const client = useQueryClient();
  const connection = useConnection();
  const heardAt = useHeardAt();
  const { dataUpdatedAt, errorUpdatedAt, failureReason } = useStreams();
  const newest = Math.max(dataUpdatedAt, heardAt);
  const age = now - newest;
  // A page in the background does not ask; what it shows is old for a moment when it is looked at again.
  const failing = connection === "lost" || failureReason !== null || errorUpdatedAt > newest;
  if (newest === 0 || age < STALE_MS || !failing) return null;
  return (
    <div className="stale" role="alert">
      <WifiOff aria-hidden size={16} />
      <span>{t.stale(duration(age))}</span>
      <Button size="small" onClick={() => void client.refetchQueries({ type: "active" })}>{t.tryNow}</Button>
    </div>
  );
}
