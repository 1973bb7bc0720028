// The states of streams and restreams: a dot, a word, a colour. The word is always there, colour alone says nothing.

import type { RestreamState, SourceState, StreamState } from "../api/types";
import { t } from "../text";

export type Tone = "good" | "busy" | "wait" | "bad" | "idle";

const TONES: Record<StreamState | RestreamState | SourceState, Tone> = {
  live: "good",
  streaming: "good",
  starting: "busy",
  connecting: "busy",
  awaiting_stream: "wait",
  stalled: "bad",
  failed: "bad",
  error: "bad",
  failing: "bad",
  offline: "idle",
  absent: "idle",
  stopped: "idle",
};

export function toneOf(state: string): Tone {
  return TONES[state as StreamState] ?? "idle";
}

export function StateBadge({ state, solid }: { state: string; solid?: boolean }) {
  return (
    <span className={`state ${toneOf(state)} ${solid ? "solid" : ""}`} data-state={state}>
      <span className="dot" aria-hidden />
      {t.states[state as StreamState] ?? state}
    </span>
  );
}

export function Dot({ tone }: { tone: Tone }) {
  return <span className={`dot alone ${tone}`} aria-hidden />;
}
