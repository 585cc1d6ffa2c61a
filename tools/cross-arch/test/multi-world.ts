// A kernel with functions of several models, and programs that write down where they ran.
import { arm64 } from "@bpfkit/arm64";
import {
  type Backend,
  type CompileOptions,
  type HostCall,
  type LinkKind,
  type MultiStrategyName,
  parseFuncModel,
} from "@bpfkit/core";
import type {
  FunctionOptions,
  Kernel,
  KernelOptions,
  LoadedProgram,
  MultiTracingLink,
  TracedFunction,
} from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { RECORD, TracingWorld } from "./tracing-world.ts";

export const TWO: string = "u64 (u64, u64)";
export const THREE: string = "u64 (u64, u64, u64)";
/** The seventh one lies on the stack on some architectures. */
export const SEVEN: string = "u64 (u64, u64, u64, u64, u64, u64, u64)";

/** What a function of {@link MultiWorld} gives. */
export const RESULT: bigint = 1000n;

export class MultiWorld extends TracingWorld {
  readonly cpus: number;
  /** Calls of functions and programs in the order in which they ran, per CPU: `f3 5` and `p1 5`. */
  readonly events: string[][];
  #next = 0;

  constructor(backend: Backend, cpus = 1, rest: Partial<KernelOptions> = {}, options: CompileOptions = {}) {
    super(backend, cpus, options, rest);
    this.cpus = cpus;
    this.events = Array.from({ length: cpus }, () => []);
    this.kernel.registerHelper(RECORD, ({ args: [who, first, second], cpu }: HostCall): bigint => {
      this.events[cpu]!.push(
        `p${who} ${BigInt.asIntN(64, first)}${second === 0n ? "" : ` ${BigInt.asIntN(64, second)}`}`,
      );
      return 0n;
    });
  }

  /** Functions `f0`, `f1` … that give 1000 and their first argument. */
  functions(count: number, model: string = TWO, options: FunctionOptions = {}): TracedFunction[] {
    const shape = parseFuncModel(model);
    return Array.from({ length: count }, () => {
      const name = `f${this.#next++}`;
      const body: Parameters<Kernel["defineFunction"]>[2] = ({ words, cpu }) => {
        this.events[cpu]!.push(`${name} ${words.join()}`);
        return RESULT + (words[0] ?? 0n);
      };
      return this.kernel.defineFunction(name, shape, body, options);
    });
  }

  /** A program that writes down its number and the first word of its context. */
  program(kind: LinkKind, id: number, result = 0): LoadedProgram {
    return this.tracer(kind, id, result, {});
  }

  /** One that writes down its number, the first word and its cookie. */
  cookieProgram(kind: LinkKind, id: number): LoadedProgram {
    const text = `
      r6 = *(u64 *)(r1 + 0)
      call 174
      r3 = r0
      r2 = r6
      r1 = ${id}
      call ${RECORD}
      r0 = 0
      exit`;
    return this.load(`t${id}`, "tracing", text, { attachType: kind === "fentry" ? "trace_fentry" : "trace_fexit" });
  }

  attach(
    kind: LinkKind,
    id: number,
    functions: readonly TracedFunction[],
    cookies?: readonly bigint[],
  ): MultiTracingLink {
    const program = cookies === undefined ? this.program(kind, id) : this.cookieProgram(kind, id);
    return this.kernel.attachMulti(program, functions, cookies === undefined ? {} : { cookies });
  }

  /** Calls a function with 1, 2, 3 …, and gives what ran, without arguments: `p1 f0 p2`. */
  call(traced: TracedFunction, cpu = 0): string {
    this.events[cpu]!.length = 0;
    const words = traced.places.slots.map((_, i) => BigInt(i + 1));
    const { value, stop } = traced.run(words, { cpu });
    if (value !== RESULT + 1n)
      throw new Error(`${traced.name} gave ${value}, ${JSON.stringify(stop, (_, v) => String(v))}`);
    return this.take2(cpu);
  }

  /** What has run, without arguments. */
  take2(cpu = 0): string {
    return this.events[cpu]!.splice(0)
      .map((event) => event.split(" ")[0]!)
      .join(" ");
  }

  /** All that an observer can find out about the state: sites with their bytes, trampolines, and bytes of memory. */
  state(): string {
    const { kernel } = this;
    const sites = kernel.textSites.map(({ address, size, state }) => {
      const target = state.kind === "nop" ? "" : state.target;
      return `${address} ${state.kind} ${target} ${kernel.memory.view(address, size).join()}`;
    });
    return [...sites, kernel.trampolines.count, kernel.trampolines.bytes, kernel.memory.allocated].join("\n");
  }
}

const EVERY = globalThis.process?.env.BPFKIT_DESIGNS !== undefined;
const DESIGNS: readonly MultiStrategyName[] = ["shared", "per-function", "global"];

/**
 * Every design on every architecture, with their names for tests; but one trampoline per function, whose code is that of `Kernel.attach`, only on one unless
 * BPFKIT_DESIGNS asks for all.
 */
export const EVERY_DESIGN: readonly (readonly [string, MultiStrategyName, Backend])[] = [x86_64, arm64, riscv64]
  .flatMap((backend) => DESIGNS.map((design) => [backend.arch, design, backend] as const))
  .filter(([arch, design]) => EVERY || design !== "per-function" || arch === "x86-64");

/** What is said of a design, out of what is said of all three. */
export function byDesign<T>(design: MultiStrategyName, shared: T, perFunction: T, global: T): T {
  return [shared, perFunction, global][DESIGNS.indexOf(design)]!;
}

/** {@link MultiWorld} with a design. */
export function worldOf(design: MultiStrategyName): typeof MultiWorld {
  return class extends MultiWorld {
    constructor(...[backend, cpus, rest, options]: ConstructorParameters<typeof MultiWorld>) {
      super(backend, cpus, { multi: design, ...rest }, options);
    }
  };
}
