// Plans that rewrite sites: their bytes, what they refuse, and a search over everything a CPU can meet on the way.
import { Access, BpfError, Memory, type PokePhase, type PokePlan, type SiteState, type TextSite } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { riscv64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";

const AT = 0x1000_0002n;
const PAIR: TextSite = { address: AT, size: 8 };
const WORD: TextSite = { address: AT, size: 4 };
const NOP: SiteState = { kind: "nop" };
const call = (target: bigint): SiteState => ({ kind: "call", target });
const jump = (target: bigint): SiteState => ({ kind: "jump", target });

const NOP_BYTES = [0x13, 0, 0, 0];

/** A plan as text, a phase each. */
const show = ({ phases }: PokePlan): string[] => phases.map(showPhase);

function showPhase(phase: PokePhase): string {
  if (phase.kind === "write") return `${phase.address - AT}: ${hex(phase.expect)} -> ${hex(phase.bytes)}`;
  return phase.kind === "wait-clear" ? `wait ${phase.from - AT}..${phase.to - AT}` : "sync";
}

/** What the site holds once the writes of the phases are done. */
function written(site: TextSite, phases: readonly PokePhase[], from: Uint8Array): Uint8Array {
  const bytes = from.slice();
  for (const phase of phases) {
    if (phase.kind !== "write") continue;
    const at = Number(phase.address - site.address);
    expect(bytes.slice(at, at + phase.expect.length)).toEqual(phase.expect);
    expect(phase.bytes.length).toBe(phase.expect.length);
    bytes.set(phase.bytes, at);
  }
  return bytes;
}

/** The bytes of a state, by way of the plan that leads there from nothing. */
function bytesOf(site: TextSite, state: SiteState): Uint8Array {
  const nothing = Uint8Array.from([...NOP_BYTES, ...NOP_BYTES].slice(0, site.size));
  return written(site, riscv64.poke(site, NOP, state).phases, nothing);
}

const texts = (site: TextSite, state: SiteState): string[] =>
  [...riscv64.disassemble(bytesOf(site, state), site.address)].map(({ text }) => text);

describe("a site", () => {
  test("of eight bytes holds a pair, whose call leaves its return address in t0", () => {
    expect(texts(PAIR, NOP)).toEqual(["nop", "nop"]);
    expect(texts(PAIR, jump(AT + 0x1234_5678n))).toEqual(["auipc t1, 0x12345", "jr 0x678(t1)"]);
    expect(texts(PAIR, call(AT - 0x1001_0802n))).toEqual(["auipc t1, 0xeffef", "jalr t0, 0x7fe(t1)"]);
    expect(hex(bytesOf(PAIR, call(AT + 0x800n)))).toBe("17 13 00 00 e7 02 03 80"); // auipc t1, 1; jalr t0, -0x800(t1)
  });

  test("of four bytes holds a jump", () => {
    expect(texts(WORD, NOP)).toEqual(["nop"]);
    expect(texts(WORD, jump(AT + 0xa_bcden))).toEqual([`j 0x${(AT + 0xa_bcden).toString(16)}`]);
  });

  test("reaches so far, and no further", () => {
    for (const [site, low, high] of [
      [PAIR, -0x8000_0800n, 0x7fff_f7fen],
      [WORD, -0x10_0000n, 0xf_fffen],
    ] as const) {
      for (const distance of [low, high]) {
        expect(riscv64.poke(site, NOP, jump(AT + distance)).phases).not.toEqual([]);
        const outside = AT + distance + (distance < 0n ? -2n : 2n);
        expect(() => riscv64.poke(site, NOP, jump(outside))).toThrow(expect.objectContaining({ code: "out-of-range" }));
        expect(() => riscv64.poke(site, jump(outside), NOP)).toThrow(BpfError);
      }
    }
    expect(texts(PAIR, jump(AT - 0x8000_0800n))).toEqual(["auipc t1, 0x80000", "jr -0x800(t1)"]);
    expect(texts(PAIR, jump(AT + 0x7fff_f7fen))).toEqual(["auipc t1, 0x7ffff", "jr 0x7fe(t1)"]);
  });

  test("is refused where it cannot be one", () => {
    const refused = (site: TextSite, to: SiteState): void =>
      expect(() => riscv64.poke(site, NOP, to)).toThrow(expect.objectContaining({ code: "argument" }));
    refused({ address: AT, size: 5 }, jump(AT));
    refused({ address: AT + 1n, size: 8 }, jump(AT));
    refused(WORD, call(AT + 8n));
    refused(PAIR, jump(AT + 9n));
    expect(() => riscv64.poke(WORD, NOP, call(AT + 8n))).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: a call to 0x1000000a in 4 bytes, expected a site of 8 bytes]`,
    );
  });
});

describe("a plan", () => {
  test("is empty where nothing changes", () => {
    for (const [site, state] of [
      [PAIR, NOP],
      [WORD, NOP],
      [PAIR, call(AT + 0x5000n)],
      [WORD, jump(AT + 0x500n)],
    ] as const)
      expect(riscv64.poke(site, state, state)).toEqual({ phases: [] });
  });

  test("from nothing to a pair writes what decides last, when nobody stands before it", () => {
    expect(show(riscv64.poke(PAIR, NOP, jump(AT + 0x1234_5678n)))).toEqual([
      "0: 13 00 00 00 13 00 00 00 -> 17 53 34 12 13 00 83 67",
      "sync",
      "wait 4..8",
      "4: 13 00 -> 67 00",
      "sync",
    ]);
  });

  test("from a pair to nothing writes what decides first, and waits for nobody", () => {
    expect(show(riscv64.poke(PAIR, call(AT + 0x1234_5678n), NOP))).toEqual([
      "4: e7 02 -> 13 00",
      "sync",
      "0: 17 53 34 12 13 00 83 67 -> 13 00 00 00 13 00 00 00",
    ]);
  });

  test("for one instruction is two halves", () => {
    expect(show(riscv64.poke(WORD, NOP, jump(AT + 0x1aan)))).toEqual([
      "2: 00 00 -> a0 1a",
      "sync",
      "0: 13 00 -> 6f 00",
      "sync",
    ]);
    expect(show(riscv64.poke(WORD, jump(AT + 0x1aan), NOP))).toEqual([
      "0: 6f 00 -> 13 00",
      "sync",
      "2: a0 1a -> 00 00",
    ]);
    // Nothing to write before what decides, but another plan's last store may not have been seen.
    expect(show(riscv64.poke(WORD, NOP, jump(AT + 0x1000n)))).toEqual(["sync", "0: 13 00 -> 6f 10", "sync"]);
  });

  test("from jump to jump is one store where that is enough", () => {
    expect(show(riscv64.poke(PAIR, jump(AT + 0x5010n), jump(AT + 0x5020n)))).toEqual(["6: 03 01 -> 03 02", "sync"]);
    expect(show(riscv64.poke(PAIR, jump(AT + 0x5010n), call(AT + 0x5010n)))).toEqual(["4: 67 00 -> e7 02", "sync"]);
  });

  test("from jump to jump else goes by way of a breakpoint, where CPUs go on as in the new state", () => {
    const to = call(AT + 0x7654_3210n);
    const plan = riscv64.poke(PAIR, jump(AT + 0x1234_5678n), to);
    expect(show(plan)).toEqual([
      "0: 17 53 -> 02 90",
      "sync",
      "wait 4..8",
      "2: 34 12 67 00 83 67 -> 54 76 e7 02 03 21",
      "sync",
      "0: 02 90 -> 17 33",
      "sync",
    ]);
    expect(plan.trap).toEqual({ address: AT, resume: to });
  });
});

/** Where a CPU is within a site: at the instruction at `offset`, with t1 as the last one left it. */
interface Place {
  readonly offset: number;
  readonly t1: bigint;
}

/** How a CPU leaves a site: where to, and whether with a return address. */
function outcome(pc: bigint, t0: bigint): string {
  const address = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;
  return t0 === GARBAGE ? address(pc) : `${address(pc)} from ${address(t0)}`;
}
const GARBAGE = 0xdead_beef_dead_beefn;

function outcomeOf({ address, size }: TextSite, state: SiteState): string {
  const behind = address + BigInt(size);
  if (state.kind === "nop") return outcome(behind, GARBAGE);
  return outcome(state.target, state.kind === "call" ? behind : GARBAGE);
}

const memory = new Memory({ sizes: { host: 1 << 16, text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
const text = memory.allocate("text", 16, "site", Access.READ | Access.EXECUTE);
const cpu = riscv64.createCpu(memory);

/**
 * Follows one CPU and plans, one after the other, through every order of their steps. Until the next sync the CPU may fetch each parcel as it
 * was at the last one or as it was written since. Gives all ways in which it can leave the site, and whether it can ever be kept from that.
 */
function explore(
  site: TextSite,
  plans: readonly PokePlan[],
  from: Uint8Array,
): { outcomes: Set<string>; stuck: boolean; seen: number } {
  // The site's distances are kept: code is executed at another address, and what that makes of a pc is taken back.
  const shift = text.address - site.address;
  const outcomes = new Set<string>();
  const met = new Set<string>();
  let stuck = false;

  const steps = plans.flatMap(({ phases, trap }) => phases.map((phase) => ({ phase, trap })));

  const execute = (bytes: Uint8Array, { offset, t1 }: Place, trap: PokePlan["trap"]): Place | undefined => {
    memory.write(text.address, new Uint8Array(16));
    memory.write(text.address, bytes);
    cpu.pc = text.address + BigInt(offset);
    cpu.set("t0", GARBAGE);
    cpu.set("t1", t1 === GARBAGE ? t1 : t1 + shift);
    const stop = cpu.run(1);
    if (stop.kind === "trap") {
      if (stop.cause !== "breakpoint" || trap?.address !== site.address + BigInt(offset)) {
        outcomes.add(`${stop.cause} at ${offset}`);
        return undefined;
      }
      outcomes.add(outcomeOf(site, trap.resume));
      return undefined;
    }
    const at = Number(BigInt.asIntN(64, cpu.pc - text.address));
    const next = cpu.get("t1");
    if (at > offset && at < site.size) return { offset: at, t1: next === GARBAGE ? next : next - shift };
    const t0 = cpu.get("t0");
    outcomes.add(outcome(cpu.pc - shift, t0 === GARBAGE ? t0 : t0 - shift));
    return undefined;
  };

  /** `values`: what each parcel may be fetched as; the last is what is in memory. */
  const visit = (phase: number, values: readonly (readonly number[])[], place: Place): void => {
    const key = `${phase} ${place.offset} ${place.t1}`;
    if (met.has(key)) return;
    met.add(key);
    for (const parcels of combinations(values)) {
      const next = execute(
        new Uint8Array(Uint16Array.from(parcels).buffer),
        place,
        (steps[phase] ?? steps[phase - 1])?.trap,
      );
      if (next !== undefined) visit(phase, values, next);
    }
    const step = steps[phase]?.phase;
    if (step === undefined) return;
    if (step.kind === "write") {
      const first = Number(step.address - site.address) / 2;
      const stored = new Uint16Array(step.bytes.slice().buffer);
      const now = values.map((value, i) => {
        const parcel = stored[i - first];
        return parcel === undefined || parcel === value.at(-1) ? value : [...value, parcel];
      });
      visit(phase + 1, now, place);
    } else if (step.kind === "sync-cores")
      visit(
        phase + 1,
        values.map((value) => value.slice(-1)),
        place,
      );
    else {
      const pc = site.address + BigInt(place.offset);
      if (pc < step.from || pc >= step.to) visit(phase + 1, values, place);
      else if (place.offset === 0) stuck = true;
    }
  };

  // A CPU may arrive at any time; it does not come back, so arriving is being at the first instruction.
  const parcels = [...new Uint16Array(from.slice().buffer)].map((parcel) => [parcel]);
  visit(0, parcels, { offset: 0, t1: GARBAGE });
  return { outcomes, stuck, seen: met.size };
}

function combinations(values: readonly (readonly number[])[]): number[][] {
  return values.reduce<number[][]>((all, value) => all.flatMap((some) => value.map((one) => [...some, one])), [[]]);
}

describe("on the way a CPU runs the old code or the new code", () => {
  /** A jump into its own site would not leave it. */
  const outside = (target: bigint): boolean => target < AT || target >= AT + 8n;
  const near = fc
    .integer({ min: -0x8_0000, max: 0x7_ffff })
    .map((half) => AT + 2n * BigInt(half))
    .filter(outside);
  const far = fc
    .oneof(fc.integer({ min: -0x3fff_0000, max: 0x3fff_0000 }), fc.integer({ min: -0x1000, max: 0x1000 }))
    .map((half) => AT + 2n * BigInt(half))
    .filter(outside);

  const states = (target: fc.Arbitrary<bigint>, kinds: readonly ("call" | "jump")[]): fc.Arbitrary<SiteState> =>
    fc.oneof(
      fc.constant(NOP),
      fc.tuple(fc.constantFrom(...kinds), target).map(([kind, to]): SiteState => ({ kind, target: to })),
    );

  const holds = (site: TextSite, from: SiteState, to: SiteState): void => {
    const plan = riscv64.poke(site, from, to);
    const { outcomes, stuck, seen } = explore(site, [plan], bytesOf(site, from));
    const allowed = [outcomeOf(site, from), outcomeOf(site, to)];
    for (const way of outcomes) expect(allowed, show(plan).join("\n")).toContain(way);
    expect(outcomes).toContain(allowed[1]);
    expect([stuck, seen > plan.phases.length]).toEqual([false, true]);
    expect(written(site, plan.phases, bytesOf(site, from))).toEqual(bytesOf(site, to));
  };

  test("in eight bytes", () => {
    fc.assert(
      fc.property(states(far, ["call", "jump"]), states(far, ["call", "jump"]), (from, to) => holds(PAIR, from, to)),
      { numRuns: 300 },
    );
  });

  test("in four bytes", () => {
    fc.assert(
      fc.property(states(near, ["jump"]), states(near, ["jump"]), (from, to) => holds(WORD, from, to)),
      { numRuns: 300 },
    );
  });

  test("and so while one plan follows another", () => {
    const chain = (site: TextSite, target: fc.Arbitrary<bigint>, kinds: readonly ("call" | "jump")[]): void =>
      fc.assert(
        fc.property(fc.array(states(target, kinds), { minLength: 3, maxLength: 4 }), (some) => {
          const plans = some.slice(1).map((to, i) => riscv64.poke(site, some[i]!, to));
          const allowed = some.map((state) => outcomeOf(site, state));
          for (const way of explore(site, plans, bytesOf(site, some[0]!)).outcomes) expect(allowed).toContain(way);
        }),
        { numRuns: 100 },
      );
    chain(PAIR, far, ["call", "jump"]);
    chain(WORD, near, ["jump"]);
    const round = [AT + 0x1aan, AT + 0x1000n].map(jump);
    const there = [riscv64.poke(WORD, round[0]!, NOP), riscv64.poke(WORD, NOP, round[1]!)];
    expect(explore(WORD, there, bytesOf(WORD, round[0]!)).outcomes).toEqual(
      new Set([...round, NOP].map((state) => outcomeOf(WORD, state))),
    );
  });

  /** What a CPU can meet when a plan lacks some of its steps, or has others. */
  const without = (plan: PokePlan, drop: (phase: PokePhase, i: number) => boolean): PokePlan => ({
    ...plan,
    phases: plan.phases.filter((phase, i) => !drop(phase, i)),
  });
  const strays = (site: TextSite, from: SiteState, to: SiteState, plan: PokePlan): boolean => {
    const allowed = [outcomeOf(site, from), outcomeOf(site, to)];
    return [...explore(site, [plan], bytesOf(site, from)).outcomes].some((way) => !allowed.includes(way));
  };

  test("but not without the wait, the syncs, or the order", () => {
    const to = jump(AT + 0x1234_5678n);
    const other = jump(AT + 0x765_4320n);
    const make = riscv64.poke(PAIR, NOP, to);
    expect(strays(PAIR, NOP, to, make)).toBe(false);
    expect(
      strays(
        PAIR,
        NOP,
        to,
        without(make, ({ kind }) => kind === "wait-clear"),
      ),
    ).toBe(true);
    expect(
      strays(
        PAIR,
        NOP,
        to,
        without(make, (_, i) => i === 1),
      ),
    ).toBe(true);
    const change = riscv64.poke(PAIR, other, to);
    expect(strays(PAIR, other, to, change)).toBe(false);
    for (const dropped of [1, 2, 4])
      expect(
        strays(
          PAIR,
          other,
          to,
          without(change, (_, i) => i === dropped),
        ),
      ).toBe(true);
    const inOneGo: PokePlan = {
      phases: [{ kind: "write", address: AT, expect: bytesOf(PAIR, NOP), bytes: bytesOf(PAIR, to) }],
    };
    expect(strays(PAIR, NOP, to, inOneGo)).toBe(true);
    const halves: PokePlan = {
      phases: [{ kind: "write", address: AT, expect: bytesOf(WORD, NOP), bytes: bytesOf(WORD, jump(AT + 0x8_1aan)) }],
    };
    expect(strays(WORD, NOP, jump(AT + 0x8_1aan), halves)).toBe(true);
    const unmake = riscv64.poke(PAIR, to, NOP);
    expect(
      strays(
        PAIR,
        to,
        NOP,
        without(unmake, (_, i) => i === 1),
      ),
    ).toBe(true);
  });
});
