// The verifier's rules as tables: what instructions do to what is known. A test replaces single entries to plant a mistake.
import { ALU, type AluOperation, type AluTransfer } from "./alu.ts";
import { BRANCH32, BRANCH64, type BranchTransfer, type Comparison } from "./branch.ts";
import { signExtend, swapBytes } from "./casts.ts";
import { truncate } from "./deduce.ts";
import { PRUNING, type Pruning } from "./equal.ts";
import { GUARDS, type Guards } from "./guards.ts";
import { REGIONS, type Regions } from "./regions.ts";
import { zeroExtend } from "./scalar.ts";

/** Rules of the verifier that a test can break one by one. */
export interface Tables {
  readonly alu: Readonly<Record<AluOperation, AluTransfer>>;
  readonly branch64: Readonly<Record<Comparison, BranchTransfer>>;
  readonly branch32: Readonly<Record<Comparison, BranchTransfer>>;
  /** Sign extensions, byte swaps, and what is left of a number that is loaded or copied in part. */
  readonly casts: {
    readonly signExtend: typeof signExtend;
    readonly swapBytes: typeof swapBytes;
    readonly truncate: typeof truncate;
    readonly zeroExtend: typeof zeroExtend;
  };
  /** What guards tell of pointers. */
  readonly guards: Guards;
  /** Bounds of accesses. */
  readonly regions: Regions;
  /** When one state is covered by another. */
  readonly pruning: Pruning;
}

/** The rules as they should be. */
export const TABLES: Tables = {
  alu: ALU,
  branch64: BRANCH64,
  branch32: BRANCH32,
  casts: { signExtend, swapBytes, truncate, zeroExtend },
  guards: GUARDS,
  regions: REGIONS,
  pruning: PRUNING,
};
