// qemu-user as judge: runs raw machine code through the runner of the oracle's harness, one request and one answer at a time.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const QEMU = {
  "x86-64": ["qemu-x86_64-static", "rawrun-amd64", "max"],
  arm64: ["qemu-aarch64-static", "rawrun-arm64", "max"],
  riscv64: ["qemu-riscv64-static", "rawrun-riscv64", "rv64"],
};

/**
 * Starts the runner of an architecture, or gives undefined where the harness was not set up. `ORACLE_DIR` is where its `setup.sh` put
 * things. A request is lines of the protocol that stands at the top of the harness's `user/rawrun.c`, one `run` in it; `ask` gives
 * their answers in order.
 */
export function startRunner(arch) {
  const [qemu, runner, cpu] = QEMU[arch];
  const path = join(process.env.ORACLE_DIR ?? join(homedir(), ".cache", "bpf-oracle"), runner);
  if (!existsSync(path)) return undefined;
  const child = spawn(qemu, ["-cpu", cpu, path], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    tell: (text) => child.stdin.write(text),
    async *ask(requests) {
      child.stdin.write(requests.join(""));
      for (const request of requests) {
        const { value } = await lines.next();
        if (value === undefined) throw new Error(`the runner ended at\n${request}`);
        yield JSON.parse(value);
      }
    },
    close: () => child.stdin.end(),
  };
}
