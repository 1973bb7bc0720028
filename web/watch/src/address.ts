// What the page's address says: which stream, and the token that opens it.

export interface Address {
  name: string;
  /** The multivariant playlist, with the token where there is one. */
  playlist: string;
}

/** `/watch/<name>?token=...`, below whatever a proxy put in front. */
export function readAddress(location: Pick<Location, "pathname" | "search">): Address {
  const [, base = "", name = ""] = /^(.*)\/watch\/([^/]+)\/?$/.exec(location.pathname) ?? [];
  const token = new URLSearchParams(location.search).get("token");
  const query = token ? `?token=${encodeURIComponent(token)}` : "";
  return { name: decodeURIComponent(name), playlist: `${base}/play/${name}/master.m3u8${query}` };
}
