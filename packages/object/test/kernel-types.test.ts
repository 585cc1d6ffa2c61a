import { verify } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { attachTarget, kernelTypes, loadBtf } from "../src/index.ts";
import { load } from "./objects.ts";

/** BTF that is written type by type; ids from 1. */
class Types {
  readonly #words: number[] = [];
  #strings = "\0";
  #count = 0;

  add(
    kind: number,
    name: string,
    third: number,
    rest: readonly number[] = [],
    vlen: number = 0,
    flag: number = 0,
  ): number {
    this.#words.push(this.text(name), flag * 2 ** 31 + kind * 2 ** 24 + vlen, third, ...rest);
    return ++this.#count;
  }

  text(text: string): number {
    if (text === "") return 0;
    this.#strings += `${text}\0`;
    return this.#strings.length - text.length - 1;
  }

  func(name: string, returns: number, params: readonly [string, number][]): number {
    const proto = this.add(
      13,
      "",
      returns,
      params.flatMap(([param, type]) => [this.text(param), type]),
      params.length,
    );
    return this.add(12, name, proto, [], 1);
  }

  load(): ReturnType<typeof loadBtf> {
    const types = 4 * this.#words.length;
    const bytes = new Uint8Array(24 + types + this.#strings.length);
    const header = [0x1eb9f, 24, 0, types, types, this.#strings.length];
    new Uint32Array(bytes.buffer, 0, 6 + this.#words.length).set([...header, ...this.#words]);
    bytes.set(new TextEncoder().encode(this.#strings), 24 + types);
    return loadBtf(bytes);
  }
}

const types = new Types();
const int = types.add(1, "int", 4, [0x0100_0020]);
const long = types.add(1, "long", 8, [0x40]);
const char = types.add(1, "char", 1, [8]);
const inner = types.add(5, "", 8, [0, long, 0, 0, int, 0], 2);
const task = types.add(
  4,
  "task_struct",
  48,
  [
    ...[types.text("pid"), int, 0],
    ...[types.text("parent"), 6, 64],
    ...[0, inner, 128],
    ...[types.text("comm"), 7, 192],
    ...[types.text("exit_state"), int, 3 * 2 ** 24 + 320],
  ],
  5,
  1,
);
const pointer = types.add(2, "", task);
const name = types.add(3, "", 0, [char, int, 16]);
const bytes = types.add(2, "", char);
const file = types.add(4, "file", 8, [types.text("f_mode"), int, 0], 1);
const toFile = types.add(2, "", file);
types.func("do_exit", int, [
  ["tsk", pointer],
  ["code", long],
  ["buf", bytes],
]);
types.func("__x64_sys_nanosleep", long, [["regs", pointer]]);
types.func("__riscv_sys_nanosleep", long, [["regs", pointer]]);
types.func("bpf_lsm_file_open", int, [["file", toFile]]);
types.func("bpf_lsm_task_free", 0, [["task", pointer]]);
types.func("bpf_iter_task", int, [
  ["meta", pointer],
  ["task", pointer],
]);
const probe = types.add(
  13,
  "",
  0,
  [types.text("__data"), bytes, types.text("tsk"), pointer, types.text("skip"), pointer],
  3,
);
const toProbe = types.add(2, "", probe);
types.add(8, "btf_trace_sched_pi_setprio", toProbe);
const btf = types.load();
const known = kernelTypes(btf);

test("structures have their members, with what those are", () => {
  expect(known.struct("task_struct")).toEqual({
    name: "task_struct",
    size: 48,
    members: [
      { name: "pid", bit: 0, type: { kind: "number", size: 4, signed: true } },
      { name: "parent", bit: 64, type: { kind: "pointer", to: "task_struct" } },
      { name: "", bit: 128, type: { kind: "struct", struct: `#${inner}` } },
      { name: "comm", bit: 192, type: { kind: "array", count: 16, of: { kind: "number", size: 1, signed: false } } },
      { name: "exit_state", bit: 320, bits: 3, type: { kind: "number", size: 4, signed: true } },
    ],
  });
  expect(known.struct(`#${inner}`)).toMatchObject({ name: "", union: true, size: 8 });
  expect([known.struct("nothing"), known.struct("#1")]).toEqual([undefined, undefined]);
  expect(name).toBe(7);
});

describe("what a program is attached to", () => {
  const targetOf = (type: string, attachType: string, target: string) =>
    attachTarget(btf, { type, attachType, target });

  test("a function: its arguments and result", () => {
    expect(targetOf("tracing", "trace_fentry", "do_exit")).toEqual({
      name: "do_exit",
      args: [{ kind: "pointer", to: "task_struct" }, { kind: "number", size: 8, signed: false }, { kind: "address" }],
      result: { kind: "number", size: 4, signed: true },
      modifiable: false,
      sleepable: false,
    });
  });

  test("a system call, which is a matter of the kernel's version", () => {
    for (const name of ["__x64_sys_nanosleep", "__riscv_sys_nanosleep"])
      expect(targetOf("tracing", "modify_return", name)).toMatchObject({ systemCall: true, modifiable: false });
    expect(targetOf("tracing", "modify_return", "do_exit")).not.toHaveProperty("systemCall");
  });

  test("a hook: what it may return, and whether it may sleep", () => {
    expect(targetOf("lsm", "lsm_mac", "file_open")).toMatchObject({ returns: { min: -4095, max: 0 }, sleepable: true });
    expect(targetOf("lsm", "lsm_mac", "bpf_lsm_task_free")).toMatchObject({ untrusted: true, sleepable: false });
    expect(targetOf("lsm", "lsm_mac", "do_exit")?.refusal).toMatch(/points to wrong type name do_exit$/);
  });

  test("a tracepoint lacks its first argument, and some can be null", () => {
    expect(targetOf("tracing", "trace_raw_tp", "sched_pi_setprio")?.args).toEqual([
      { kind: "pointer", to: "task_struct" },
      { kind: "pointer", to: "task_struct", nullable: true },
    ]);
  });

  test("an iterator's element can be null", () => {
    expect(targetOf("tracing", "trace_iter", "task")?.args[1]).toMatchObject({ nullable: true });
  });

  test("nothing for others, and an error for what is not there", () => {
    expect(attachTarget(btf, { type: "xdp", target: "do_exit" })).toBeUndefined();
    expect(attachTarget(btf, { type: "tracing", attachType: "trace_fentry" })).toBeUndefined();
    expect(targetOf("tracing", "trace_fentry_multi", "do_*")).toBeUndefined();
    expect(() => targetOf("tracing", "trace_fentry", "nothing")).toThrow("no func nothing in the kernel's BTF");
  });
});

test("an object's program is verified against its target", () => {
  const program = load("kfunc").programs.find(({ target }) => target === "do_exit")!;
  const licensed = { ...program, license: "GPL" };
  const target = attachTarget(btf, program)!;
  const verdict = (options: Parameters<typeof verify>[1]) => {
    const result = verify(licensed, options);
    return result.ok ? "accepted" : result.reason;
  };
  expect(verdict({ target, types: known })).toBe("R1 must be a rcu pointer");
  expect(verdict({ target: { ...target, args: [] }, types: known })).toBe("invalid bpf_context access off=0 size=8");
});
