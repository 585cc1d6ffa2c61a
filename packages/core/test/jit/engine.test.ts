import { describe, expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import { jit } from "../../src/jit/engine.ts";
import type {
  Executable,
  Execution,
  GuestCall,
  Host,
  HostCall,
  HostFunction,
  Symbol as SymbolRef,
} from "../../src/machine/engine.ts";
import { Memory } from "../../src/machine/memory.ts";
import type { Stop } from "../../src/machine/stop.ts";
import { trust } from "../../src/trust.ts";
import { type Link, toy } from "./toy.ts";

const LINKS: readonly Link[] = ["stack", "register"];
const helper = (id: number): string => `call ${id}`;

interface World {
  readonly memory: Memory;
  readonly executable: Executable;
  start(...args: bigint[]): Execution;
}

function world(
  link: Link,
  text: string,
  helpers: Readonly<Record<number, HostFunction>> = {},
  stackSize = 4096,
): World {
  const memory = new Memory();
  const host: Host = {
    memory,
    address: (symbol: SymbolRef) => {
      throw new BpfError("unknown-symbol", `no address for ${symbol.kind}`);
    },
    function: (symbol) => {
      const found = symbol.kind === "helper" ? helpers[symbol.id] : undefined;
      if (found === undefined) throw new BpfError("unknown-symbol", `no function for ${symbol.kind}`);
      return found;
    },
  };
  const stack = memory.allocate("stack", stackSize, "stack");
  const executable = jit(toy(link)).load(trust(assemble(text)), host);
  const space = { low: stack.address, high: stack.address + BigInt(stackSize) };
  return { memory, executable, start: (...args) => executable.start({ args, stack: space }) };
}

/** Slots in the order in which steps reach them, with the stop at the end. */
function trace(execution: Execution, look: (execution: Execution) => unknown = ({ at }) => at): [unknown[], Stop] {
  const seen: unknown[] = [];
  for (;;) {
    const stop = execution.step(1000);
    if (stop !== undefined) return [seen, stop];
    seen.push(look(execution));
  }
}

/** Calls its first argument with each number below its second, and adds the results up. */
function* each({ args: [callback, count] }: HostCall): Generator<GuestCall, bigint, bigint> {
  let sum = 0n;
  for (let i = 0n; i < count; i++) sum += yield { address: callback, args: [i] };
  return sum;
}

const CALLBACKS = `
    r6 = r1
    r1 = callback ll
    r2 = r6
    call 1
    r0 += r6
    exit
callback:
    r0 = r1
    r0 += 5
    exit
`;

describe.each(LINKS)("code that returns through the %s", (link) => {
  test("gets its arguments and gives its result", () => {
    const { start } = world(link, "r0 = r1\nr0 += r5\nexit");
    expect(start(40n, 0n, 0n, 0n, 2n).run(100)).toEqual({ kind: "returned", value: 42n });
  });

  test("has its stack below the frame register, and calls have their own", () => {
    const text = `
        *(u64 *)(r10 - 8) = r1
        r1 += 1
        call inner
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    inner:
        *(u64 *)(r10 - 8) = r1
        r0 = *(u64 *)(r10 - 8)
        exit`;
    expect(world(link, text).start(20n).run(100)).toEqual({ kind: "returned", value: 41n });
  });

  test("runs the same in one go, one instruction at a time and in steps", () => {
    const { start } = world(link, CALLBACKS, { 1: each });
    const whole = start(3n);
    expect(whole.run(1000)).toEqual({ kind: "returned", value: 21n });
    const slow = start(3n);
    let stop = slow.run(1);
    for (let i = 0; stop.kind === "budget" && i < 1000; i++) stop = slow.run(1);
    expect(stop).toEqual({ kind: "returned", value: 21n });
    expect(slow.executed).toBe(whole.executed);
    const stepped = start(3n);
    expect(trace(stepped)[1]).toEqual({ kind: "returned", value: 21n });
    expect(stepped.executed).toBe(whole.executed);
  });

  test("stops exactly when the budget is used up", () => {
    const execution = world(link, "r0 = 1\nl:\ngoto l\nexit").start();
    expect(execution.run(7)).toEqual({ kind: "budget" });
    expect(execution.executed).toBe(7);
    expect(execution.run(0)).toEqual({ kind: "budget" });
    expect(execution.run(2)).toEqual({ kind: "budget" });
    expect(execution.executed).toBe(9);
  });

  test("says where it is at each boundary, and nothing between", () => {
    const { start } = world(link, "r0 = 1\nr0 += 1000\nr0 += 2\nexit");
    const execution = start();
    expect(execution.at).toBe(-1);
    expect(trace(start(), (e) => [e.at, e.register(0)])[0].slice(1)).toEqual([
      [1, 1n],
      [2, 1001n],
      [3, 1003n],
    ]);
    execution.step(1000);
    expect(execution.at).toBe(0);
  });

  test("shares a boundary between an instruction without code and the next one", () => {
    expect(trace(world(link, "r0 = 1\ngoto +0\nr0 += 2\nexit").start())[0]).toEqual([0, 1, 3]);
  });

  test("steps once around a jump to itself", () => {
    const execution = world(link, "l:\nif r1 == r1 goto l\nexit").start();
    expect(execution.step(1000)).toBeUndefined();
    const before = execution.executed;
    expect(execution.step(1000)).toBeUndefined();
    expect([execution.at, execution.executed - before]).toEqual([0, 1]);
  });

  test("can be stepped with too small a budget and goes on", () => {
    const execution = world(link, "r0 = 7\nexit").start();
    expect(execution.step(1)).toEqual({ kind: "budget" });
    expect(execution.at).toBe(-1);
    expect(trace(execution)).toEqual([[0, 1], { kind: "returned", value: 7n }]);
  });

  test("steps into subprograms and back", () => {
    const { start } = world(link, "call f\nr0 += 1\nexit\nf:\nr0 = 41\nexit");
    expect(trace(start())).toEqual([[0, 3, 4, 1, 2], { kind: "returned", value: 42n }]);
  });

  test("calls helpers with r1 to r5 and r6, and scrambles what calls may change, the same in every run", () => {
    const calls: HostCall[] = [];
    const keep: HostFunction = (call) => {
      calls.push(call);
      return 100n;
    };
    const text = `r6 = 6\nr1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\n${helper(1)}\nr0 += r1\nexit`;
    const { start } = world(link, text, { 1: keep });
    const after: bigint[][] = [];
    for (let i = 0; i < 2; i++) {
      const execution = start();
      while (execution.at !== 7) expect(execution.step(1000)).toBeUndefined();
      expect(execution.register(0)).toBe(100n);
      expect(execution.register(6)).toBe(6n);
      after.push([1, 2, 3, 4, 5].map((register) => execution.register(register)));
    }
    expect(calls[0]).toMatchObject({ args: [1n, 2n, 3n, 4n, 5n], r6: 6n, cpu: 0 });
    for (const [i, value] of after[0]!.slice(1).entries()) expect(value).not.toBe(BigInt(i + 2));
    expect(after[0]).toEqual(after[1]);
  });

  test("gives a helper's result as 64 bits", () => {
    expect(
      world(link, `${helper(1)}\nexit`, { 1: () => -1n })
        .start()
        .run(100),
    ).toEqual({ kind: "returned", value: (1n << 64n) - 1n });
  });

  test("steps through callbacks in order", () => {
    const { start } = world(link, CALLBACKS, { 1: each });
    expect(trace(start(2n))[0]).toEqual([0, 1, 3, 4, 7, 8, 9, 7, 8, 9, 5, 6]);
  });

  test("keeps r6 to r9 and the stack across callbacks, also nested ones", () => {
    const text = `
        r6 = r1
        r1 = outer ll
        r2 = r6
        call 1
        r0 += r6
        exit
    outer:
        r6 = r1
        *(u64 *)(r10 - 8) = r1
        r1 = inner ll
        r2 = r6
        call 1
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    inner:
        r6 = 1
        r0 = r1
        r0 += r6
        exit`;
    // outer(i) = (1 + … + i) + i; the sum over i < 4 is 0 + 2 + 5 + 9.
    expect(world(link, text, { 1: each }).start(4n).run(10_000)).toEqual({ kind: "returned", value: 20n });
  });

  test("ends with the trap of the code, at its address, and stays there", () => {
    const { start, executable } = world(link, "r0 = 1\nr1 = 5\nr0 = *(u64 *)(r1 + 3)\nexit");
    const execution = start();
    const pc = executable.imageAddress! + BigInt(executable.image!.boundaries[2]!);
    const stop = execution.run(100);
    expect(stop).toMatchObject({
      kind: "trap",
      cause: "load",
      pc,
      address: 8n,
      size: 8,
      detail: "8 bytes past a null pointer",
    });
    expect(execution.run(100)).toBe(stop);
    expect(execution.step(100)).toBe(stop);
    expect(execution.register(0)).toBe(1n);
  });

  test("ends with a trap inside the call when a helper leaves its memory", () => {
    const { start, executable, memory } = world(link, `r1 = 9\n${helper(1)}\nexit`, {
      1: ({ args: [address] }) => memory.load(8, address),
    });
    const stop = start().run(100);
    const { boundaries, ends } = executable.image!;
    expect(stop).toMatchObject({ kind: "trap", cause: "load", address: 9n });
    const offset = Number((stop as { pc: bigint }).pc - executable.imageAddress!);
    expect(offset).toBeGreaterThan(boundaries[1]!);
    expect(offset).toBeLessThan(ends[1]!);
  });

  test("ends with a trap when a callback traps, and closes the helpers that wait for it", () => {
    const closed: string[] = [];
    function* closing(): Generator<GuestCall, bigint, bigint> {
      try {
        return yield { address: 0x10n, args: [] };
      } finally {
        closed.push("helper");
      }
    }
    const stop = world(link, `${helper(1)}\nexit`, { 1: closing })
      .start()
      .run(100);
    expect(stop).toMatchObject({ kind: "trap", cause: "fetch", pc: 0x10n });
    expect(closed).toEqual(["helper"]);
  });

  test("ends with a trap when calls nest deeper than the stack", () => {
    const stop = world(link, "call f\nexit\nf:\ncall f\nexit", {}, 256).start().run(1000);
    expect(stop).toMatchObject({ kind: "trap", cause: "store" });
  });

  test("lets an error of a helper through", () => {
    const fail = (): bigint => {
      throw new BpfError("limit", "no more");
    };
    expect(() =>
      world(link, `${helper(1)}\nexit`, { 1: fail })
        .start()
        .run(100),
    ).toThrow("no more");
  });

  test("is refused before anything is allocated when a symbol is unknown", () => {
    expect(() => world(link, `${helper(7)}\nexit`)).toThrow(BpfError);
    const memory = new Memory();
    const before = memory.hash();
    const host: Host = {
      memory,
      address: () => 0n,
      function: () => {
        throw new BpfError("unknown-symbol", "no");
      },
    };
    expect(() => jit(toy(link)).load(trust(assemble(`${helper(7)}\nexit`)), host)).toThrow("no");
    expect(memory.hash()).toBe(before);
  });

  test("leaves nothing allocated when its code cannot be linked or has no room for its entry points", () => {
    const unlinkable = {
      ...toy(link),
      link: (): Uint8Array => {
        throw new BpfError("out-of-range", "a distance");
      },
    };
    const host: Host = {
      memory: new Memory({ sizes: { host: 64 << 10 } }),
      address: () => 0n,
      function: () => () => 0n,
    };
    const program = trust(assemble("call 1\nexit"));
    const isText = (): boolean => host.memory.accessAt(host.memory.base + BigInt((64 << 10) + 64)) !== 0;
    expect(() => jit(unlinkable).load(program, host)).toThrow("a distance");
    expect(isText()).toBe(false);
    host.memory.allocate("host", 65_300, "nearly everything");
    const larger = trust(assemble("call 1\ncall 2\ncall 3\nexit"));
    expect(() => jit(toy(link)).load(larger, host)).toThrow("no room");
    expect(isText()).toBe(false);
  });

  test("keeps the registers of a finished run when another one starts", () => {
    const { start } = world(link, "r0 = r1\nexit");
    const first = start(1n);
    first.run(100);
    const { executed } = first;
    const second = start(2n);
    second.run(100);
    expect([first.register(0), second.register(0), first.executed]).toEqual([1n, 2n, executed]);
  });

  test("runs invocations side by side", () => {
    const { start } = world(link, "r0 = r1\nr0 += 1\nexit");
    const first = start(1n);
    const second = start(10n);
    first.step(100);
    second.step(100);
    expect([first.run(100), second.run(100)]).toEqual([
      { kind: "returned", value: 2n },
      { kind: "returned", value: 11n },
    ]);
  });

  test("gives its memory back", () => {
    const { executable, memory, start } = world(link, "r0 = 0\nexit");
    executable.release();
    expect(memory.accessAt(executable.imageAddress!)).toBe(0);
    expect(start().run(100)).toMatchObject({ kind: "trap", cause: "fetch" });
  });

  test("takes callback addresses of an engine that it follows", () => {
    const memory = new Memory();
    const stack = memory.allocate("stack", 4096, "stack");
    const host: Host = { memory, address: () => 0n, function: () => each };
    const addresses: bigint[] = [];
    const spy: HostFunction = (call) => {
      addresses.push(call.args[0]);
      return each(call);
    };
    const executable = jit(toy(link)).load(
      trust(assemble(CALLBACKS)),
      { ...host, function: () => spy },
      { subprogAddress: (i) => 0x70_0000n + BigInt(i) },
    );
    const space = { low: stack.address, high: stack.address + 4096n };
    expect(executable.start({ args: [3n], stack: space }).run(1000)).toEqual({ kind: "returned", value: 21n });
    expect(addresses).toEqual([0x70_0001n]);
  });

  test("refuses more arguments than there are registers", () => {
    expect(() => world(link, "r0 = 0\nexit").start(1n, 2n, 3n, 4n, 5n, 6n)).toThrow(
      "6 arguments, expected at most 5, for r1 to r5",
    );
  });
});
