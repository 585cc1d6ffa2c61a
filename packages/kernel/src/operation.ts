// Changes of the kernel's state as steps, so that other CPUs can run between any two of them.
import { BpfError, type PokeTrap } from "@bpfkit/core";
import type { ReaderKind } from "./rcu.ts";

/** What one operation holds at a time. */
export class Mutex {
  readonly name: string;
  #held = false;

  constructor(name: string) {
    this.name = name;
  }

  get held(): boolean {
    return this.#held;
  }

  /** For the operation whose `lock` step was granted. */
  take(): void {
    if (this.#held) throw new BpfError("argument", `${this.name} is held (EBUSY)`);
    this.#held = true;
  }

  give(): void {
    this.#held = false;
  }
}

/** What happens at a breakpoint that a plan puts into code, with the code of `resume` as it belongs there. */
export interface ArmedTrap extends PokeTrap {
  readonly code: Uint8Array;
}

/** What an operation is about to do when it yields. */
export type Step =
  /** Takes a mutex; must not go on while it is held. */
  | { readonly kind: "lock"; readonly mutex: Mutex }
  | { readonly kind: "unlock"; readonly mutex: Mutex }
  /** Puts something into memory that nothing leads to yet; `what` names it. */
  | { readonly kind: "make"; readonly what: string }
  /** Stores bytes that CPUs read, in one go; `what` names them. The `trap` of its plan is in force from here on. */
  | {
      readonly kind: "write";
      readonly what: string;
      readonly address: bigint;
      readonly bytes: Uint8Array;
      readonly trap?: ArmedTrap;
    }
  /** The same for very many sites, whose bytes lie one behind the other: in one step, as nothing orders them before the next sync. */
  | {
      readonly kind: "write-sites";
      readonly what: string;
      readonly addresses: Float64Array;
      /** Bytes of each. */
      readonly size: number;
      readonly bytes: Uint8Array;
      readonly traps?: () => readonly ArmedTrap[];
    }
  /** Makes every CPU forget the instructions that it has fetched. It ends the plans of these `traps`: behind it they are not in force. */
  | { readonly kind: "sync-cores"; readonly traps?: readonly ArmedTrap[] }
  /** Must not go on while a CPU, or a context put aside, has its pc from `from` to below `to`. */
  | { readonly kind: "wait-clear"; readonly from: bigint; readonly to: bigint }
  /** The same for bytes `from` to below `to` of very many sites. */
  | { readonly kind: "wait-clear-sites"; readonly addresses: Float64Array; readonly from: number; readonly to: number }
  /** Must not go on while a run of these kinds is in progress that had begun when the step was reached. */
  | { readonly kind: "wait-readers"; readonly readers: readonly ReaderKind[] };

/**
 * A change of the kernel's state. It yields each step *before* it makes it, and makes it when it is resumed; in between, anything else may
 * happen. Whoever drives it sees to what a step has to wait for. `throw()` in place of `next()` means that the step failed: it is not made, and
 * the operation takes back what it has done, in further steps, and throws the error in the end. Steps that take back cannot fail: what is thrown into them
 * is dropped and they are made all the same.
 */
export type Operation<T> = Generator<Step, T, void>;

/** Makes every step of an operation, whatever is thrown into it. */
export function* surely<T>(operation: Operation<T>): Operation<T> {
  let result = operation.next();
  while (result.done !== true) {
    try {
      yield result.value;
    } catch {
      // What takes a change back goes on.
    }
    result = operation.next();
  }
  return result.value;
}

/** What a mutex of its own holds together. */
interface Lockable {
  readonly mutex: Mutex;
}

/** Under the mutex of something. */
export function* locked<T>(what: Lockable, operation: () => Operation<T>): Operation<T> {
  const { mutex } = what;
  yield { kind: "lock", mutex };
  mutex.take();
  try {
    return yield* operation();
  } finally {
    yield* surely(unlock(mutex));
  }
}

function* unlock(mutex: Mutex): Operation<void> {
  yield { kind: "unlock", mutex };
  mutex.give();
}

/** One step as an operation, for {@link surely}. */
export function* one(step: Step): Operation<void> {
  yield step;
}

/**
 * Makes all steps at once, for when nothing else runs.
 *
 * @param blocked - why a step cannot be made now; it fails then, and the operation is taken back
 */
export function drain<T>(operation: Operation<T>, blocked: (step: Step) => BpfError | undefined): T {
  let result = operation.next();
  while (result.done !== true) {
    const reason = blocked(result.value);
    result = reason === undefined ? operation.next() : operation.throw(reason);
  }
  return result.value;
}
