// The last minutes of one figure as a line. Painted on a canvas, outside React: fifty of them a second cost next to nothing.

import { useEffect, useRef } from "react";
import { isAwake, onAwake } from "../live/awake";
import { GAP_SECONDS, onSamples, type Sample, series } from "../live/history";
import { readPast, type Subject } from "../live/past";
import { useTheme } from "../shell/theme";
import { aligned, top } from "./chart_data";

/** Two minutes: what an eye takes in at this size. */
const SHOWN_SECONDS = 120;

/** A second is a pixel and a half: every other one is soon enough. */
const PAINTED_EVERY_MS = 1_900;

interface SparklineProps {
  of: string;
  /** Whose figure it is: what was before this page was opened is read once somebody sees the line. */
  subject: Subject;
  label: string;
  tone?: "accent" | "bad" | "idle";
}

export function Sparkline({ of, subject: { kind, id }, label, tone = "accent" }: SparklineProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [theme] = useTheme();
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    let visible = true;
    const colour = getComputedStyle(element).color;
    let paintedAt = 0;
    const draw = () => {
      if (visible) paint(element, of, colour);
      paintedAt = Date.now();
    };
    const look = () => {
      if (visible) void readPast({ kind, id }, SHOWN_SECONDS).then(draw);
      draw();
    };
    const drawSometimes = () => Date.now() - paintedAt >= PAINTED_EVERY_MS && draw();
    const seen = new IntersectionObserver(([entry]) => {
      visible = entry?.isIntersecting ?? true;
      look();
    });
    seen.observe(element);
    const stop = onSamples(drawSometimes);
    const forgetAwake = onAwake(() => isAwake() && look());
    return () => {
      stop();
      forgetAwake();
      seen.disconnect();
    };
  }, [of, kind, id, tone, theme]);
  return <canvas ref={canvas} className={`sparkline tone-${tone}`} role="img" aria-label={label} />;
}

function paint(canvas: HTMLCanvasElement, key: string, colour: string): void {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const newest = series(key);
  const end = newest.lastTime;
  const shown: Sample[] = [];
  newest.each((time, value) => {
    if (time >= end - SHOWN_SECONDS) shown.push([time, value]);
  });
  const { times, columns: [values = []] } = aligned([shown], GAP_SECONDS);
  const most = Math.max(1, top(values));
  const [line, area] = [new Path2D(), new Path2D()];
  let [first, last, drawn] = [0, 0, 0];
  const close = () => {
    area.lineTo(last, height);
    area.lineTo(first, height);
    area.closePath();
  };
  let isOpen = false;
  times.forEach((time, at) => {
    const value = values[at];
    if (value == null) {
      if (isOpen) close();
      isOpen = false;
      return;
    }
    const x = width - ((end - time) / SHOWN_SECONDS) * width;
    const y = height - 2 - (Math.min(value, most * 1.15) / (most * 1.15)) * (height - 4);
    for (const path of [line, area]) {
      if (isOpen) path.lineTo(x, y);
      else path.moveTo(x, y);
    }
    if (!isOpen) first = x;
    [last, isOpen] = [x, true];
    drawn++;
  });
  if (drawn < 2) return;
  if (isOpen) close();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.stroke(line);
  context.globalAlpha = 0.12;
  context.fillStyle = colour;
  context.fill(area);
  context.globalAlpha = 1;
}
