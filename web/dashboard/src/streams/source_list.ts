// A stream's list of sources, as it is sent back to the server: what is not changed stays as it was read.

import type { SourceInput, Stream } from "../api/types";

/** The same list, in which the source of that slot is pulled from another address. */
export function sourcesAs(sources: Stream["sources"], slot: string, uri: string): SourceInput[] {
  return sources.map((source) => (source.slot === slot ? { slot, kind: "pull", uri } : inputOf(source)));
}

export function inputOf({ slot, kind, uri, items, loop }: Stream["sources"][number]): SourceInput {
  return { slot, kind, ...(uri != null && { uri }), ...(items && { items }), ...(loop != null && { loop }) };
}
