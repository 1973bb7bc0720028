// The last minutes of one figure as a line. Painted on a canvas, outside React: fifty of them a second cost next to nothing.

import { useEffect, useRef } from "react";
import { onSamples, series } from "../live/history";
import { useTheme } from "../shell/theme";

/** Two minutes: what an eye takes in at this size. */
const SHOWN_SECONDS = 120;

/** A second is a pixel and a half: every other one is soon enough. */
const PAINTED_EVERY_MS = 1_900;

export function Sparkline({ of, label, tone = "accent" }: { of: string; label: string; tone?: "accent" | "bad" | "idle" }) {
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
    const drawSometimes = () => Date.now() - paintedAt >= PAINTED_EVERY_MS && draw();
    const seen = new IntersectionObserver(([entry]) => {
      visible = entry?.isIntersecting ?? true;
      draw();
    });
    seen.observe(element);
    const stop = onSamples(drawSometimes);
    return () => {
      stop();
      seen.disconnect();
    };
  }, [of, tone, theme]);
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
  const [line, newest] = [new Path2D(), series(key)];
  let most = 1;
  const end = newest.lastTime;
  newest.each((time, value) => {
    if (time >= end - SHOWN_SECONDS) most = Math.max(most, value);
  });
  let [first, last, drawn] = [0, 0, 0];
  newest.each((time, value) => {
    if (time < end - SHOWN_SECONDS) return;
    const x = width - ((end - time) / SHOWN_SECONDS) * width;
    const y = height - 2 - (value / (most * 1.15)) * (height - 4);
    if (drawn++ === 0) line.moveTo((first = x), y);
    else line.lineTo(x, y);
    last = x;
  });
  if (drawn < 2) return;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.stroke(line);
  const area = new Path2D(line);
  area.lineTo(last, height);
  area.lineTo(first, height);
  area.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = colour;
  context.fill(area);
  context.globalAlpha = 1;
}
