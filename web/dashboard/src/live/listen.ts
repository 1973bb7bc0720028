// A page's end of the connection that all pages share: it says that it is there while somebody looks, and hands on what is told.

import { isAwake, onAwake } from "./awake";
import { type Page, Relay, type Said, SAID_EVERY_MS, type Told } from "./relay";

/** Where the worker lies; put in when the pages are built. */
declare const RELAY_WORKER: string;

export interface Hearer {
  /** From now on everything is told; what was before was missed. */
  onJoined?: () => void;
  onOpen?: () => void;
  onLost: () => void;
  /** Nobody looks: nothing more is told, and what is shown grows old until somebody does. */
  onRest: () => void;
  onHeard: (type: string, data: string) => void;
}

/** Listens for whoever is logged in, until the returned function is called. */
export function listen(session: string, hearers: Hearer[]): () => void {
  let port: MessagePort;
  const say = (said: Said) => port.postMessage(said);
  const hear = ({ data: told }: MessageEvent<Told>) => {
    for (const hearer of hearers) {
      if (told.tell === "joined") hearer.onJoined?.();
      else if (told.tell === "open") hearer.onOpen?.();
      else if (told.tell === "lost") hearer.onLost();
      else hearer.onHeard(told.type, told.data);
    }
  };
  const use = (next: MessagePort) => {
    port = next;
    port.onmessage = hear;
    if (isAwake()) say({ say: "watch", session });
  };
  use(shared(() => use(own())) ?? own());

  const timer = window.setInterval(() => isAwake() && say({ say: "watch", session }), SAID_EVERY_MS);
  const forgetAwake = onAwake(() => {
    say(isAwake() ? { say: "watch", session } : { say: "leave" });
    if (!isAwake()) hearers.forEach(({ onRest }) => onRest());
  });
  return () => {
    window.clearInterval(timer);
    forgetAwake();
    say({ say: "leave" });
    port.onmessage = null;
  };
}

/** Of the worker that all pages share; none where the browser has no such thing, and `onFail` where it can't be started. */
function shared(onFail: () => void): MessagePort | undefined {
  if (typeof SharedWorker === "undefined") return undefined;
  try {
    const worker = new SharedWorker(RELAY_WORKER, "weir");
    worker.onerror = onFail;
    return worker.port;
  } catch {
    return undefined;
  }
}

/** In this page: a connection to a page, given back while it is hidden. */
function own(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  new Relay().accept(port2 satisfies Page);
  return port1;
}
