// The law of cookies that differ from function to function: the trampoline that functions share finds each one's, in as many steps as halving takes.
import { assemble, type Backend, jit, type LinkKind, trust } from "@bpfkit/core";
import { Kernel, type TracedFunction } from "@bpfkit/kernel";

/** What {@link checkCookies} found. */
export interface CookieReport {
  readonly calls: number;
  /** What went wrong first, in words. */
  readonly breach: string | undefined;
}

const SEEN = 9001;
const KINDS: readonly LinkKind[] = ["fentry", "fexit"];
/** Numbers of functions: the fewest whose cookies are searched first. */
const SIZES: readonly number[] = [2, 10, 100];
/** Arguments in registers only, and some on the stack. */
const MODELS: readonly string[] = ["u64 (u64, u64)", `u64 (${Array.from({ length: 10 }, () => "u64").join(", ")})`];

/** Attaches a program to functions with permuted cookies, and calls each of them. */
export function checkCookies(backend: Backend): CookieReport {
  let calls = 0;
  for (const [i, model] of MODELS.entries()) {
    let fewest = 0;
    for (const size of SIZES) {
      const { breach, loads } = tryCookies(backend, model, KINDS[i]!, size);
      calls += size;
      const what = `${KINDS[i]} on ${size} functions ${model}`;
      if (breach !== undefined) return { calls, breach: `${what}: ${breach}` };
      if (size === SIZES[0]) fewest = loads;
      const rounds = Math.ceil(Math.log2(size));
      if (loads - fewest > rounds - 1)
        return { calls, breach: `${what}: ${loads - fewest} loads more than for 2, not ${rounds - 1}` };
    }
  }
  return { calls, breach: undefined };
}

/** Whether each call finds its cookie, and the most loads that one makes. */
function tryCookies(
  backend: Backend,
  model: string,
  kind: LinkKind,
  size: number,
): { readonly breach: string | undefined; readonly loads: number } {
  const kernel = new Kernel({ engine: jit(backend, { counting: true }) });
  const seen: bigint[] = [];
  kernel.registerHelper(SEEN, ({ args: [cookie] }) => {
    seen.push(cookie);
    return 0n;
  });
  const functions = Array.from({ length: size }, (_, i) => kernel.defineFunction(`f${i}`, model, () => 0n));
  const text = `call get_attach_cookie\nr1 = r0\ncall ${SEEN}\nr0 = 0\nexit`;
  const program = kernel.load(trust(assemble(text, { name: "cookies", type: "tracing", license: "GPL" })));
  // Permuted, as 7 divides no size; all 64 bits count.
  const listed = functions.map((_, i) => functions[(7 * i + 3) % size]!);
  const cookieOf = (traced: TracedFunction): bigint =>
    BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * (traced.address + 1n));
  using link = kernel.attachMulti(program, listed, { kind, cookies: listed.map(cookieOf) });
  if (link.images !== 1) return { breach: `${link.images} trampolines`, loads: 0 };
  let loads = 0;
  for (const traced of functions) {
    using run = traced.start(traced.places.slots.map(() => 0n));
    const { kind: ended } = run.run(10_000);
    if (ended !== "returned") return { breach: `a call of ${traced.name} ended with ${ended}`, loads };
    loads = Math.max(loads, run.counts?.loads ?? 0);
    const [found] = seen.splice(0);
    if (found !== cookieOf(traced)) return { breach: `${traced.name} has ${cookieOf(traced)}, found ${found}`, loads };
  }
  return { breach: undefined, loads };
}
