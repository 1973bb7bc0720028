// What a menu calls the sounds of a stream.

export interface Sound {
  name: string;
  lang?: string | undefined;
}

/** The source's own word for a sound; where it only says which language it is, that in words of the reader's. */
export function soundName({ name, lang }: Sound, reader?: string): string {
  if (!lang || !/^[a-z]{3}$/.test(name)) return name;
  try {
    return new Intl.DisplayNames(reader ? [reader] : undefined, { type: "language" }).of(lang) ?? name;
  } catch {
    // Not a language that browsers know the form of.
    return name;
  }
}
