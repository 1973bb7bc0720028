// A sign for each platform, drawn here: enough to tell tiles apart.

import { Antenna, Server } from "lucide-react";

const COLOURS: Record<string, string> = { youtube: "#ff0033", twitch: "#9146ff", facebook: "#0866ff", kick: "#0e1a0c", x: "#0f1419", instagram: "#d62976", tiktok: "#121212" };

export function PlatformMark({ id, size = 28 }: { id: string; size?: number }) {
  const colour = COLOURS[id];
  if (!colour) {
    const Icon = id.includes("srt") ? Antenna : Server;
    return <span className="mark plain" style={{ width: size, height: size }} aria-hidden><Icon size={size * 0.56} /></span>;
  }
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <rect width="32" height="32" rx="8" fill={colour} />
      {id === "youtube" && <path d="M13 10.5v11l9-5.5z" fill="#fff" />}
      {id === "twitch" && <path d="M9 8h15v10l-4 4h-4l-3 3v-3H9zm6 4v5m5-5v5" fill="none" stroke="#fff" strokeWidth="2.2" strokeLinejoin="round" strokeLinecap="round" />}
      {id === "facebook" && <path d="M17.5 26v-9h3l.5-3.6h-3.500v-2.300c0-1 .4-1.700 1.800-1.700H21V6.200C20.600 6.100 19.600 6 18.500 6c-2.600 0-4.300 1.600-4.300 4.500v2.900H11V17h3.200v9z" fill="#fff" />}
      {id === "x" && <path d="M9 9l14 14M23 9L9 23" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />}
      {id === "instagram" && <path d="M12 8h8a4 4 0 014 4v8a4 4 0 01-4 4h-8a4 4 0 01-4-4v-8a4 4 0 014-4zm4 4.500a3.500 3.500 0 100 7 3.500 3.500 0 000-7z" fill="none" stroke="#fff" strokeWidth="2.2" />}
      {id === "tiktok" && <path d="M17 8v11.500a3.500 3.500 0 11-3.500-3.500M17 8c.3 3 2.200 4.800 5 5" fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" />}
      {id === "kick" && <path d="M9 7h5v5l2.500-2.500V7H22v5l-3.500 4 3.500 4v5h-5.500v-2.500L14 20v5H9z" fill="#53fc18" />}
    </svg>
  );
}

const HOSTS: [RegExp, string][] = [[/youtube|googlevideo/, "youtube"], [/twitch|live-video\.net\/app$|justin\.tv/, "twitch"], [/facebook|fbcdn/, "facebook"], [/kick\.com|live-video\.net/, "kick"], [/pscp\.tv|periscope\.tv/, "x"], [/instagram\.com/, "instagram"], [/tiktok/, "tiktok"]];

/** By the address alone, where no destination says it. */
export function platformOf(uri: string | null | undefined): string {
  const scheme = uri?.split(":")[0] || "rtmp";
  return HOSTS.find(([pattern]) => uri && pattern.test(uri))?.[1] ?? `generic-${scheme === "rtmps" ? "rtmp" : scheme}`;
}
