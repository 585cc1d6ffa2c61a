// Far targets: a search over everything that a CPU can meet at a site, its far jump and its slot while plans are carried out.
import {
  Access,
  assemble,
  type CpuState,
  Memory,
  type PokePhase,
  type PokePlan,
  type SiteState,
  type TextSite,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64, createCpu } from "../src/index.ts";

const memory = new Memory({ sizes: { host: 1 << 16, text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
const image = arm64.compile(trust(assemble("r0 = 0\nexit")), { layout: { far: true } });
const { address: base } = memory.allocate("text", image.code.length, "code", Access.READ | Access.EXECUTE);
const [{ offset, far }] = image.patchSites as [(typeof image.patchSites)[0]];
const SITE = {
  address: base + BigInt(offset),
  size: 4,
  far: { code: base + BigInt(far!.code), slot: base + BigInt(far!.slot) },
} satisfies TextSite;
const WORD = image.code.slice(offset, offset + 4);
const SLOT = image.code.slice(far!.slot, far!.slot + 8);

const FAR = SITE.address + 0x1234_5678_9abcn;
const NOP: SiteState = { kind: "nop" };
const STATES: readonly SiteState[] = [
  NOP,
  { kind: "call", target: SITE.address + 0x1000n },
  { kind: "jump", target: SITE.address - 0x7ff_fffcn },
  { kind: "call", target: FAR },
  { kind: "jump", target: FAR },
  { kind: "call", target: SITE.address + 0x800_0000n },
  { kind: "jump", target: SITE.address - 0x800_0004n },
];
const isFar = (state: SiteState): boolean => STATES.indexOf(state) > 2;
const nameOf = (state: SiteState): string =>
  state.kind === "nop" ? "nop" : `${state.kind} ${(state.target - SITE.address).toString(16)}`;

const cpu = createCpu(memory);
for (let i = 0; i < 31; i++) cpu.set(`x${i}` as "x0", 0x5afe_0000n + BigInt(i));
cpu.pc = SITE.address;
const START = cpu.save();

/** What a CPU has done that has left: x10 may be anything. */
function effect(): string {
  cpu.set("x10", 0n);
  return `0x${cpu.pc.toString(16)} ${cpu.save().registers.join()}`;
}

/** What a state does, from the meaning of its kind. */
function effectOf(state: SiteState): string {
  cpu.restore(START);
  if (state.kind === "call") cpu.set("x30", SITE.address + 4n);
  cpu.pc = state.kind === "nop" ? SITE.address + 4n : state.target;
  return effect();
}
const EFFECTS = new Map(STATES.map((state) => [state, effectOf(state)]));

const plan = (from: SiteState, to: SiteState): PokePlan => arm64.poke(SITE, from, to);

/** What is in the site and in its slot when plans have led to a state. */
function contentOf(state: SiteState): { word: Uint8Array; slot: Uint8Array } {
  const content: { word: Uint8Array; slot: Uint8Array } = { word: WORD, slot: SLOT };
  for (const phase of plan(NOP, state).phases)
    if (phase.kind === "write") content[phase.address === SITE.address ? "word" : "slot"] = phase.bytes;
  return content;
}

/**
 * One CPU and plans from state to state, in every order of their steps. Until the next sync the CPU may fetch the word, and load the slot, as it
 * was at the last one or as it was stored since. It has to do what a state does that was there at some time between its coming and its leaving.
 * Gives what it does else.
 */
function explore(states: readonly SiteState[], plans: readonly PokePlan[]): { wrong: Set<string>; seen: number } {
  const steps = plans.flatMap(({ phases, trap }, k) => phases.map((phase) => ({ phase, trap, k })));
  const ends = plans.map((_, k) => steps.filter((step) => step.k <= k).length);
  /** Per steps made: indices of the first and the last state that are there; what can be met; the trap that is armed. */
  const moments = Array.from({ length: steps.length + 1 }, (_, count) => {
    const first = ends.filter((end) => end <= count).length;
    const isAmid = (ends[first - 1] ?? 0) < count;
    return { first, last: isAmid ? first + 1 : first, trap: isAmid ? steps[count - 1]!.trap : undefined };
  });
  const start = contentOf(states[0]!);
  let met = { word: [start.word], slot: [start.slot] };
  const contents = [met];
  for (const { phase } of steps) {
    if (phase.kind === "sync-cores") met = { word: met.word.slice(-1), slot: met.slot.slice(-1) };
    else if (phase.kind === "write") {
      const part = phase.address === SITE.address ? "word" : "slot";
      met = { ...met, [part]: [...met[part], phase.bytes] };
    }
    contents.push(met);
  }

  const wrong = new Set<string>();
  const seen = new Set<string>();
  const visit = (count: number, came: number, place: CpuState): void => {
    const key = `${count} ${came} ${place.pc} ${place.registers.join()}`;
    if (seen.has(key)) return;
    seen.add(key);
    const { first, last, trap } = moments[count]!;
    const isOutside = place.pc === SITE.address;
    const begun = isOutside ? first : came;
    const leave = (what: string): void => {
      if (!states.slice(begun, last + 1).some((state) => EFFECTS.get(state) === what))
        wrong.add(`${count}: ${what.split(" ")[0]}`);
    };
    const { word, slot } = contents[count]!;
    for (const bytes of isOutside ? word : place.pc === SITE.far.code ? slot : [SLOT]) {
      if (!isOutside) memory.write(SITE.far.slot, bytes);
      cpu.restore(place);
      const stop = isOutside ? cpu.execute(bytes) : cpu.run(1);
      if (stop.kind === "trap" && stop.cause === "breakpoint" && trap !== undefined) leave(effectOf(trap.resume));
      else if (stop.kind !== "budget") wrong.add(`${count}: ${stop.kind === "trap" ? stop.cause : stop.kind}`);
      else if (cpu.pc >= SITE.far.code && cpu.pc < SITE.far.slot) visit(count, begun, cpu.save());
      else leave(effect());
    }
    const phase = steps[count]?.phase;
    if (phase === undefined) return;
    if (phase.kind === "wait-clear" && place.pc >= phase.from && place.pc < phase.to) return;
    visit(count + 1, isOutside ? 0 : came, place);
  };
  memory.write(base, image.code);
  visit(0, 0, START);
  return { wrong, seen: seen.size };
}

const pairs = STATES.flatMap((from) => STATES.flatMap((to) => (from === to ? [] : [[from, to] as const])));

const show = ({ phases }: PokePlan): string[] =>
  phases.map((phase) => {
    if (phase.kind === "write") return phase.address === SITE.address ? "word" : "slot";
    if (phase.kind === "sync-cores") return "sync";
    expect([phase.from, phase.to]).toEqual([SITE.far.code, SITE.far.code + 4n]);
    return "wait";
  });

describe("a site with a slot", () => {
  test("needs no more than its word for near targets, and nothing where nothing changes", () => {
    for (const [from, to] of pairs)
      if (!isFar(from) && !isFar(to)) expect(show(plan(from, to))).toEqual(["word", "sync"]);
    for (const state of STATES) expect(plan(state, state)).toEqual({ phases: [] });
  });

  test("has a far target there before its word leads to it, and away from it nobody at the load before it goes", () => {
    for (const [from, to] of pairs) {
      if (!isFar(from) && isFar(to)) expect(show(plan(from, to))).toEqual(["slot", "sync", "word", "sync"]);
      if (isFar(from) && !isFar(to)) expect(show(plan(from, to))).toEqual(["word", "sync", "wait", "slot"]);
    }
  });

  test("goes from one far target to another by one store, or by a breakpoint where the kind changes, too", () => {
    expect(show(plan(STATES[3]!, STATES[4]!))).toEqual(["word", "sync", "wait"]);
    expect(show(plan(STATES[3]!, STATES[5]!))).toEqual(["slot", "sync"]);
    expect(show(plan(STATES[4]!, STATES[6]!))).toEqual(["slot", "sync"]);
    const both = plan(STATES[3]!, STATES[6]!);
    expect(show(both)).toEqual(["word", "sync", "wait", "slot", "sync", "word", "sync"]);
    expect(both.trap).toEqual({ address: SITE.address, resume: STATES[6] });
  });

  test("stores 8 aligned bytes in it, which are 0 when the site is as before", () => {
    const [store] = plan(NOP, STATES[3]!).phases;
    const bytes = new Uint8Array(new BigUint64Array([FAR]).buffer);
    expect(store).toEqual({ kind: "write", address: SITE.far.slot, expect: SLOT, bytes });
    expect([SITE.far.slot % 8n, SLOT]).toEqual([0n, new Uint8Array(8)]);
    expect(plan(STATES[3]!, NOP).phases.at(-1)).toEqual({ ...store, expect: bytes, bytes: SLOT });
  });

  test("is refused where the slot is not aligned, or the far jump is far", () => {
    const refused = (far: { code: bigint; slot: bigint }, code: string): void =>
      expect(() => arm64.poke({ ...SITE, far }, NOP, STATES[3]!)).toThrow(expect.objectContaining({ code }));
    refused({ code: SITE.far.code, slot: SITE.far.slot + 4n }, "argument");
    refused({ code: SITE.far.code + 2n, slot: SITE.far.slot }, "argument");
    refused({ code: SITE.address + 0x800_0000n, slot: SITE.address + 0x800_000cn }, "out-of-range");
  });
});

describe("on the way a CPU does what the site said or what it says", () => {
  test("from each state to each other one", () => {
    for (const [from, to] of pairs) {
      const { wrong, seen } = explore([from, to], [plan(from, to)]);
      expect(wrong, `${nameOf(from)} to ${nameOf(to)}`).toEqual(new Set());
      expect(seen).toBeGreaterThan(2);
    }
  });

  test("and on through a third and a fourth one, whatever has been loaded by then", () => {
    let searched = 0;
    for (const [first, second] of pairs) {
      for (const third of STATES) {
        for (const fourth of [NOP, STATES[1]!, STATES[3]!, STATES[6]!]) {
          const states = [first, second, third, fourth];
          const plans = states.slice(1).map((to, i) => plan(states[i]!, to));
          const { wrong, seen } = explore(states, plans);
          searched += seen;
          expect(wrong, states.map(nameOf).join(", ")).toEqual(new Set());
        }
      }
    }
    expect(searched).toBeGreaterThan(10_000);
  });

  test("but not without any one of the syncs and waits", () => {
    let left = 0;
    for (const [from, to] of pairs) {
      const whole = plan(from, to);
      for (const [i, { kind }] of whole.phases.entries()) {
        if (kind === "write") continue;
        const lacking = { ...whole, phases: whole.phases.toSpliced(i, 1) };
        // The wait of a plan that changes the kind alone is for the next plan.
        const next = STATES.find((state) => isFar(state) && state.kind === to.kind && state !== to) ?? NOP;
        const { wrong } = explore([from, to, next], [lacking, plan(to, next)]);
        expect(wrong.size, `${nameOf(from)} to ${nameOf(to)} without its ${kind} at ${i}`).toBeGreaterThan(0);
        left++;
      }
    }
    expect(left).toBeGreaterThan(80);
  });

  test("nor with the slot last on the way there, or first on the way back, or without the breakpoint", () => {
    const reordered = (from: SiteState, to: SiteState, order: readonly number[]): number => {
      const { phases } = plan(from, to);
      const some: PokePhase[] = order.map((i) => phases[i]!);
      return explore([from, to], [{ phases: some }]).wrong.size;
    };
    expect(reordered(NOP, STATES[3]!, [0, 1, 2, 3])).toBe(0);
    expect(reordered(NOP, STATES[3]!, [2, 3, 0, 1])).toBeGreaterThan(0);
    expect(reordered(STATES[3]!, NOP, [0, 1, 2, 3])).toBe(0);
    expect(reordered(STATES[3]!, NOP, [2, 3, 0, 1])).toBeGreaterThan(0);
    expect(reordered(STATES[3]!, STATES[6]!, [0, 1, 2, 3, 4, 5, 6])).toBeGreaterThan(0);
  });

  test("nor where a plan leaves its target in the slot, and another one comes while a CPU is at the load", () => {
    const [call, jump] = [STATES[3]!, STATES[6]!];
    const away: PokePlan = { phases: plan(call, NOP).phases.slice(0, 2) };
    expect(explore([call, NOP, jump], [away, plan(NOP, jump)]).wrong.size).toBeGreaterThan(0);
    expect(explore([call, NOP, jump], [plan(call, NOP), plan(NOP, jump)]).wrong.size).toBe(0);
  });
});
