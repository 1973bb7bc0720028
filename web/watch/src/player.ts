// Every player of the page has this interface, whichever way it plays.

import type { Stat } from "./stats";

export interface Choice {
  value: string;
  label: string;
  isDisabled?: boolean;
}

/** Whom a player tells. */
export interface PlayerTold {
  onQualities: (choices: Choice[], chosen: string) => void;
  /** Languages; none where there is nothing to choose. */
  onSounds: (choices: Choice[], chosen: string) => void;
}

export interface Player {
  end: () => void;
  chooseQuality: (value: string) => void;
  chooseSound: (value: string) => void;
  /** How far behind the live edge it plays, in seconds; 0 where nobody knows. */
  behindSeconds: () => number;
  stats: () => Stat[];
}
