// What a graph draws of samples: on one axis of time, with gaps where nothing was measured, and a scale that no burst squashes. Pure.

import type { Sample } from "../live/history";

/** As uPlot has it: `null` is a gap, and over `undefined` the line goes on. */
export type Column = (number | null | undefined)[];

/** Puts series side by side. One that lacks a second that another has is joined over it; one that lacks more than `gapSeconds`, or
 *  twice its own step where that is longer, is not. */
export function aligned(all: Sample[][], gapSeconds: number): { times: number[]; columns: Column[] } {
  const rows = new Map<number, Column>();
  const put = (time: number, at: number, value: number | null) => {
    const second = Math.round(time);
    let row = rows.get(second);
    if (!row) rows.set(second, (row = new Array<number | null | undefined>(all.length).fill(undefined)));
    row[at] = value;
  };
  all.forEach((samples, at) => {
    const gap = Math.max(gapSeconds, 2 * stepOf(samples));
    let before: number | undefined;
    for (const [time, value] of samples) {
      if (before !== undefined && time - before > gap) put(before + 1, at, null);
      put(time, at, Number.isNaN(value) ? null : value);
      before = time;
    }
  });
  const times = [...rows.keys()].sort((one, other) => one - other);
  return { times, columns: all.map((_, at) => times.map((time) => rows.get(time)?.[at])) };
}

/** The least distance of two samples: the server's steps of ten seconds, or the seconds that the page has seen. */
function stepOf(samples: Sample[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (let at = 1; at < samples.length; at++) least = Math.min(least, (samples[at]?.[0] ?? 0) - (samples[at - 1]?.[0] ?? 0));
  return Number.isFinite(least) ? least : 0;
}

/** Nine samples: a burst of four does not move their median, and what lasts for five is no burst. */
const WINDOW = 9;

/** The highest value that lasts: an encoder's first burst may leave the picture at the top, but does not make all else a line at the
 *  bottom. */
export function top(column: Iterable<number | null | undefined>): number {
  const values: number[] = [];
  for (const value of column) if (value != null) values.push(value);
  let highest = 0;
  for (let end = Math.min(WINDOW, values.length); end <= values.length && end > 0; end++) {
    const window = values.slice(Math.max(0, end - WINDOW), end).sort((one, other) => one - other);
    highest = Math.max(highest, values.length < WINDOW ? (window.at(-1) ?? 0) : (window[WINDOW >> 1] ?? 0));
  }
  // A wobble around what lasts is no burst.
  const most = Math.max(0, ...values);
  return most <= highest * 1.5 ? most : highest;
}
