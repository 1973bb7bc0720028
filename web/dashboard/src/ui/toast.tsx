// A word after a change, or why it failed; gone by itself.

import { CircleAlert, CircleCheck } from "lucide-react";
import { useSyncExternalStore } from "react";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = { good: 3_000, bad: 8_000 };

let toasts: readonly Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function set(to: readonly Toast[]): void {
  toasts = to;
  listeners.forEach((listener) => listener());
}

function show(text: string, bad: boolean): void {
  const id = next++;
  set([...toasts.slice(-2), { id, text, bad }]);
  window.setTimeout(() => set(toasts.filter((toast) => toast.id !== id)), bad ? SHOWN_MS.bad : SHOWN_MS.good);
}

export const toast = {
  good: (text: string) => show(text, false),
  bad: (error: unknown) => show(error instanceof Error ? error.message : String(error), true),
};

export function Toasts() {
  const shown = useSyncExternalStore((listener) => (listeners.add(listener), () => listeners.delete(listener)), () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map(({ id, text, bad }) => (
        <p key={id} className={`toast ${bad ? "bad" : "good"}`}>
          {bad ? <CircleAlert aria-hidden size={16} /> : <CircleCheck aria-hidden size={16} />}
          {text}
        </p>
      ))}
    </div>
  );
}
