// The servers that help a browser find its way (STUN, TURN), as the answer to an offer names them in its Link header.

/** `<turn:host:3478?transport=udp>; rel="ice-server"; username="weir"; credential="secret"; credential-type="password"`, with commas between. */
export function iceServersOf(links: string | null): RTCIceServer[] {
  // A comma or a semicolon within quotes or brackets parts nothing.
  return apart(links ?? "", ",").flatMap((link) => {
    const [target = "", ...parameters] = apart(link, ";").map((part) => part.trim());
    const url = /^<(.+)>$/.exec(target)?.[1];
    const of = new Map(parameters.map((parameter) => named(parameter)));
    if (!url || of.get("rel") !== "ice-server") return [];
    const [username, credential] = [of.get("username"), of.get("credential")];
    return [{ urls: url, ...(username !== undefined && credential !== undefined ? { username, credential } : {}) }];
  });
}

function apart(text: string, separator: string): string[] {
  return text.match(new RegExp(`(?:"(?:[^"\\\\]|\\\\.)*"|<[^>]*>|[^"<${separator}])+`, "g")) ?? [];
}

function named(parameter: string): [string, string] {
  const [name = "", value = ""] = parameter.split(/=(.*)/s);
  return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/s, "$1").replace(/\\(.)/g, "$1")];
}
