// Why there is nothing to see, in words, and when to look again.

/** What a viewer is told for an answer of the server; undefined: no answer at all. */
export function reasonOf(status: number | undefined): string {
  switch (status) {
    case 403:
      return "This stream is protected.\nThe link is not valid, or no longer.";
    case 404:
      return "There is no stream here.";
    case 429:
      return "Too many viewers from your network.\nTrying again…";
    case 503:
      return "The stream is offline.\nIt starts here by itself as soon as it is live.";
    case undefined:
      return "The server can't be reached.\nTrying again…";
    default:
      return "The stream can't be played at the moment.\nTrying again…";
  }
}

/** 2 s, growing to 10 s: a page left open over night asks little, and one that waits for the start is there soon. */
export function retryAfterMs(attempt: number): number {
  return Math.min(2_000 * 1.5 ** attempt, 10_000);
}
