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

/** What newer servers say of their graphics cards and disks. */
interface Hardware {
  gpus?: Gpu[] | null;
  disk?: Disk | null;
}

interface Gpu {
  name: string;
  utilisation_percent?: number | null;
  encoder_percent?: number | null;
  memory_used_bytes?: number | null;
  memory_total_bytes?: number | null;
}

interface Disk {
  total_bytes: number;
  free_bytes: number;
}

export function machineOf(system: System | undefined, load: Load | undefined): Share[] {
  const shares: Share[] = [];
  const add = (label: string, used: number | null | undefined, total: number | null | undefined, text: string) => {
    if (used != null && total) shares.push({ label, share: used / total, text });
  };
  add(t.system.cpu, load?.cpu_percent, 100, percent(load?.cpu_percent));
  const memory = load?.memory_total_bytes && load.memory_available_bytes != null ? load.memory_total_bytes - load.memory_available_bytes : undefined;
  add(t.system.memory, memory, load?.memory_total_bytes, bytes(memory));
  const { gpus, disk } = (system ?? {}) as Hardware;
  for (const [at, gpu] of (gpus ?? []).entries()) {
    add(t.system.gpu(at), gpu.utilisation_percent, 100, percent(gpu.utilisation_percent));
    add(t.system.encoder(at), gpu.encoder_percent, 100, percent(gpu.encoder_percent));
  }
  if (disk) add(t.system.disk, disk.total_bytes - disk.free_bytes, disk.total_bytes, t.system.free(bytes(disk.free_bytes)));
  return shares;
}
