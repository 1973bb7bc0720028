// Whether somebody may be looking at this page: not while it is hidden, nor after it was left, when browsers keep it for the way back.

import { useSyncExternalStore } from "react";

let left = false;
let awake = true;
const listeners = new Set<() => void>();

function look(): void {
  const now = !left && !document.hidden;
  if (now === awake) return;
  awake = now;
  listeners.forEach((listener) => listener());
}

// Tests of what needs no page run without one.
if (typeof document !== "undefined") {
  look();
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", () => ((left = true), look()));
  window.addEventListener("pageshow", () => ((left = false), look()));
}

export function isAwake(): boolean {
  return awake;
}

export function onAwake(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useAwake(): boolean {
  return useSyncExternalStore(onAwake, isAwake);
}
