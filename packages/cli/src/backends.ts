// The architectures that the command knows. Another backend is one line here.
import { arm64 } from "@bpfkit/arm64";
import type { Backend } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";

/** In the order in which they are offered. */
export const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
