// Call trees as BPF: every subprogram tells in the context that it runs, and gives a number that depends on all its registers and stack.
import { assemble, type Program } from "@bpfkit/core";
import { type CallTree, TREE_ARRAYS, type TreeAction, type TreeBody, type TreeProgram } from "./call-trees.ts";
import { MIX, MIX_KFUNC } from "./host.ts";

/** Bytes of the context: four words, and room for so many events of two bytes. */
const EVENTS = 240;
const FIRST_EVENT = 32;
/** Size of the context that call trees run with; zeros at first. */
export const TREE_CONTEXT: number = FIRST_EVENT + 2 * EVENTS;

/** What a run has left in its context. */
export interface TreeTrace {
  /** Events: a subprogram has begun, or a tail call of it has failed. */
  readonly count: number;
  /** Depends on all of them, in their order. */
  readonly digest: bigint;
  /** Main subprograms that have begun: one more than there were tail calls. */
  readonly mains: number;
  /** The first of them, as `1.0` (subprogram 0 of program 1 begins) and `1.0-3` (its action 3, a tail call, has failed). */
  readonly events: readonly string[];
}

/** Reads the context behind a run. */
export function treeTrace(context: Uint8Array): TreeTrace {
  const view = new DataView(context.buffer, context.byteOffset, context.length);
  const count = Number(view.getBigUint64(0, true));
  return {
    count,
    digest: view.getBigUint64(8, true),
    mains: Number(view.getBigUint64(16, true)),
    events: Array.from({ length: Math.min(count, EVENTS) }, (_, i) => {
      const event = view.getUint16(FIRST_EVENT + 2 * i, true);
      const failed = event & 15;
      return `${event >> 8}.${(event >> 4) & 15}${failed === 0 ? "" : `-${failed - 1}`}`;
    }),
  };
}

/** The programs of a call tree, `syscall` programs that want {@link TREE_CONTEXT} bytes of context. */
export function treePrograms({ programs }: CallTree): readonly Program[] {
  return programs.map((program, index) =>
    assemble(textOf(program, index), {
      name: `program${index}`,
      type: "syscall",
      maps: TREE_ARRAYS,
      kfuncs: [MIX_KFUNC],
    }),
  );
}

function textOf({ bodies }: TreeProgram, program: number): string {
  const texts = bodies.map((body, index) => new BodyText(program, index, body).text);
  const called = reachable(bodies);
  const loops = bodies.some(
    ({ actions }, i) => called.has(i) && actions.some((a) => a.kind === "host" && a.via === "loop"),
  );
  return [...texts.filter((_, i) => called.has(i)), EVENT, ...(loops ? [CALLBACK] : [])].join("\n");
}

/** The subprograms that the main one calls, or what it calls. */
function reachable(bodies: readonly TreeBody[]): ReadonlySet<number> {
  const found = new Set([0]);
  for (const index of found) {
    for (const action of bodies[index]!.actions) if (action.kind === "call") found.add(action.subprog);
  }
  return found;
}

/** Notes the event r2 in the context r1. */
const EVENT = `
event:
  r3 = *(u64 *)(r1 + 0)
  r4 = r3
  r4 += 1
  *(u64 *)(r1 + 0) = r4
  r4 = *(u64 *)(r1 + 8)
  r4 *= 31
  r4 += r2
  *(u64 *)(r1 + 8) = r4
  if r3 >= ${EVENTS} goto full
  r3 <<= 1
  r3 += r1
  *(u16 *)(r3 + ${FIRST_EVENT}) = r2
full:
  r0 = 0
  exit`;

/** What `bpf_loop` calls: it changes every register that it has to give back. */
const CALLBACK = `
callback:
  r6 = *(u64 *)(r2 + 24)
  r6 += r1
  r6 += 1
  *(u64 *)(r2 + 24) = r6
  r7 = 7
  r8 = 8
  r9 = 9
  r0 = 0
  exit`;

class BodyText {
  readonly #lines: string[] = [];
  readonly #program: number;
  readonly #index: number;
  readonly #body: TreeBody;
  #labels = 0;

  constructor(program: number, index: number, body: TreeBody) {
    this.#program = program;
    this.#index = index;
    this.#body = body;
    this.#begin();
    for (const [i, action] of body.actions.entries()) this.#act(action, i);
    this.#end();
  }

  get text(): string {
    return this.#lines.join("\n");
  }

  #put(...lines: readonly string[]): void {
    this.#lines.push(...lines);
  }

  #begin(): void {
    const { home, saved, slots } = this.#body;
    const isMain = this.#index === 0;
    this.#put(`${isMain ? "main" : `sub${this.#index}`}:`);
    this.#put(home === "stack" ? "*(u64 *)(r10 - 8) = r1" : `r${home} = r1`);
    // A subprogram also gets a number, which its caller made.
    if (isMain) this.#put("r2 = *(u64 *)(r1 + 8)", "r3 = *(u64 *)(r1 + 16)", "r3 += 1", "*(u64 *)(r1 + 16) = r3");
    for (const register of saved) this.#put(`r${register} = r2`, `r${register} += ${this.#number(register)}`);
    for (let slot = 0; slot < slots; slot++)
      this.#put(`r2 += ${this.#number(10 + slot)}`, `*(u64 *)(r10 - ${this.#slot(slot)}) = r2`);
    this.#event(0);
  }

  /** Tells of an event: 0 for the beginning, one more than the number of the action for a tail call that failed. */
  #event(what: number): void {
    const event = (this.#program << 8) | (this.#index << 4) | what;
    this.#put(`r1 = ${this.#context(1)}`, `r2 = ${event}`, "call event");
  }

  #act(action: TreeAction, number: number): void {
    const over = this.#label();
    const { when } = action;
    if (when !== undefined) {
      this.#put(
        `r1 = *(u64 *)(${this.#context(4)} + 0)`,
        `r1 &= ${1 << when.bit}`,
        `if r1 ${when.is ? "==" : "!="} 0 goto ${over}`,
      );
    }
    if (action.kind === "call") {
      this.#put(`r2 = ${this.#number(number)}`);
      this.#put(...this.#body.saved.map((register) => `r2 += r${register}`));
      this.#put(`r1 = ${this.#context(1)}`, `call sub${action.subprog}`);
      this.#take();
    } else if (action.kind === "host") this.#callHost(action.via);
    else {
      this.#tailCall(action);
      this.#event(number + 1);
    }
    if (when !== undefined) this.#put(`${over}:`);
  }

  #callHost(via: "helper" | "kfunc" | "loop"): void {
    if (via === "loop") {
      this.#put("r1 = 2", "r2 = subprog[callback]", `r3 = ${this.#context(3)}`, "r4 = 0", "call loop");
      return;
    }
    for (const register of [1, 2, 3, 4, 5]) this.#put(`r${register} = ${this.#number(register)}`);
    for (const register of this.#body.saved.slice(0, 1)) this.#put(`r3 = r${register}`);
    this.#put(via === "helper" ? `call ${MIX}` : `call ${MIX_KFUNC}`);
    this.#take();
  }

  #tailCall({ array, index, hidden, other }: Extract<TreeAction, { kind: "tail-call" }>): void {
    this.#put(`r2 = map[${TREE_ARRAYS[array]!.name}]`);
    if (other !== undefined) {
      const keep = this.#label();
      this.#put(`r3 = *(u64 *)(${this.#context(4)} + 0)`, "r3 &= 4", `if r3 == 0 goto ${keep}`);
      this.#put(`r2 = map[${TREE_ARRAYS[other]!.name}]`, `${keep}:`);
    }
    this.#put(`r3 = ${index}`);
    // The events are fewer than 2^32.
    if (hidden) this.#put(`r4 = *(u32 *)(${this.#context(4)} + 4)`, "r3 += r4");
    this.#put(`r1 = ${this.#context(1)}`, "call tail_call");
  }

  /** Puts a result where it shows: into a register that is kept, the stack, or the context. */
  #take(): void {
    const { saved, slots } = this.#body;
    const context = this.#context(4);
    if (saved.length > 0) this.#put(`r${saved.at(-1)} *= 3`, `r${saved.at(-1)} += r0`);
    else if (slots > 0)
      this.#put(
        `r1 = *(u64 *)(r10 - ${this.#slot(0)})`,
        "r1 *= 3",
        "r1 += r0",
        `*(u64 *)(r10 - ${this.#slot(0)}) = r1`,
      );
    else this.#put(`r1 = *(u64 *)(${context} + 24)`, "r1 *= 3", "r1 += r0", `*(u64 *)(${context} + 24) = r1`);
  }

  #end(): void {
    const { saved, slots } = this.#body;
    this.#put(`r0 = ${this.#number(20)}`);
    for (const register of saved) this.#put("r0 *= 31", `r0 += r${register}`);
    for (let slot = 0; slot < slots; slot++) {
      this.#put("r0 *= 31", `r1 = *(u64 *)(r10 - ${this.#slot(slot)})`, "r0 += r1");
    }
    this.#put(`r1 = *(u64 *)(${this.#context(4)} + 24)`, "r0 ^= r1");
    this.#put("exit");
  }

  /** The register with the context: `scratch`, where it is not in a register already. */
  #context(scratch: number): string {
    const { home } = this.#body;
    if (home !== "stack") return `r${home}`;
    this.#put(`r${scratch} = *(u64 *)(r10 - 8)`);
    return `r${scratch}`;
  }

  /** Bytes below r10. */
  #slot(index: number): number {
    return 8 * (index + (this.#body.home === "stack" ? 2 : 1));
  }

  /** A number that no other place has. */
  #number(place: number): number {
    return 1 + place + 100 * (this.#index + 1) + 1000 * (this.#program + 1);
  }

  #label(): string {
    return `${this.#index === 0 ? "main" : `sub${this.#index}`}_${this.#labels++}`;
  }
}
