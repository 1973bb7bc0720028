// A publication by WHIP, for as long as the page is there and nobody ends it.

import { useCallback, useEffect, useRef, useState } from "react";
import type { Figures } from "../../../shared/webrtc/figures";
import { WhipPublisher } from "../../../shared/webrtc/publisher";
import { get } from "../api/client";
import type { Stream } from "../api/types";
import { t } from "../text";
import type { Kind } from "./capture";
import type { SendingWish } from "./publish_settings";

export type PublishState = "stopped" | "connecting" | "sending" | "again";

interface Publishing {
  state: PublishState;
  /** Why it is not sending, where somebody said so. */
  words: string | undefined;
  figures: Figures | undefined;
  begin: (stream: number, media: MediaStream, sending: SendingWish, kind: Kind) => Promise<void>;
  end: () => void;
}

export function usePublishing(): Publishing {
  const [state, setState] = useState<PublishState>("stopped");
  const [words, setWords] = useState<string>();
  const [figures, setFigures] = useState<Figures>();
  const publisher = useRef<WhipPublisher>(undefined);
  /** Counts beginnings: who ends while the key is fetched has ended it. */
  const beginnings = useRef(0);

  const end = useCallback(() => {
    beginnings.current++;
    publisher.current?.end();
    publisher.current = undefined;
    setState("stopped");
    setWords(undefined);
    setFigures(undefined);
  }, []);

  const begin = useCallback(async (stream: number, media: MediaStream, { slot, kbps }: SendingWish, kind: Kind) => {
    end();
    const mine = beginnings.current;
    const refused = (why: string) => {
      end();
      setWords(why);
    };
    setState("connecting");
    let key: string | undefined;
    try {
      const { push_urls } = await get<Stream>(`/streams/${stream}?reveal=true`);
      key = keyOf(push_urls[slot]?.whip);
    } catch (error) {
      return mine === beginnings.current ? refused(error instanceof Error ? error.message : t.publish.off) : undefined;
    }
    if (mine !== beginnings.current) return;
    if (!key) return refused(t.publish.off);
    const address = { url: "/whip", headers: { authorization: `Bearer ${key}` } };
    // Letters on a screen have to be sharp; people have to move.
    publisher.current = new WhipPublisher(media, address, { videoBps: 1_000 * kbps, keep: kind === "screen" ? "detail" : "motion" }, {
      onSending: () => {
        setState("sending");
        setWords(undefined);
      },
      onAgain: (why) => {
        setState("again");
        setWords(why);
        setFigures(undefined);
      },
      onFigures: setFigures,
      onRefused: (_, why) => refused(why || t.publish.refused),
    });
  }, [end]);

  useEffect(() => end, [end]);
  useBeforeLeaving(state !== "stopped", end);
  useScreenOn(state !== "stopped");
  return { state, words, figures, begin, end };
}

/** `.../whip/KEY` */
export function keyOf(url: string | null | undefined): string | undefined {
  return /\/whip\/([^/?#]+)$/.exec(url ?? "")?.[1];
}

/** Asks whoever closes the page while it publishes, and says goodbye for who does. */
function useBeforeLeaving(isLive: boolean, end: () => void): void {
  useEffect(() => {
    if (!isLive) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    window.addEventListener("pagehide", end);
    return () => {
      window.removeEventListener("beforeunload", ask);
      window.removeEventListener("pagehide", end);
    };
  }, [isLive, end]);
}

/** A phone that goes dark stops its camera. */
function useScreenOn(isLive: boolean): void {
  useEffect(() => {
    if (!isLive || !("wakeLock" in navigator)) return;
    const lock = navigator.wakeLock.request("screen").catch(() => undefined);
    return () => void lock.then((held) => held?.release());
  }, [isLive]);
}
