// A bad path for UDP: testkit's relay, as a process. Packets are lost now and then, come late, and find a narrow way back.

import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

export interface BadPath {
  lossPercent: number;
  /** In each direction: half of the round trip. */
  delayMs: number;
}

export class UdpRelay {
  private constructor(
    readonly port: number,
    private readonly child: ChildProcess,
  ) {}

  static async to(address: string, { lossPercent, delayMs }: BadPath): Promise<UdpRelay> {
    const binary = join(dirname(process.env["WEIR_BIN"] ?? "../target/debug/weir"), "weir-udp-relay");
    const child = spawn(binary, [address, String(lossPercent), String(delayMs)], { stdio: ["pipe", "pipe", "inherit"] });
    const port = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`the relay ended with ${code}`)));
      createInterface({ input: child.stdout }).once("line", (line) => resolve(Number(line)));
    });
    return new UdpRelay(port, child);
  }

  /** Makes the way back to the browser as narrow as that; null makes it wide again. */
  narrow(bitsPerSecond: number | null): void {
    this.child.stdin?.write(`${bitsPerSecond ?? 0}\n`);
  }

  stop(): void {
    this.child.removeAllListeners("exit");
    this.child.kill();
  }
}
