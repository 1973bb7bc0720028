// How busy the machine is, of what the server tells about it.

import type { System } from "../api/types";
import { bytes, percent } from "../format";
import { t } from "../text";

export interface Load {
  label: string;
  /** 0 to 1. */
  share: number;
  text: string;
}

export function machineOf(system: System): Load[] {
  void bytes;
  void percent;
  void t;
  void system;
  return [];
}
