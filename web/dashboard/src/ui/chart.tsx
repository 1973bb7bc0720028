// A graph of some series over the last minutes, by uPlot. It is fetched when the first graph is shown.

import { useEffect, useRef, useState } from "react";
import type uPlot from "uplot";
import { bitrate, clock } from "../format";
import { GAP_SECONDS, onSamples, type Sample, series } from "../live/history";
import { useTheme } from "../shell/theme";
import { aligned, top } from "./chart_data";

export interface Line {
  key: string;
  label: string;
  /** A custom property's name, `--chart-1`. */
  colour: string;
  dash?: number[];
  /** Kept straight: what it should be. */
  target?: number | null | undefined;
}

interface ChartProps {
  label: string;
  lines: Line[];
  height?: number;
  format?: (value: number) => string;
  /** How far back. */
  seconds?: number;
  /** What to draw instead of what this page saw: hours that the server remembers. */
  past?: ReadonlyMap<string, Sample[]> | undefined;
}

/** What says nothing is a line at the bottom, not an axis of zeros. */
const LEAST_BPS = 100_000;

/** From a minute to a quarter of a day, which a day has four of. */
const AXIS_STEPS_SECONDS = [60, 120, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600];

export function Chart({ label, lines, height = 180, format = bitrate, seconds = 300, past }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const [theme] = useTheme();
  const [ready, setReady] = useState(false);
  // Read by the plot, which is not made anew with each answer.
  const told = useRef(past);
  const redraw = useRef(() => {});
  // Anew only when other lines are wanted, not with each sample.
  const wanted = JSON.stringify(lines);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let plot: uPlot | undefined;
    let stop = () => {};
    let ended = false;
    void import("uplot").then(({ default: UPlot }) => {
      if (ended) return;
      const width = () => Math.max(200, element.clientWidth);
      plot = new UPlot(options(lines, { width: width(), height, format, seconds }, element), data(lines, told.current), element);
      setReady(true);
      const draw = () => plot?.setData(data(lines, told.current));
      redraw.current = draw;
      const stopSamples = onSamples(() => told.current || draw());
      const resized = new ResizeObserver(() => plot?.setSize({ width: width(), height }));
      resized.observe(element);
      stop = () => {
        stopSamples();
        resized.disconnect();
      };
    });
    return () => {
      ended = true;
      redraw.current = () => {};
      stop();
      plot?.destroy();
    };
  }, [wanted, height, theme, seconds]);
  useEffect(() => {
    told.current = past;
    redraw.current();
  }, [past]);
  return <div ref={box} className="chart" data-ready={ready || undefined} style={{ minHeight: height }} role="img" aria-label={label} />;
}

function data(lines: Line[], past: ReadonlyMap<string, Sample[]> | undefined): uPlot.AlignedData {
  const { times, columns } = aligned(
    lines.map(({ key }) => {
      const samples: Sample[] = past?.get(key) ?? [];
      if (!past) series(key).each((time, value) => samples.push([time, value]));
      return samples;
    }),
    GAP_SECONDS,
  );
  const targets = lines.filter(({ target }) => target != null).map(({ target }) => times.map(() => target ?? null));
  return [times, ...columns, ...targets] as uPlot.AlignedData;
}

function options(lines: Line[], { width, height, format, seconds }: { width: number; height: number; format: (value: number) => string; seconds: number }, element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--text-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px 'Inter Variable', sans-serif" };
  const drawn = lines.map((line): uPlot.Series => ({
    label: line.label,
    stroke: colour(line.colour),
    width: 1.5,
    spanGaps: false,
    points: { show: false },
    ...(line.dash ? { dash: line.dash } : {}),
    ...(lines.length === 1 ? { fill: fade(colour(line.colour)) } : {}),
    value: (_, value) => (value == null ? "–" : format(value)),
  }));
  const targets = lines
    .filter(({ target }) => target != null)
    .map((line): uPlot.Series => ({ label: "", stroke: colour(line.colour), width: 1, dash: [3, 5], points: { show: false }, alpha: 0.6 }));
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_, __, max) => [(max ?? 0) - seconds, max ?? 0] },
      y: { range: (plot) => [0, Math.max(...plot.data.slice(1).map(top), format === bitrate ? LEAST_BPS : 1) * 1.15] },
    },
    axes: [
      { ...axis, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => clock(tick * 1000).slice(0, 5)), incrs: AXIS_STEPS_SECONDS, space: 40, size: 26 },
      { ...axis, values: (_, ticks) => ticks.map(format), space: 34, size: 72 },
    ],
    series: [{}, ...drawn, ...targets],
    plugins: [tooltip(lines, format)],
  };
}

/** Colours are written `#rrggbb`, so that an alpha can be put behind. */
function fade(colour: string): uPlot.Series.Fill {
  return ({ bbox: { top, height }, ctx }: uPlot) => {
    // Before the first size is known there is nothing to fade over.
    if (!Number.isFinite(height) || height <= 0) return "transparent";
    const gradient = ctx.createLinearGradient(0, top, 0, top + height);
    gradient.addColorStop(0, `${colour}38`);
    gradient.addColorStop(1, `${colour}00`);
    return gradient;
  };
}

/** What the lines are at the pointer. */
function tooltip(lines: Line[], format: (value: number) => string): uPlot.Plugin {
  const tip = document.createElement("div");
  tip.className = "chart-tip";
  return {
    hooks: {
      init: (plot) => plot.over.append(tip),
      setCursor: (plot) => {
        const { idx, left = -1 } = plot.cursor;
        tip.hidden = idx == null || left < 0;
        if (idx == null || left < 0) return;
        const time = plot.data[0][idx] ?? 0;
        const rows = lines.map((line, at) => {
          const row = document.createElement("span");
          const value = plot.data[at + 1]?.[idx];
          row.textContent = `${line.label} ${value == null ? "–" : format(value)}`;
          return row;
        });
        const head = document.createElement("b");
        head.textContent = clock(time * 1000);
        tip.replaceChildren(head, ...rows);
        tip.style.transform = `translate(${left > plot.over.clientWidth / 2 ? left - tip.offsetWidth - 10 : left + 10}px, 6px)`;
      },
    },
  };
}

export function Legend({ lines }: { lines: Line[] }) {
  return (
    <ul className="legend">
      {lines.map(({ key, label, colour }) => (
        <li key={key}>
          <span className="swatch" style={{ background: `var(${colour})` }} aria-hidden />
          {label}
        </li>
      ))}
    </ul>
  );
}
