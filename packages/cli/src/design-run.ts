// A kernel that uses one of the designs, with functions of given models: attaches and detaches on it, and what each comes to.
import {
  assemble,
  type Backend,
  type FuncModel,
  jit,
  type LinkKind,
  type MemoryOptions,
  type MultiStrategyName,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Kernel, type LedgerCounts, type MultiTracingLink, type TracedFunction } from "@bpfkit/kernel";

/** What a change came to in one design. */
export interface ChangeCost {
  /** Trampolines made, and given back. */
  readonly made: number;
  readonly retired: number;
  /** Places of code that were rewritten. */
  readonly pokes: number;
  /** Rows of functions that were written. */
  readonly rows: number;
  /** Of planning, making, writing and giving back; nobody called the functions meanwhile. */
  readonly milliseconds: number;
}

/** What there is at a time. */
export interface Standing {
  readonly images: number;
  /** Of trampolines and, where they go by them, of rows with their table. */
  readonly bytes: number;
}

const MIB = 1 << 20;
const ATTACH_TYPES: Readonly<Record<LinkKind, string>> = {
  fentry: "trace_fentry",
  fexit: "trace_fexit",
  fmod_ret: "modify_return",
  fsession: "trace_fsession",
};

/** Two instructions. */
export function nothingProgram(kind: LinkKind): VerifiedProgram {
  return trust({ ...assemble("r0 = 0\nexit", { name: "nothing", type: "tracing" }), attachType: ATTACH_TYPES[kind] });
}

/** Room for so many functions, each with a trampoline and with one that takes its place. */
export function memoryFor(functions: number): MemoryOptions {
  const room = (bytes: number): number => MIB * Math.ceil(1 + (functions * bytes) / MIB);
  return { sizes: { host: room(512), text: room(1536), data: room(512) } };
}

/** One design at work. */
export class DesignRun {
  readonly #kernel: Kernel;
  readonly #kind: LinkKind;
  readonly #now: () => number;
  readonly #functions = new Map<number, TracedFunction>();

  /** @param modelOf - the model of a function */
  constructor(
    backend: Backend,
    design: MultiStrategyName,
    kind: LinkKind,
    functions: { readonly ids: ReadonlySet<number>; readonly modelOf: (id: number) => FuncModel },
    now: () => number,
  ) {
    const { ids, modelOf } = functions;
    this.#kernel = new Kernel({ engine: jit(backend), multi: design, memory: memoryFor(ids.size) });
    this.#kind = kind;
    this.#now = now;
    for (const id of ids)
      this.#functions.set(
        id,
        this.#kernel.defineFunction(`f${id}`, modelOf(id), () => 0n),
      );
  }

  get standing(): Standing {
    const { count, bytes } = this.#kernel.trampolines;
    return { images: count, bytes };
  }

  /** Attaches another program. */
  attach(ids: readonly number[]): { readonly link: MultiTracingLink; readonly cost: ChangeCost } {
    const kernel = this.#kernel;
    const program = kernel.load(nothingProgram(this.#kind));
    const functions = ids.map((id) => this.#functions.get(id)!);
    let link: MultiTracingLink | undefined;
    const cost = this.#change(() => {
      link = kernel.attachMulti(program, functions);
    });
    return { link: link!, cost };
  }

  detach(link: MultiTracingLink): ChangeCost {
    return this.#change(() => link.detach());
  }

  #change(change: () => void): ChangeCost {
    const [ledger, { images }] = [this.#kernel.ledger, this.standing];
    const started = this.#now();
    change();
    const milliseconds = this.#now() - started;
    const after = this.#kernel.ledger;
    const by = (count: keyof LedgerCounts): number => after[count] - ledger[count];
    const made = by("trampolines");
    return { made, retired: images + made - this.standing.images, pokes: by("pokes"), rows: by("rows"), milliseconds };
  }
}
