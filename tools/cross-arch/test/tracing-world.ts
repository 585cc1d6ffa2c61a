// A kernel with a function to attach programs to, and a helper that writes down what programs see.
import {
  assemble,
  type Backend,
  BpfError,
  type CompileOptions,
  jit,
  type LinkKind,
  type Program,
  trust,
} from "@bpfkit/core";
import { Kernel, type KernelOptions, type LoadedProgram, type TracedFunction } from "@bpfkit/kernel";

/** A helper that writes down r1 to r3. */
export const RECORD: number = 9001;

const ATTACH_TYPES: Readonly<Record<LinkKind, string>> = {
  fentry: "trace_fentry",
  fexit: "trace_fexit",
  fmod_ret: "modify_return",
  fsession: "trace_fsession",
};

export class TracingWorld {
  readonly kernel: Kernel;
  readonly seen: string[] = [];

  constructor(backend: Backend, cpus = 1, options: CompileOptions = {}, rest: Partial<KernelOptions> = {}) {
    this.kernel = new Kernel({ ...rest, engine: jit(backend, options), cpus });
    this.kernel.registerHelper(RECORD, ({ args: [who, first, second] }) => {
      this.seen.push(`${who}: ${BigInt.asIntN(64, first)} ${BigInt.asIntN(64, second)}`);
      return 0n;
    });
  }

  /** What was written down since it was last asked. */
  take(): string[] {
    return this.seen.splice(0);
  }

  load(name: string, type: string, text: string, rest: Partial<Program> = {}): LoadedProgram {
    return this.kernel.load(trust({ ...assemble(text, { name, type, license: "GPL" }), ...rest }));
  }

  /** A program that writes down its number and the first two words of its context, and returns `result`. */
  tracer(kind: LinkKind, id: number, result = 0, rest: Partial<Program> = {}): LoadedProgram {
    const text = `
      r2 = *(u64 *)(r1 + 0)
      r3 = *(u64 *)(r1 + 8)
      r1 = ${id}
      call ${RECORD}
      r0 = ${result}
      exit`;
    return this.load(`t${id}`, "tracing", text, { attachType: ATTACH_TYPES[kind], ...rest });
  }

  sum(options: Parameters<Kernel["defineFunction"]>[3] = {}): TracedFunction {
    return this.kernel.defineFunction(
      "sum",
      "u64 (u64)",
      ({ words: [a] }) => {
        this.seen.push(`sum ${a}`);
        return a! + 100n;
      },
      options,
    );
  }
}

export function errorOf(body: () => unknown, what = "an error"): BpfError {
  try {
    body();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  throw new Error(`${what} was not thrown`);
}
