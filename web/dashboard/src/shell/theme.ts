// Dark, light, or as the system says.

import { useSyncExternalStore } from "react";

export type Theme = "dark" | "light";
export type ThemeChoice = Theme | "system";

const STORED = "weir-theme";
const system = window.matchMedia("(prefers-color-scheme: light)");
const listeners = new Set<() => void>();

function choice(): ThemeChoice {
  const stored = localStorage.getItem(STORED);
  return stored === "dark" || stored === "light" ? stored : "system";
}

function theme(): Theme {
  const chosen = choice();
  return chosen === "system" ? (system.matches ? "light" : "dark") : chosen;
}

export function applyTheme(): void {
  document.documentElement.dataset["theme"] = theme();
  listeners.forEach((listener) => listener());
}

export function chooseTheme(chosen: ThemeChoice): void {
  if (chosen === "system") localStorage.removeItem(STORED);
  else localStorage.setItem(STORED, chosen);
  applyTheme();
}

system.addEventListener("change", applyTheme);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What is shown, and what was chosen. */
export function useTheme(): [Theme, ThemeChoice] {
  return [useSyncExternalStore(subscribe, theme), useSyncExternalStore(subscribe, choice)];
}
