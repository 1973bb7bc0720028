// The page's address says which stream is played, by which token, and in which way.

/** Ways to play, the quickest first. */
export const WAYS = ["webrtc", "ll-hls", "hls"] as const;
export type Way = (typeof WAYS)[number];

export interface Address {
  name: string;
  /** The multivariant playlist, with the token where there is one. */
  playlist: string;
  /** Where to post an offer for a rendition, and for a language; without them the server chooses. */
  whep: (rendition?: string, language?: string) => string;
  /** What the viewer has chosen. */
  way: Way | undefined;
}

/** `/watch/<name>?token=...&way=...`, below whatever a proxy put in front. */
export function readAddress(location: Pick<Location, "pathname" | "search">): Address {
  const [, base = "", name = ""] = /^(.*)\/watch\/([^/]+)\/?$/.exec(location.pathname) ?? [];
  const asked = new URLSearchParams(location.search);
  const token = asked.get("token");
  const query = (more: Record<string, string | undefined>) => {
    const given = Object.entries(more).flatMap(([key, value]) => (value ? [`${key}=${encodeURIComponent(value)}`] : []));
    return given.length > 0 ? `?${given.join("&")}` : "";
  };
  return {
    name: decodeURIComponent(name),
    playlist: `${base}/play/${name}/master.m3u8${query({ token: token ?? undefined })}`,
    whep: (rendition, audio) => `${base}/whep/${name}${query({ rendition, audio, token: token ?? undefined })}`,
    way: WAYS.find((way) => way === asked.get("way")),
  };
}

/** The same address with another way to play. */
export function withWay(href: string, way: Way): string {
  const url = new URL(href);
  url.searchParams.set("way", way);
  return url.href;
}
