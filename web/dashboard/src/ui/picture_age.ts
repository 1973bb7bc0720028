// A picture of a stream with the moment that it shows.

export interface Shown {
  /** The picture itself, as an address: nothing that has to be given back. */
  url: string;
  /** When the stream showed it, by our clock. */
  at: number;
}

/** A picture is looked for every five seconds, and keyframes may lie some seconds apart. */
const OLD_MS = 10_000;
/** As the server has it: what is older says nothing of now. */
const GONE_MS = 30_000;

export const isOld = ({ at }: Shown, now: number): boolean => now - at > OLD_MS;
export const isGone = ({ at }: Shown, now: number): boolean => now - at > GONE_MS;

/** The newest one; undefined where there is none, and `unknown` where the server can't be asked: what is shown grows old meanwhile. */
export async function fetchPicture(stream: number): Promise<Shown | undefined | "unknown"> {
  try {
    const response = await fetch(`/api/v1/streams/${stream}/thumbnail.jpg`, { credentials: "same-origin", cache: "no-store" });
    if (response.status === 404) return undefined;
    if (!response.ok) return "unknown";
    const at = Date.now() - Number(response.headers.get("age") ?? 0) * 1_000;
    return { url: await addressOf(await response.blob()), at };
  } catch {
    return "unknown";
  }
}

function addressOf(picture: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("the picture can't be read"));
    reader.readAsDataURL(picture);
  });
}
