// Programs attached to functions, through the kernel package, on three architectures: order, rules, values, and what is left when they go.
import { arm64 } from "@bpfkit/arm64";
import { assemble, type Backend, interpreter, trust } from "@bpfkit/core";
import { Kernel, type TracedFunction } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { errorOf, RECORD, TracingWorld } from "./tracing-world.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))("%s", (_arch, backend) => {
  test("a function runs without programs, and with those attached: the last one first, results behind the function", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const sum = world.sum();
    expect(sum.run([5n]).value).toBe(105n);
    expect(world.take()).toEqual(["sum 5"]);
    const first = kernel.attach(world.tracer("fentry", 1), sum);
    const second = kernel.attach(world.tracer("fentry", 2), sum);
    const third = kernel.attach(world.tracer("fexit", 3), sum);
    const fourth = kernel.attach(world.tracer("fexit", 4), sum);
    expect(sum.run([5n]).value).toBe(105n);
    const before = world.take();
    expect(before.map((line) => line.split(" ")[0])).toEqual(["2:", "1:", "sum", "4:", "3:"]);
    expect(before.slice(3)).toEqual(["4: 5 105", "3: 5 105"]);
    second.detach();
    third.detach();
    expect([second.isAttached, third.isAttached, first.isAttached]).toEqual([false, false, true]);
    sum.run([6n]);
    expect(world.take().map((line) => line.split(" ")[0])).toEqual(["1:", "sum", "4:"]);
    first.detach();
    fourth.detach();
    fourth.detach();
    expect(sum.run([5n]).value).toBe(105n);
    expect(world.take()).toEqual(["sum 5"]);
    const entry = kernel.textSites.find(({ owner }) => owner === "sum");
    expect(entry?.state).toEqual({ kind: "nop" });
    expect(kernel.textSites.filter(({ owner }) => owner.startsWith("trampoline"))).toEqual([]);
  });

  test("fmod_ret takes the place of the function where it gives anything but 0", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const sum = world.sum({ errorInjection: true });
    using _zero = kernel.attach(world.tracer("fmod_ret", 1, 0), sum);
    using _exit = kernel.attach(world.tracer("fexit", 3), sum);
    expect(sum.run([7n]).value).toBe(107n);
    expect(world.take()).toEqual(["1: 7 0", "sum 7", "3: 7 107"]);
    using _minus = kernel.attach(world.tracer("fmod_ret", 2, -5), sum);
    expect(BigInt.asIntN(32, sum.run([7n]).value!)).toBe(-5n);
    expect(world.take().map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(["2: 7", "3: 7"]);
  });

  test("helpers and kfuncs tell a program where it is", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const three = kernel.defineFunction("three", "int (u64, struct{u64,u64}, u32)", () => 9n);
    const text = `
      r6 = r1
      call 173
      r7 = r0
      r1 = r6
      call 174
      r8 = r0
      r1 = r6
      call 185
      r9 = r0
      r1 = r7
      r2 = r8
      r3 = r9
      call ${RECORD}
      r1 = r6
      r2 = 2
      r3 = r10
      r3 += -8
      call 183
      r2 = r0
      r3 = *(u64 *)(r10 - 8)
      r1 = 1
      call ${RECORD}
      r1 = r6
      r2 = 4
      r3 = r10
      r3 += -8
      call 183
      r2 = r0
      r3 = 0
      r1 = 2
      call ${RECORD}
      r1 = r6
      r2 = r10
      r2 += -8
      call 184
      r2 = r0
      r3 = *(u64 *)(r10 - 8)
      r1 = 3
      call ${RECORD}
      r0 = 0
      exit`;
    const at = three.address;
    using _exit = kernel.attach(world.load("x", "tracing", text, { attachType: "trace_fexit" }), three, {
      cookie: 0x1_0000_0002n,
    });
    three.run([1n, 2n, 3n, 4n]);
    expect(world.take()).toEqual([`${at}: 4294967298 4`, "1: 0 3", "2: -22 0", "3: 0 9"]);
    using _entry = kernel.attach(world.load("e", "tracing", text, { attachType: "trace_fentry" }), three);
    three.run([1n, 2n, 3n, 4n]);
    expect(world.take().slice(0, 4)).toEqual([`${at}: 0 4`, "1: 0 3", "2: -22 0", "3: -95 3"]);
  });

  test("a function calls others from its body, and programs call functions as kfuncs: each with its own programs", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const sum = world.sum();
    const twice = kernel.defineFunction("twice", "u64 (u64)", function* ({ words: [a] }) {
      const one = yield sum.call(a!);
      return (yield sum.call(one)) + 1n;
    });
    using _inner = kernel.attach(world.tracer("fexit", 1), sum);
    using _outer = kernel.attach(world.tracer("fexit", 2), twice);
    expect(twice.run([1n]).value).toBe(202n);
    expect(world.take()).toEqual(["sum 1", "1: 1 101", "sum 101", "1: 101 201", "2: 1 202"]);
    const caller = world.load("caller", "syscall", "r1 = 4\ncall kfunc[0]\nexit", { kfuncs: ["twice"] });
    expect(caller.run().returnValue).toBe(205);
    expect(world.take().at(-1)).toBe("2: 4 205");
  });

  test("a program is not let in again while it runs on the same CPU", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    let depth = 0;
    const f: TracedFunction = kernel.defineFunction("f", "u64 (u64, u64)", () => 1n);
    const again = kernel.defineFunction("again", "u64 (u64)", function* ({ words: [a] }) {
      depth++;
      return yield f.call(a!, 0n);
    });
    const program = world.load(
      "p",
      "tracing",
      `r1 = 5\ncall kfunc[0]\nr1 = 1\nr2 = r0\nr3 = 0\ncall ${RECORD}\nr0 = 0\nexit`,
      { attachType: "trace_fentry", kfuncs: ["again"] },
    );
    using _link = kernel.attach(program, f);
    expect(f.run([1n, 2n]).value).toBe(1n);
    expect([depth, world.take(), kernel.missesOf(program)]).toEqual([1, ["1: 1 0"], 1]);
    expect(again.options).toEqual({});
  });

  test("a program is a target, too: its arguments, its result, and the subprogram by name", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const main = world.load(
      "main",
      "syscall",
      "r6 = r1\nr1 = 11\nr2 = 22\ncall sub\nexit\nsub: r0 = r1\nr0 += r2\nexit",
    );
    const model = "u64 (u64, u64)";
    using _exit = kernel.attach(world.tracer("fexit", 1), { program: main, subprog: "sub", model });
    using _entry = kernel.attach(world.tracer("fentry", 2), { program: main, subprog: 1, model });
    expect(main.run().returnValue).toBe(33);
    expect(world.take()).toEqual(["2: 11 22", "1: 11 22"]);
    using _whole = kernel.attach(world.tracer("fexit", 3), { program: main, model: "u64 (u64)" });
    expect(main.run().returnValue).toBe(33);
    expect(world.take().at(-1)).toBe("3: 0 33");
  });

  test("A-25 session: it needs two places, runs at entry and at exit, and has a word for itself", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const sum = world.sum();
    const links = Array.from({ length: 37 }, (_, i) => kernel.attach(world.tracer("fentry", i), sum));
    const session = world.load(
      "s",
      "tracing",
      `
      r6 = r1
      call kfunc[0]
      r7 = r0
      r1 = r6
      call kfunc[1]
      r8 = r0
      r3 = *(u64 *)(r8 + 0)
      r2 = r7
      r1 = 100
      call ${RECORD}
      r1 = 77
      *(u64 *)(r8 + 0) = r1
      r0 = 0
      exit`,
      { attachType: "trace_fsession", kfuncs: ["bpf_session_is_return", "bpf_session_cookie"] },
    );
    const before = kernel.ledger;
    const error = errorOf(() => kernel.attach(session, sum));
    expect([error.code, error.message]).toEqual(["limit", expect.stringContaining("39 links")]);
    expect(kernel.ledger).toEqual(before);
    links.pop()!.detach();
    using _link = kernel.attach(session, sum);
    expect(sum.run([5n]).value).toBe(105n);
    const seen = world.take();
    expect(seen.length).toBe(1 + 36 + 1 + 1);
    expect([seen[0], seen.at(-1)]).toEqual(["100: 0 0", "100: 1 77"]);
  });

  test("A-25 session: what it leaves in its word at entry can keep it from doing anything at exit", () => {
    const world = new TracingWorld(backend);
    const sum = world.sum();
    // Linux 7.2 has no other way: at entry, too, the program has to return 0, and its trampoline does not look.
    const session = world.load(
      "s",
      "tracing",
      `
      r6 = r1
      call kfunc[0]
      r7 = r0
      r1 = r6
      call kfunc[1]
      r2 = *(u64 *)(r6 + 0)
      if r7 != 0 goto atExit
      r1 = 1
      if r2 != 9 goto leave
      *(u64 *)(r0 + 0) = r1
      goto leave
      atExit: r1 = *(u64 *)(r0 + 0)
      if r1 != 0 goto leave
      r1 = 100
      r3 = 0
      call ${RECORD}
      leave: r0 = 0
      exit`,
      { attachType: "trace_fsession", kfuncs: ["bpf_session_is_return", "bpf_session_cookie"] },
    );
    using _link = world.kernel.attach(session, sum);
    expect([sum.run([5n]).value, sum.run([9n]).value]).toEqual([105n, 109n]);
    expect(world.take()).toEqual(["sum 5", "100: 5 0", "sum 9"]);
  });

  test("A-28 extension conflict: a subprogram is either replaced or traced, and others are not touched", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const main = world.load(
      "main",
      "syscall",
      "call a\nr6 = r0\ncall b\nr0 += r6\nexit\na: r0 = 1\nexit\nb: r0 = 2\nexit",
    );
    const extension = kernel.load(trust(assemble("r0 = 50\nexit", { name: "ext", type: "ext", license: "GPL" })), {
      target: main,
    });
    const tracer = world.tracer("fentry", 1);
    const model = "u64 ()";
    const link = kernel.extend(extension, "a");
    expect(main.run().returnValue).toBe(52);
    const refused = errorOf(() => kernel.attach(tracer, { program: main, subprog: "a", model }));
    expect(refused.message).toContain("(EBUSY): 'ext' replaces it");
    using _other = kernel.attach(world.tracer("fexit", 2), { program: main, subprog: "b", model: "u64 (u64)" });
    expect(main.run().returnValue).toBe(52);
    expect(world.take().length).toBe(1);
    link.detach();
    expect(main.run().returnValue).toBe(3);
    const traced = kernel.attach(tracer, { program: main, subprog: "a", model });
    expect(errorOf(() => kernel.extend(extension, "a")).message).toContain("(EBUSY): fentry 't1' is attached to it");
    traced.detach();
    using _again = kernel.extend(extension, "a");
    expect(main.run().returnValue).toBe(52);
  });

  test("what the kernel refuses, with nothing changed", () => {
    const world = new TracingWorld(backend);
    const { kernel } = world;
    const sum = world.sum();
    const fentry = world.tracer("fentry", 1);
    using _link = kernel.attach(fentry, sum);
    const plain = world.load("plain", "syscall", "r0 = 0\nexit");
    const cases: [() => unknown, RegExp][] = [
      [() => kernel.attach(fentry, sum), /'t1' at sum \(EBUSY\): it is attached there already/],
      [() => kernel.attach(world.tracer("fmod_ret", 2), sum), /may not be replaced/],
      [() => kernel.attach(world.tracer("fentry", 3, 0, { sleepable: true }), sum), /the function may not/],
      [() => kernel.attach(plain, sum), /type syscall at a function \(EINVAL\)/],
      [() => kernel.attach(world.tracer("fexit", 4), sum, { kind: "fentry" }), /as fentry \(EINVAL\)/],
      [() => kernel.attach(world.tracer("fentry", 5), { program: fentry }), /programs that trace are not traced/],
      [() => kernel.attach(world.tracer("fexit", 6), { program: plain, subprog: "nothing" }), /subprogram 'nothing'/],
      [
        () => kernel.attach(world.tracer("fexit", 6), { program: plain, model: `u64 (${"u64, ".repeat(5)}u64)` }),
        /6 words/,
      ],
      [() => kernel.defineFunction("wide", `u64 (${"u64, ".repeat(12)}u64)`, () => 0n), /13 words/],
      [() => sum.run([]), /0 words for sum/],
      [() => sum.run([1n], { cpu: 1 }), /cpu 1/],
      [() => fentry.run(), /ENOTSUPP/],
    ];
    const sites = kernel.textSites.length;
    for (const [body, message] of cases) expect(errorOf(body, String(message)).message).toMatch(message);
    expect(kernel.textSites.filter(({ owner }) => owner.startsWith("trampoline")).length).toBe(1);
    expect(kernel.textSites.length).toBeGreaterThanOrEqual(sites);
    sum.run([5n]);
    expect(world.take().length).toBe(2);
  });
});

test("functions that can be traced need machine code", () => {
  const kernel = new Kernel({ engine: interpreter });
  expect(errorOf(() => kernel.defineFunction("f", "int ()", () => 0n)).code).toBe("unsupported");
});
