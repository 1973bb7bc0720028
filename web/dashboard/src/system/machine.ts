// How busy the machine is, of what the server tells about it.

import type { Load, System } from "../api/types";
import { bytes, percent } from "../format";
import { t } from "../text";

export interface Share {
  label: string;
  /** 0 to 1. */
  share: number;
  text: string;
}

export function machineOf(system: System | undefined, told: Load | undefined): Share[] {
  const load = told ?? system?.load;
  const shares: Share[] = [];
  const add = (label: string, used: number | null | undefined, total: number | null | undefined, text: string) => {
    if (used != null && total) shares.push({ label, share: used / total, text });
  };
  add(t.system.cpu, load?.cpu_percent, 100, percent(load?.cpu_percent));
  const memory = load?.memory_total_bytes && load.memory_available_bytes != null ? load.memory_total_bytes - load.memory_available_bytes : undefined;
  add(t.system.memory, memory, load?.memory_total_bytes, bytes(memory));
  for (const { index, utilization_percent, encoder_percent } of system?.gpus ?? []) {
    add(t.system.gpu(index), utilization_percent, 100, percent(utilization_percent));
    add(t.system.encoder(index), encoder_percent, 100, percent(encoder_percent));
  }
  const disk = system?.disk;
  if (disk) add(t.system.disk, disk.total_bytes - disk.available_bytes, disk.total_bytes, t.system.free(bytes(disk.available_bytes)));
  return shares;
}

/** How much of the CPU encoding in software has been given: what does not fit any more is refused. */
export function encodingOf({ transcoding: { cores, cores_free } }: System): Share {
  const taken = Math.max(0, cores - cores_free);
  return { label: t.system.encoding, share: cores ? taken / cores : 0, text: t.system.coresTaken(taken.toFixed(1), String(cores)) };
}
