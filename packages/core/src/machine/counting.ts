// The run reading with a ledger: what instructions do to memory and to the flow of control.
import type { CpuCounts } from "../jit/backend.ts";
import type { AtomicOp, Flow, Size } from "./ops.ts";
import { Run, type RunOptions } from "./run.ts";

/** A {@link Run} that counts. */
export class CountingRun extends Run implements CpuCounts {
  loads = 0;
  stores = 0;
  branches = 0;
  lowestStack: bigint | undefined = undefined;
  readonly #stackPointer: number;

  /** @param stackPointer - number of the register whose lowest value is kept */
  constructor(options: RunOptions, stackPointer: number) {
    super(options);
    this.#stackPointer = stackPointer;
  }

  override load(size: Size, address: bigint): bigint {
    this.loads++;
    return super.load(size, address);
  }

  override store(size: Size, address: bigint, value: bigint): void {
    this.stores++;
    super.store(size, address, value);
  }

  /** An atomic access is a load and a store. */
  override atomic(op: AtomicOp, size: Size, address: bigint, value: bigint, expected?: bigint): bigint {
    this.loads++;
    this.stores++;
    return super.atomic(op, size, address, value, expected);
  }

  override set(reg: number, value: bigint): void {
    super.set(reg, value);
    if (reg === this.#stackPointer && !(this.lowestStack !== undefined && this.lowestStack <= value))
      this.lowestStack = value;
  }

  override branch(condition: bigint, target: bigint): void {
    this.branches++;
    super.branch(condition, target);
  }

  override jump(target: bigint, flow: Flow): void {
    this.branches++;
    super.jump(target, flow);
  }
}
