// Tail calls as machine code on the CPU: programs, a prog array written by hand, and what the counter costs.
import {
  Access,
  assemble,
  type CompileOptions,
  type Executable,
  type Execution,
  type Host,
  type HostFunction,
  type Image,
  jit,
  MAP_TYPES,
  MAX_TAIL_CALLS,
  Memory,
  PROG,
  PROG_ARRAY,
  type Program,
  type SiteState,
  type Symbol as SymbolRef,
  type TextSite,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { type Reg, riscv64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";

const ENTRIES = 4;
const MAP = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: ENTRIES, flags: 0 };
const STACK = 1 << 15;
const SCHEMES = riscv64.capabilities.tailCallSchemes;
const EXACT = SCHEMES.filter((scheme) => scheme !== "by-value");
const NOTHING: SiteState = { kind: "nop" };

const parse = (text: string, name = "test"): Program => ({
  ...assemble(text, { maps: [MAP], kfuncs: ["double"] }),
  name,
});
const compile = (text: string, options: CompileOptions = {}): Image => riscv64.compile(trust(parse(text)), options);
const counted = (tailCalls: string): CompileOptions => ({ layout: { tailCalls } });

/** Each scheme with and without the features that make a difference to its code, and with branches of two bytes. */
const SETTINGS: readonly [name: string, tailCalls: string, options: CompileOptions][] = SCHEMES.flatMap((tailCalls) => [
  [tailCalls, tailCalls, counted(tailCalls)],
  [`${tailCalls} without C and Zba`, tailCalls, { ...counted(tailCalls), features: { c: false, zba: false } }],
  [`${tailCalls} with short branches`, tailCalls, { layout: { tailCalls, shortBranches: true, nearCalls: true } }],
]);

/** Memory with one prog array and a log of 64 words, which is every program's r1. */
class World implements Host {
  readonly memory: Memory = new Memory({ sizes: { text: 1 << 18, stack: 1 << 16, data: 1 << 16 } });
  readonly log: bigint = this.memory.allocate("data", 512, "log").address;
  readonly table: bigint = this.memory.allocate("data", PROG_ARRAY.programs + 8 * ENTRIES, "table").address;
  readonly stack: { readonly low: bigint; readonly high: bigint };
  readonly #engine;

  constructor(options: CompileOptions = {}) {
    this.#engine = jit(riscv64, { ...options, counting: true });
    const { address } = this.memory.allocate("stack", STACK, "stack");
    this.stack = { low: address, high: address + BigInt(STACK) };
    this.memory.store(4, this.table + BigInt(PROG_ARRAY.maxEntries), BigInt(ENTRIES));
  }

  address(): bigint {
    return this.table;
  }

  function(symbol: SymbolRef): HostFunction {
    return ({ args: [value] }) => (symbol.kind === "kfunc" ? value * 2n : value + 1n);
  }

  load(text: string, name?: string): Executable {
    return this.#engine.load(trust(parse(text, name)), this);
  }

  /** Loads a program and puts it into the array. */
  put(index: number, text: string): Executable {
    const { memory } = this;
    const executable = this.load(text, `in slot ${index}`);
    const program = memory.allocate("data", PROG.entry + 8, "program").address;
    memory.store(8, program + BigInt(PROG.entry), executable.subprogAddress(0));
    memory.store(8, this.table + BigInt(PROG_ARRAY.programs + 8 * index), program);
    return executable;
  }

  start(executable: Executable): Execution {
    return executable.start({ args: [this.log], stack: this.stack });
  }

  run(executable: Executable, budget = 100_000): bigint | string {
    const stop = this.start(executable).run(budget);
    return stop.kind === "returned" ? stop.value : stop.kind;
  }

  logged(...indices: readonly number[]): number[] {
    return indices.map((index) => Number(this.memory.load(8, this.log + BigInt(8 * index))));
  }

  /** Carries out a plan of the backend, after a look at what is there. */
  poke(site: TextSite, from: SiteState, to: SiteState): void {
    for (const phase of riscv64.poke(site, from, to).phases) {
      if (phase.kind !== "write") continue;
      expect(this.memory.view(phase.address, phase.expect.length)).toEqual(phase.expect);
      this.memory.write(phase.address, phase.bytes);
    }
  }
}

/** `bpf_tail_call(r6, table, slot)`. */
const jump = (slot: number | string): string => `r1 = r6\nr2 = map[table]\nr3 = ${slot}\ncall tail_call\n`;
/** Adds 1 to word `index` of the log that r6 points to. */
const count = (index: number): string => `r1 = 1\nlock *(u64 *)(r6 + ${8 * index}) += r1\n`;
const call = (name: string): string => `r1 = r6\ncall ${name}\n`;
/** A subprogram that tries a tail call and gives 2 where that fails. */
const sub = (name: string, slot: number): string => `${name}:\nr6 = r1\n${jump(slot)}r0 = 2\nexit\n`;

const listing = (code: Uint8Array): string[] => [...riscv64.disassemble(code)].map(({ text }) => text);
const listingOf = (image: Image, slot: number): string[] =>
  listing(image.code.subarray(image.boundaries[slot]!, image.ends[slot]!));
const sizes = ({ subprogs }: Image): number[] => subprogs.map(({ start, end }) => end - start);

/** Slot 6 is an indirect tail call, slot 11 one whose index is known. */
const TAIL =
  "r6 = r1\nr7 = 1\n*(u64 *)(r10 - 8) = r7\nr3 = *(u32 *)(r1 + 0)\nr2 = map[table]\ncall tail_call\n" +
  "r1 = r6\nr2 = map[table]\nr3 = 2\ncall tail_call\nr0 = 1\nexit";
/** Main calls a subprogram that can make a tail call, a helper, a kfunc, and a subprogram that cannot. */
const MIXED = `r6 = r1\n${call("f")}r1 = 1\ncall 5\nr1 = 1\ncall double\ncall g\nr0 = 0\nexit\n${sub("f", 0)}g:\nr0 = 2\nexit`;

describe("the code of a tail call", () => {
  test("is Linux' of July 2026", () => {
    expect(listingOf(compile(TAIL), 6)).toEqual([
      "zext.w a2, a2",
      "lwu t1, 0x4c(a1)",
      "bgeu a2, t1, 0x36",
      "ld a6, 0x18(sp)",
      "addi a6, a6, -0x1",
      "bltz a6, 0x36",
      "sh3add t2, a2, a1",
      "ld t2, 0x130(t2)",
      "beqz t2, 0x36",
      "sd a6, 0x18(sp)",
      "ld t3, 0x48(t2)",
      "ld s0, 0x38(sp)",
      "ld s1, 0x30(sp)",
      "ld s2, 0x28(sp)",
      "ld s5, 0x20(sp)",
      "ld a6, 0x18(sp)",
      "addi sp, sp, 0x40",
      "jr 0xc(t3)",
    ]);
  });

  test("is that byte for byte, as an assembler writes it", () => {
    const { code, boundaries, ends } = compile(TAIL);
    expect(hex(code.subarray(boundaries[6]!, ends[6]!)).replaceAll(" ", "")).toBe(
      "3b060608" + "03e3c504" + "63776602" + "6268" + "7d18" + "63430802" + "b363b620" + "83b30313" + "638d0300" + "42ec" +
        "03be8304" + "6274" + "c274" + "2279" + "827a" + "6268" + "2161" + "6700ce00",
    ); // biome-ignore format: an instruction each
  });

  test("without Zba adds eight times the index in two steps", () => {
    expect(listingOf(compile(TAIL, { features: { zba: false } }), 6)).toEqual(
      expect.arrayContaining(["slli a2, a2, 0x20", "srli a2, a2, 0x20", "slli t2, a2, 0x3", "add t2, t2, a1"]),
    );
  });

  test("saves no return address where nothing is called", () => {
    const names = compile(TAIL).subprogs[0]!.frame.map(({ name }) => name);
    expect(names).toEqual(["s0 of the caller", "s1", "s2", "s5", "tail calls left", "stack"]);
  });

  test("is as large as Linux' with addresses of 20 bytes and the slot's instructions", () => {
    // 7.2 has 194 bytes with addresses of 18 bytes and without a slot: two bytes for each of its loads and stores.
    expect(sizes(compile(TAIL))).toEqual([194 + 2 * 2 + 2 * (1 + 2 * 3 + 1)]);
    expect(sizes(compile(TAIL, counted("pass-through")))).toEqual([194 + 2 * 2]);
  });

  test("lets a subprogram that can make one go on with its caller's count, and takes it back", () => {
    const image = compile(MIXED);
    expect(listing(image.code.subarray(image.subprogs[1]!.start, image.subprogs[1]!.body))).toEqual([
      "nop",
      "nop",
      "addi sp, sp, -0x20",
      "sd s0, 0x18(sp)",
      "sd s1, 0x10(sp)",
      "sd a6, 0x8(sp)",
      "addi s0, sp, 0x20",
    ]);
    expect(listingOf(image, 2)[0]).toBe("ld a6, 0x0(sp)");
    expect(listingOf(image, 2).at(-1)).toBe("sd a6, 0x0(sp)");
  });

  test.each(SCHEMES)("marks with %s what of it is there for the counter", (tailCalls) => {
    const image = compile(MIXED, counted(tailCalls));
    for (const { start, end } of image.counterCode) {
      for (const text of listing(image.code.subarray(start, end)))
        expect(text).toMatch(/\ba6\b|\bs6\b|\bt3\b|li t1, 0x21|addi sp, sp, -0x10|sd zero/);
    }
    const marked = image.counterCode.reduce((sum, { start, end }) => sum + end - start, 0);
    const mentions = [...riscv64.disassemble(image.code)].filter(({ text }) => /\ba6\b|\bs6\b/.test(text));
    expect(marked).toBeGreaterThanOrEqual(mentions.reduce((sum, { bytes }) => sum + bytes.length, 0));
  });
});

describe("where tail calls land", () => {
  test.each(SETTINGS)("E-5 the words before it are never compressed: %s", (_name, tailCalls, options) => {
    for (const text of ["r0 = 0\nexit", TAIL, MIXED]) {
      const { code, landing, patchSites } = compile(text, options);
      expect(landing).toBe(tailCalls === "pointer" ? 20 : 12);
      expect(patchSites[0]).toMatchObject({ kind: "entry", offset: 0, size: 8 });
      for (const { offset, bytes } of riscv64.disassemble(code.subarray(0, landing)))
        expect([bytes.length, offset % 4]).toEqual([4, 0]);
    }
  });
});

describe.each(SETTINGS)("tail calls counted %s", (_name, tailCalls, options) => {
  const isExact = tailCalls !== "by-value";

  test("B-1 a program that tail-calls itself runs 34 times, and again so in the next invocation", () => {
    const world = new World(options);
    const self = world.put(0, `r6 = r1\n${count(0)}${jump(0)}r0 = 7\nexit`);
    for (const runs of [1, 2]) {
      expect(world.run(self)).toBe(7n);
      expect(world.logged(0)).toEqual([34 * runs]);
    }
  });

  test("B-2 a subprogram's tail call returns to the subprogram's caller", () => {
    const world = new World(options);
    world.put(1, "r0 = 40\nexit");
    const main = world.load(`r6 = r1\n${call("f")}r0 += 2\nexit\n${sub("f", 1)}`);
    expect(world.run(main)).toBe(42n);
  });

  test("B-3 an empty slot and an index that is not there cost nothing and leave r6 to r9 and the stack alone", () => {
    const world = new World(options);
    const tries = `${jump(1)}${jump(ENTRIES)}${jump(-1)}${jump("0x100000001 ll")}`;
    const self = world.put(
      0,
      `r6 = r1\nr7 = 7\nr8 = 8\nr9 = 9\n*(u64 *)(r10 - 16) = r9\n${count(0)}${tries}${jump(0)}
      r0 = *(u64 *)(r10 - 16)\nr0 += r7\nr0 += r8\nr0 += r9\nexit`,
    );
    expect(world.run(self)).toBe(33n);
    expect(world.logged(0)).toEqual([34]);
  });

  test("an index counts with its low 32 bits", () => {
    const world = new World(options);
    world.put(2, "r0 = 5\nexit");
    expect(world.run(world.load(`r6 = r1\n${jump("0x700000002 ll")}r0 = 1\nexit`))).toBe(5n);
  });

  test("B-16 callers find their registers and their stack whatever the other program keeps", () => {
    const many = "r6 = 1\nr7 = 1\nr8 = 1\nr9 = 1\n*(u64 *)(r10 - 400) = r9\nr1 = 1\ncall 5\nr0 = 1\nexit";
    for (const target of ["r0 = 1\nexit", many, "*(u64 *)(r10 - 8) = r1\nr0 = 1\nexit", "r7 = 3\nr0 = 1\nexit"]) {
      const world = new World(options);
      world.put(1, target);
      const main = world.load(
        `r6 = r1\nr7 = 70\nr8 = 80\nr9 = 90\n*(u64 *)(r10 - 8) = r7\n${call("f")}${call("g")}
        r0 = *(u64 *)(r10 - 8)\nr0 += r7\nr0 += r8\nr0 += r9\nexit
        f:\nr6 = r1\n${jump(1)}exit
        g:\nr6 = r1\nr8 = 1\nr9 = 2\n*(u64 *)(r10 - 64) = r9\n${jump(1)}exit`,
      );
      expect(world.run(main)).toBe(310n);
    }
  });

  test("B-17 helpers and kfuncs between two tries change nothing", () => {
    const world = new World(options);
    const self = world.put(
      0,
      `r6 = r1\n${count(0)}r1 = 1\ncall 5\n${jump(1)}r1 = 1\ncall double\n${call("g")}${jump(0)}r0 = 1\nexit
      g:\nr1 = 1\ncall 5\nexit`,
    );
    expect(world.run(self)).toBe(1n);
    expect(world.logged(0)).toEqual([34]);
  });

  test("B-4 hierarchy: an entry whose two subprograms tail-call it runs 34 times, but not by value", () => {
    const world = new World(options);
    const self = world.put(
      0,
      `r6 = r1\n${count(0)}r1 = 1\ncall 5\n${call("f")}${call("g")}r0 = 1\nexit\n${sub("f", 0)}${sub("g", 0)}`,
    );
    const end = world.run(self, 20_000);
    if (isExact) {
      expect(end).toBe(1n);
      expect(world.logged(0)).toEqual([34]);
    } else {
      expect(end).toBe("budget");
      expect(world.logged(0)[0]).toBeGreaterThan(100);
    }
  });

  test("B-4 hierarchy: what the machine counts never goes back, but by value", () => {
    const world = new World(options);
    const self = world.put(
      0,
      `r6 = r1\n${count(0)}r1 = 1\ncall double\n${call("f")}${call("g")}r0 = 1\nexit\n${sub("f", 0)}${sub("g", 0)}`,
    );
    const execution = world.start(self);
    let highest = 0;
    let wentBack = false;
    for (let steps = 0; steps < 2000 && execution.step(1000) === undefined; steps++) {
      const { tailCalls: now } = execution;
      if (now < 0) continue;
      wentBack ||= now < highest;
      highest = Math.max(highest, now);
    }
    expect([highest, wentBack]).toEqual([MAX_TAIL_CALLS, !isExact]);
  });

  /** Makes 32 tail calls before its two subprograms try one each: to slots 1 and 2. */
  const lastOne = `r6 = r1\nr1 = *(u64 *)(r6 + 0)\nif r1 >= 32 goto work
    r1 += 1\n*(u64 *)(r6 + 0) = r1\n${jump(0)}r0 = 99\nexit
    work:\n${call("sub1")}${call("sub3")}exit\n${sub("sub1", 1)}${sub("sub3", 2)}`;

  test.each([
    ["nothing", ""],
    ["a helper", "r1 = 1\ncall 5\n"],
    ["a kfunc", "r1 = 1\ncall double\n"],
    ["a subprogram", "call g\n"],
  ])("E-1 the last tail call is spent by a subprogram that became a program, which calls %s", (_what, calls) => {
    const world = new World(options);
    const self = world.put(0, lastOne);
    world.put(1, `r6 = r1\n${count(1)}${calls}r0 = 1\nexit\ng:\nr1 = 1\ncall 5\nr0 = 3\nexit`);
    world.put(2, `r6 = r1\n${count(2)}r0 = 1\nexit`);
    expect(world.run(self)).toBe(isExact ? 2n : 1n);
    expect(world.logged(0, 1, 2)).toEqual([32, 1, isExact ? 0 : 1]);
  });

  test("E-2 a subprogram spends all 33, and the next one's tail call falls through", () => {
    const world = new World(options);
    world.put(1, `r6 = r1\n${count(1)}r1 = 1\ncall 5\n${jump(1)}r0 = 1\nexit`);
    world.put(2, `r6 = r1\n${count(2)}r0 = 1\nexit`);
    const main = world.load(`r6 = r1\n${call("sub1")}${call("sub3")}exit\n${sub("sub1", 1)}${sub("sub3", 2)}`);
    expect(world.run(main)).toBe(isExact ? 2n : 1n);
    expect(world.logged(1, 2)).toEqual([33, isExact ? 0 : 1]);
  });

  test("E-8 an empty array, then a filled one", () => {
    const world = new World(options);
    const main = world.load(`r6 = r1\n${jump(0)}r0 = 0\nexit`);
    expect(world.run(main)).toBe(0n);
    world.put(0, "r0 = 42\nexit");
    expect(world.run(main)).toBe(42n);
  });

  test("direct ones follow their two sites", () => {
    const world = new World({ ...options, layout: { ...options.layout, directTailCalls: true } });
    const main = world.load(
      `r6 = r1\n${call("f")}${call("f")}exit\nf:\nr6 = r1\nr7 = 5\n${count(0)}${jump(1)}r0 = 2\nexit`,
    );
    const { pokes } = main.image!;
    expect(pokes.map(({ subprog, map, key, bypass, target }) => [subprog, map, key, bypass.size, target.size])).toEqual(
      [[1, 0, 1, 4, 8]],
    );
    const [bypass, target] = [pokes[0]!.bypass, pokes[0]!.target].map(({ offset, size }) => ({
      address: main.imageAddress! + BigInt(offset),
      size,
    }));
    const over: SiteState = { kind: "jump", target: target!.address + 8n };
    const other = world.put(1, `r6 = r1\n${count(1)}r1 = 1\ncall 5\nr0 = 7\nexit`);
    const into: SiteState = { kind: "jump", target: other.subprogAddress(0) + BigInt(other.image!.landing) };
    expect(world.run(main)).toBe(2n);
    world.poke(target!, NOTHING, into);
    expect(world.run(main)).toBe(2n);
    world.poke(bypass!, over, NOTHING);
    expect(world.run(main)).toBe(7n);
    expect(world.logged(0, 1)).toEqual([6, 2]);
    world.poke(bypass!, NOTHING, over);
    world.poke(target!, into, NOTHING);
    expect(world.run(main)).toBe(2n);
    expect(world.memory.view(main.imageAddress!, main.image!.code.length).subarray(pokes[0]!.bypass.offset)).toEqual(
      riscv64
        .link(main.image!, main.imageAddress!, (symbol) => (symbol.kind === "map" ? world.table : main.imageAddress!))
        .subarray(pokes[0]!.bypass.offset),
    );
  });

  test("direct ones make 33 as well", () => {
    const world = new World({ ...options, layout: { ...options.layout, directTailCalls: true } });
    const self = world.put(0, `r6 = r1\n${count(0)}${jump(0)}r0 = 7\nexit`);
    const { bypass, target } = self.image!.pokes[0]!;
    const [at, end] = [bypass.offset, target.offset].map((offset) => self.imageAddress! + BigInt(offset));
    const landing: SiteState = { kind: "jump", target: self.imageAddress! + BigInt(self.image!.landing) };
    world.poke({ address: end!, size: 8 }, NOTHING, landing);
    world.poke({ address: at!, size: 4 }, { kind: "jump", target: end! + 8n }, NOTHING);
    expect(world.run(self)).toBe(7n);
    expect(world.logged(0)).toEqual([34]);
  });

  test("the host finds its stack and its registers, wherever the last program came from", () => {
    for (const text of [
      `r6 = r1\n${jump(0)}r0 = 1\nexit`,
      `r6 = r1\n${call("f")}r0 = 1\nexit\n${sub("f", 0)}`,
      MIXED,
    ]) {
      const world = new World(options);
      const last = world.put(1, "r6 = 1\nr7 = 2\n*(u64 *)(r10 - 40) = r7\nr1 = 1\ncall 5\nr0 = 4\nexit");
      const middle = world.put(0, `r6 = r1\nr8 = 3\n${call("f")}r6 = r1\n${jump(1)}exit\n${sub("f", 1)}`);
      const { before, after } = walk(world, world.load(text), [middle, last]);
      expect(after).toEqual(before);
    }
  });
});

/** Registers that a function leaves as they were. */
const PRESERVED: readonly Reg[] = ["sp", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"];

type Cost = [instructions: number, loads: number, stores: number];

/** Runs a program one machine instruction after another; what each edge's counter code cost, and registers before and after. */
function walk(
  world: World,
  main: Executable,
  others: readonly Executable[] = [],
): { costs: Record<string, Cost>; before: bigint[]; after: bigint[] } {
  const { memory } = world;
  const cpu = riscv64.createCpu(memory, { counting: true });
  const end = memory.allocate("host", 16, "end of the walk", Access.HOST).address;
  PRESERVED.forEach((register, i) => {
    cpu.set(register, 0x5000n + BigInt(i));
  });
  cpu.set("sp", world.stack.high);
  cpu.set("ra", end);
  cpu.set("a0", world.log);
  cpu.pc = main.imageAddress!;
  const before = PRESERVED.map((register) => cpu.get(register));
  const costs: Record<string, Cost> = {};
  const edgeAt = (pc: bigint): string | undefined => {
    for (const { image, imageAddress } of [main, ...others]) {
      const offset = Number(pc - imageAddress!);
      const found = image!.counterCode.find(({ start, end: limit }) => offset >= start && offset < limit);
      if (found !== undefined) return found.edge;
    }
    return undefined;
  };
  for (let steps = 0; steps < 10_000; steps++) {
    const edge = edgeAt(cpu.pc);
    const { loads, stores } = cpu.counts!;
    const stop = cpu.run(1);
    if (edge !== undefined) {
      const cost = costs[edge] ?? [0, 0, 0];
      costs[edge] = [cost[0] + 1, cost[1] + cpu.counts!.loads - loads, cost[2] + cpu.counts!.stores - stores];
    }
    if (stop.kind === "trap") throw new Error(`${stop.cause} at 0x${cpu.pc.toString(16)}: ${stop.detail}`);
    if (cpu.pc === end) return { costs, before, after: PRESERVED.map((register) => cpu.get(register)) };
    if (cpu.pc >= end - 0x1000n && cpu.pc < end) {
      const back = cpu.get("ra");
      for (const register of riscv64.abi.callerSaved) cpu.set(register, 0xdead_beefn);
      cpu.pc = back;
    }
  }
  throw new Error("no end");
}

describe("what the counter costs", () => {
  /** Main is entered, calls f, which becomes another program, calls a helper, a kfunc and g, and leaves. */
  const costsOf = (tailCalls: string): Record<string, Cost> => {
    const world = new World(counted(tailCalls));
    const other = world.put(0, "r0 = 1\nexit");
    return walk(world, world.load(MIXED), [other]).costs;
  };

  test("E-3 write-back: a slot, loaded before calls and stored behind them; nothing around helpers and kfuncs", () => {
    expect(costsOf("write-back")).toEqual({
      entry: [4, 0, 2], // main: li, sd; f: sd; g: li
      call: [1, 1, 0],
      return: [1, 0, 1],
      "tail-call": [5, 2, 1],
      exit: [1, 1, 0],
    });
  });

  test("E-3 pointer: the address from the slot, and the count behind it", () => {
    expect(costsOf("pointer")).toEqual({
      entry: [5, 0, 3], // main: addi, sd, mv, sd; f: sd
      call: [1, 1, 0],
      "tail-call": [6, 2, 1],
    });
  });

  test("E-3 by-value: nothing behind calls", () => {
    expect(costsOf("by-value")).toEqual({
      entry: [4, 0, 2],
      call: [1, 1, 0],
      "tail-call": [3, 1, 0],
    });
  });

  test("E-3 pass-through: put aside around helpers, kfuncs and a subprogram that does not keep it, but not around one that does", () => {
    expect(costsOf("pass-through")).toEqual({
      entry: [3, 0, 1], // main: li, sd s6; g: li
      call: [1, 0, 0], // g
      return: [1, 0, 0],
      "host-call": [2, 0, 0],
      "host-return": [2, 0, 0],
      "tail-call": [2, 0, 0],
      exit: [1, 1, 0], // s6
    });
  });

  test.each(SCHEMES)("E-7 no calls, no tail calls: no slot and no loads: %s", (tailCalls) => {
    const world = new World(counted(tailCalls));
    const main = world.load("r0 = 0\nexit");
    const execution = world.start(main);
    execution.run(100);
    expect([execution.counts!.loads, execution.counts!.stores]).toEqual([1, 1]); // s0
    const names = main.image!.subprogs[0]!.frame.map(({ name }) => name);
    expect(names.filter((name) => name !== "room for the count of tail calls")).toEqual(["s0 of the caller"]);
  });

  test.each(EXACT)(
    "a main program that calls something gives back the count that it may have been entered with: %s",
    (tailCalls) => {
      const { counterCode } = compile("r1 = 1\ncall 5\nexit", counted(tailCalls));
      const edges = counterCode.map(({ edge }) => edge);
      expect(edges).toEqual(
        {
          "write-back": ["entry", "entry", "exit"],
          pointer: ["entry"],
          "pass-through": ["entry", "entry", "host-call", "host-return", "exit"],
        }[tailCalls as string],
      );
    },
  );
});
