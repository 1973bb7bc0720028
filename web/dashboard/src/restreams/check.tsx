// What the platform would say, before it says it: the server judges, and the form asks it while it is filled in.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { CircleAlert, WandSparkles } from "lucide-react";
import { useEffect, useState } from "react";
import { post } from "../api/client";
import type { Platform, Rendition, RestreamCheck, RestreamCheckInput } from "../api/types";
import { t } from "../text";
import { Button } from "../ui/button";

/** A pause in typing. */
const SETTLED_MS = 300;
/** What comes in changes meanwhile. */
const ASKED_AGAIN_MS = 2_000;

interface CheckProps {
  platform: Platform;
  asked: RestreamCheckInput;
  /** A rendition of its own, or the name of one of the ladder's. */
  onFix: (rendition: Rendition | string) => void;
}

export function Check({ platform, asked, onFix }: CheckProps) {
  const body = useSettled(JSON.stringify(asked));
  const { data, error } = useQuery({
    queryKey: ["check", body],
    queryFn: () => post<RestreamCheck>("/restreams/check", JSON.parse(body)),
    enabled: Boolean(asked.uri || asked.destination_id),
    placeholderData: keepPreviousData,
    refetchInterval: ASKED_AGAIN_MS,
    staleTime: 0,
  });
  // An address that is not whole yet is no reason to complain: saving says what is wrong with it.
  if (!data || error) return null;
  const { warnings, known, of_ladder: ofLadder, cost } = data;
  const takes = cost && cost.cores >= 0.01 ? t.rules.cost(cost.cores, cost.fits) : cost && !cost.fits ? t.rules.impossible : "";
  if (warnings.length === 0) {
    const said = [known ? saysOf(platform) : "", takes].filter(Boolean).join(" · ");
    return <p className="check good">{known ? t.rules.fits(platform.title) : t.rules.unknown(platform.title)}{said && <span className="check-rules">{said}</span>}</p>;
  }
  const made = warnings.find(({ suggestion }) => suggestion)?.suggestion;
  return (
    <div className="check">
      <ul>
        {warnings.map(({ code, message }) => (
          <li key={`${code} ${message}`} className="bad">
            <CircleAlert aria-hidden size={15} />
            {message}
          </li>
        ))}
      </ul>
      {takes && <span className="check-rules">{takes}</span>}
      <div className="check-fixes">
        {made && <Button size="small" icon={WandSparkles} onClick={() => onFix(made)}>{t.rules.transcode(made)}</Button>}
        {ofLadder && <Button size="small" kind={made ? "ghost" : "plain"} icon={WandSparkles} onClick={() => onFix(ofLadder)}>{t.rules.useRendition(ofLadder)}</Button>}
      </div>
    </div>
  );
}

/** The rules themselves, in short. */
function saysOf({ rules }: Platform): string {
  return [
    rules.video_max_kbps ? t.rules.saysBitrate(rules.video_max_kbps) : "",
    rules.max_height ? t.rules.saysHeight(rules.max_height) : "",
    rules.gop_max_seconds ? t.rules.saysGop(rules.gop_max_seconds) : "",
    rules.cbr ? "CBR" : "",
  ].filter(Boolean).join(" · ");
}

/** The newest text that stayed for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
