// What cases may call besides the kernel's own helpers: one function, as a helper and as a kfunc, that depends on every bit of its arguments.
import type { Kernel } from "@bpfkit/kernel";

/** Number of the helper. */
export const MIX = 1_000_001;
/** Name of the kfunc. */
export const MIX_KFUNC = "conformance_mix";

/** Σ aᵢ × (2i + 3), 64 bits. */
export function mix(args: readonly bigint[]): bigint {
  return BigInt.asUintN(
    64,
    args.reduce((sum, value, i) => sum + value * BigInt(2 * i + 3), 0n),
  );
}

/** Supplies both to a kernel. */
export function setUpKernel(kernel: Kernel): void {
  kernel.registerHelper(MIX, ({ args }) => mix(args));
  kernel.defineKfunc(MIX_KFUNC, ({ args }) => mix(args));
}
