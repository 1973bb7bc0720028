// What a menu calls the sounds of a stream, and which of them this browser can't play.

import type { ManifestLoadedData, MediaPlaylist } from "hls.js";

export interface Sound {
  name: string;
  lang?: string | undefined;
}

/** A sound that is there and can't be heard here, by what a menu calls it. */
export interface Silent {
  name: string;
  codec: string;
}

/** A language in the reader's words. */
export function languageName(code: string, reader?: string): string {
  try {
    return new Intl.DisplayNames(reader ? [reader] : undefined, { type: "language" }).of(code) ?? code;
  } catch {
    // Not a language that browsers know the form of.
    return code;
  }
}

/** The source's own word for a sound; where it only says which language it is, that in words of the reader's. */
export function soundName({ name, lang }: Sound, reader?: string): string {
  return /^[a-z]{3}$/.test(name) ? languageName(lang ?? name, reader) : name;
}

/** As people write them. */
const CODECS: Record<string, string> = { mp2: "MP2", ac3: "AC-3", "ac-3": "AC-3", eac3: "E-AC-3", "ec-3": "E-AC-3", opus: "Opus", mp3: "MP3" };

function codecName(codec: string): string {
  return CODECS[codec] ?? (codec.startsWith("mp4a.") ? "AAC" : codec);
}

/** Sounds that the server can't put into segments say so here: `mp2 fra;mp2 ita`. */
const LEFT_OUT = "weir.sounds-left-out";

/** The sounds that such a text names. */
export function leftOut(text: string): Silent[] {
  return text.split(";").flatMap((each) => {
    const [codec = "", name = ""] = each.split(/ (.*)/);
    return name ? [{ name, codec: codecName(codec) }] : [];
  });
}

/** What the playlist has beside the sounds that can be played: in groups for other players, or in no segment at all. */
export function silentSounds({ audioTracks, levels, sessionData }: Pick<ManifestLoadedData, "audioTracks" | "levels" | "sessionData">, playable: MediaPlaylist[]): Silent[] {
  const codecOf = (group: string) => {
    const level = levels.find(({ attrs }) => attrs["AUDIO"] === group);
    // The last one is what the group is for: before it stand those that play anywhere.
    return codecName((level?.attrs["CODECS"] ?? "").split(",").at(-1) ?? "");
  };
  const missing = leftOut(sessionData?.[LEFT_OUT]?.["VALUE"] ?? "").map(({ name, codec }) => ({ name: soundName({ name }), codec }));
  const all = [...audioTracks.map((track) => ({ name: soundName(track), codec: codecOf(track.groupId) })), ...missing];
  const heard = new Set(playable.map((track) => soundName(track)));
  const silent = new Map<string, Silent>();
  for (const sound of all) if (!heard.has(sound.name) && !silent.has(sound.name)) silent.set(sound.name, sound);
  return [...silent.values()];
}
