// A camera or a screen that is open, for as long as the page shows it.

import { useCallback, useEffect, useRef, useState } from "react";
import { capture, type CaptureWish, type Device, devicesOf, release, wordsOf } from "./capture";

interface Captured {
  media: MediaStream | undefined;
  cameras: Device[];
  microphones: Device[];
  trouble: string | undefined;
  open: (wish: CaptureWish) => Promise<void>;
  close: () => void;
}

export function useCapture(): Captured {
  const [media, setMedia] = useState<MediaStream>();
  const [cameras, setCameras] = useState<Device[]>([]);
  const [microphones, setMicrophones] = useState<Device[]>([]);
  const [trouble, setTrouble] = useState<string>();
  const current = useRef<MediaStream>(undefined);
  /** Counts wishes: only the last one is shown. */
  const wishes = useRef(0);

  const show = useCallback((next: MediaStream | undefined) => {
    if (current.current !== next) release(current.current);
    current.current = next;
    setMedia(next);
  }, []);

  const close = useCallback(() => {
    wishes.current++;
    show(undefined);
  }, [show]);

  const open = useCallback(async (wish: CaptureWish) => {
    const mine = ++wishes.current;
    setTrouble(undefined);
    try {
      const found = await capture(wish);
      if (mine !== wishes.current) return release(found);
      // A track that ends by itself was taken back: nothing is shown that is not there.
      found.getVideoTracks()[0]?.addEventListener("ended", () => current.current === found && close());
      show(found);
      setCameras(await devicesOf("videoinput"));
      setMicrophones(await devicesOf("audioinput"));
    } catch (error) {
      if (mine !== wishes.current) return;
      show(undefined);
      setTrouble(wordsOf(error));
    }
  }, [show, close]);

  useEffect(() => close, [close]);
  return { media, cameras, microphones, trouble, open, close };
}
