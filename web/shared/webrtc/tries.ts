// When a connection that was lost is tried again.

/** At once, then after half a second, a second and a half, and so on to eight seconds. */
const WAITS_MS = [0, 500, 1_500, 3_000, 5_000, 8_000];

/** `failed`: attempts in a row that came to nothing. */
export function againAfterMs(failed: number): number {
  return WAITS_MS[Math.min(failed, WAITS_MS.length - 1)] ?? 0;
}

/** Browsers call a connection disconnected when its checks go unanswered for some seconds. It may still recover, for so long. */
const RECOVERS_WITHIN_MS = 2_000;

/** Calls `lost` once when the connection is over: said by the far end, found out by the browser, or not recovered from. */
export function whenLost(peer: RTCPeerConnection, lost: () => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const over = () => {
    clearTimeout(timer);
    if (!isOver) lost();
    isOver = true;
  };
  const look = () => {
    clearTimeout(timer);
    if (peer.connectionState === "failed" || peer.connectionState === "closed") over();
    else if (peer.connectionState === "disconnected") timer = setTimeout(over, RECOVERS_WITHIN_MS);
  };
  peer.addEventListener("connectionstatechange", look);
  // A far end that says goodbye closes DTLS, which not every browser tells as a state of the connection. The transport is there once the
  // state changes for the first time.
  const hear = () => {
    const transports = new Set([...peer.getReceivers(), ...peer.getSenders()].map(({ transport }) => transport));
    for (const transport of transports) transport?.addEventListener("statechange", () => transport.state === "closed" && over());
  };
  peer.addEventListener("connectionstatechange", hear, { once: true });
}
