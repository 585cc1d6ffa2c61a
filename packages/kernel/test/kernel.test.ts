import { assemble, interpreter, type MapSpec, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { ARRAY, HASH, le32, le64, mapSpec, PERCPU_ARRAY } from "./support/scripted.ts";

const load = (text: string, options: { type?: string; maps?: MapSpec[]; kfuncs?: string[]; kernel?: Kernel } = {}) => {
  const { kernel = new Kernel({ engine: interpreter }), ...rest } = options;
  return kernel.load(trust(assemble(text, rest)));
};

describe("loading", () => {
  test.each([
    ["a program type that is not built", "r0 = 0\nexit", "kprobe"],
    ["a helper that nobody has built", "call get_current_task\nexit", "xdp"],
    ["a helper that does not exist", "call 9999\nexit", "xdp"],
    ["a helper of another program type", "r0 = 0\nr1 = 0\nr2 = 0\ncall xdp_adjust_head\nexit", "syscall"],
    ["a packet load in a program without a socket buffer", "r6 = r1\nr0 = *(u32 *)skb[4]\nexit", "xdp"],
  ])("refuses %s and names the instruction", (_what, text, type) => {
    expect(() => load(text, { type })).toThrowErrorMatchingSnapshot();
  });

  test("refuses a kfunc that nobody defined, and a direct load of a value that the kernel does not allow", () => {
    expect(() => load("call hello\nexit", { kfuncs: ["hello"] })).toThrowErrorMatchingSnapshot();
    const maps = [mapSpec(ARRAY, { maxEntries: 1 })];
    expect(() =>
      load("r1 = map[idx:0][0]+8 ll\nr0 = 0\nexit".replace(" ll", ""), { maps }),
    ).toThrowErrorMatchingSnapshot();
    expect(() => load("r1 = map[idx:0][0]+0\nr0 = 0\nexit", { maps: [mapSpec(HASH)] })).toThrowErrorMatchingSnapshot();
  });

  test("leaves no maps of a program that could not be loaded", () => {
    const kernel = new Kernel({ engine: interpreter });
    const maps = [mapSpec(ARRAY), mapSpec(HASH, { keySize: 0 })];
    expect(() => load("r0 = 0\nexit", { kernel, maps })).toThrow("key size 0");
    expect(kernel.maps).toEqual([]);
    expect(() => load("r1 = map[idx:0][0]+8\nr0 = 0\nexit", { kernel, maps: [maps[0]!] })).toThrow("ENOTSUPP");
    expect(kernel.maps).toEqual([]);
  });

  test("makes a program's maps, and shares those that another program named by the same spec", () => {
    const kernel = new Kernel({ engine: interpreter });
    const spec = mapSpec(ARRAY, { name: "shared", maxEntries: 1 });
    const text = "r1 = map[idx:0][0]+0\nr0 = *(u64 *)(r1 + 0)\nr0 += 1\n*(u64 *)(r1 + 0) = r0\nexit";
    const [first, second] = [load(text, { kernel, maps: [spec] }), load(text, { kernel, maps: [spec] })];
    expect([first.run().returnValue, second.run().returnValue, first.run().returnValue]).toEqual([1, 2, 3]);
    expect(kernel.maps.length).toBe(1);
    expect(kernel.map("shared").lookup(le32(0))).toEqual(le64(3));
  });
});

describe("running", () => {
  test("hands a syscall program its context, to read and to write", () => {
    const program = load("r0 = *(u32 *)(r1 + 0)\nr0 += 2\n*(u32 *)(r1 + 4) = r0\nexit");
    const { stop, returnValue, contextOut, dataOut } = program.run({ context: Uint8Array.of(40, 0, 0, 0, 1, 1, 1, 1) });
    expect(stop).toEqual({ kind: "returned", value: 42n });
    expect(returnValue).toBe(42);
    expect(contextOut).toEqual(Uint8Array.of(40, 0, 0, 0, 42, 0, 0, 0));
    expect(dataOut).toBeUndefined();
    expect(program.run({ context: Uint8Array.of(1, 0, 0, 0) }).stop).toMatchObject({ kind: "trap", cause: "store" });
    expect(program.run().stop).toMatchObject({ kind: "trap", cause: "load", address: 0n });
  });

  test("refuses a syscall program what the kernel's test run refuses", () => {
    const program = load("r0 = 0\nexit");
    expect(() => program.run({ data: new Uint8Array(64) })).toThrow(
      "packet data for a syscall program (EINVAL), expected a context",
    );
    expect(() => program.run({ repeat: 2 })).toThrow("repeat 2 of a syscall program (EINVAL), expected 1");
    expect(() => program.run({ context: new Uint8Array(65_536) })).toThrow(
      "a context of 65536 bytes (EINVAL), expected at most 65535 bytes",
    );
  });

  test("reports 32 bits of r0, and a trap as a value", () => {
    expect(load("r0 = -1\nexit").run()).toMatchObject({
      returnValue: 0xffff_ffff,
      stop: { value: 0xffff_ffff_ffff_ffffn },
    });
    const { stop, returnValue } = load("r1 = 0\nr0 = *(u64 *)(r1 + 16)\nexit").run();
    expect(stop).toMatchObject({ kind: "trap", cause: "load", address: 16n, pc: 1n });
    expect(returnValue).toBeUndefined();
  });

  test("ends a run whose budget is used up, and counts instructions over all repetitions", () => {
    const program = load("loop:\ngoto loop", { type: "xdp" });
    expect(program.run({ budget: 1000 })).toMatchObject({ stop: { kind: "budget" }, executed: 1000 });
    expect(load("r0 = 1\nexit", { type: "xdp" }).run({ repeat: 10, budget: 7 })).toMatchObject({
      stop: { kind: "budget" },
      executed: 7,
    });
  });

  test("can be stepped, one instruction at a time", () => {
    const program = load("r0 = 1\nr0 += 41\nexit");
    using run = program.start();
    const seen: [number, bigint][] = [];
    while (run.step(100) === undefined) seen.push([run.at, run.register(0)]);
    expect(seen.map(([at]) => at)).toEqual([0, 1, 2]);
    expect(seen.slice(1).map(([, value]) => value)).toEqual([1n, 42n]);
    expect(run.result).toMatchObject({ returnValue: 42, executed: 3 });
  });

  test("gives a CPU to one run at a time", () => {
    const kernel = new Kernel({ engine: interpreter, cpus: 2 });
    const program = load("r0 = 0\nexit", { kernel });
    const run = program.start({ cpu: 1 });
    expect(() => program.run({ cpu: 1 })).toThrow("cpu 1 is running a program");
    expect(program.run({ cpu: 0 }).returnValue).toBe(0);
    run[Symbol.dispose]();
    expect(program.run({ cpu: 1 }).returnValue).toBe(0);
  });

  test("keeps what runs may hold until the last of them has ended", () => {
    const kernel = new Kernel({ engine: interpreter, cpus: 2 });
    const maps = [mapSpec(HASH)];
    const text =
      "*(u32 *)(r10 - 4) = 1\nr1 = map[idx:0]\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nif r0 == 0 goto +1\nr0 = *(u64 *)(r0 + 0)\nexit";
    const program = load(text, { kernel, maps });
    const map = kernel.map("m");
    map.update(le32(1), le64(5));
    using first = program.start({ cpu: 0 });
    using second = program.start({ cpu: 1 });
    while (first.at !== 7) first.step(1);
    const address = first.register(0);
    map.delete(le32(1));
    expect(second.run(100)).toEqual({ kind: "returned", value: 0n });
    expect(first.run(100)).toEqual({ kind: "returned", value: 5n });
    expect(() => kernel.memory.load(8, address)).toThrow("freed");
  });

  test("is over for a program that was released", () => {
    const program = load("r0 = 0\nexit");
    program.release();
    program[Symbol.dispose]();
    expect(() => program.run()).toThrow("program 'main' was released");
  });
});

describe("helpers and kfuncs of one's own", () => {
  test("go before the built-in ones, see the kernel, and may give negative numbers", () => {
    const kernel = new Kernel({ engine: interpreter });
    kernel.registerHelper("bpf_ktime_get_ns", (_call, { clock }) => clock.now / 1_000_000_000n);
    kernel.registerHelper(500, ({ args: [a, b] }) => a - b);
    expect(load("call ktime_get_ns\nexit", { kernel }).run().returnValue).toBe(1);
    expect(load("r1 = 2\nr2 = 3\ncall 500\nexit", { kernel }).run().stop).toEqual({
      kind: "returned",
      value: 0xffff_ffff_ffff_ffffn,
    });
    expect(() => kernel.registerHelper("nonsense", () => 0n)).toThrow("helper 'nonsense'");
  });

  test("may call back into the program", () => {
    const kernel = new Kernel({ engine: interpreter });
    kernel.defineKfunc("twice", function* ({ args: [callback, value] }) {
      const once = yield { address: callback, args: [value] };
      return yield { address: callback, args: [once] };
    });
    const text = "r1 = subprog[triple]\nr2 = 5\ncall twice\nexit\ntriple:\nr0 = r1\nr0 *= 3\nexit";
    expect(load(text, { kernel, kfuncs: ["twice"] }).run().returnValue).toBe(45);
  });

  test("end the program with a trap where they leave its memory", () => {
    const kernel = new Kernel({ engine: interpreter });
    kernel.defineKfunc("peek", ({ args: [address] }, { memory }) => memory.load(8, address));
    const program = load("r1 = 64\ncall peek\nexit", { kernel, kfuncs: ["peek"] });
    expect(program.run().stop).toMatchObject({ kind: "trap", cause: "load", address: 64n, pc: 1n });
  });
});

describe("a kernel", () => {
  test("gives equal addresses, times and random numbers to equal histories", () => {
    const history = (): unknown => {
      const kernel = new Kernel({ engine: interpreter, cpus: 2, seed: 7 });
      const maps = [mapSpec(HASH), mapSpec(PERCPU_ARRAY, { name: "n" })];
      const text =
        "call get_prandom_u32\nr6 = r0\ncall ktime_get_ns\nr0 ^= r6\nr1 = map[idx:1] ll\nr0 ^= r1\nexit".replace(
          " ll",
          "",
        );
      const program = load(text, { kernel, maps });
      return [program.run({ cpu: 1 }).stop, program.run().stop, kernel.map("m").address, kernel.memory.hash()];
    };
    expect(history()).toEqual(history());
  });

  test.each([0, -1, 1.5, 2000])("cannot have %s CPUs", (cpus) => {
    expect(() => new Kernel({ engine: interpreter, cpus })).toThrow(`${cpus} cpus, expected 1 to 1024`);
  });

  test("has room for the stacks of many CPUs", () => {
    const kernel = new Kernel({ engine: interpreter, cpus: 256 });
    expect(load("call get_smp_processor_id\nexit", { kernel }).run({ cpu: 255 }).returnValue).toBe(255);
  });
});
