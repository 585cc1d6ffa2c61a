import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bpfkit } from "./support.ts";

const FILES = {
  "slots.o": new Uint8Array(readFileSync(new URL("../../object/test/objects/slots.o", import.meta.url))),
};

test("tail prints where tail calls lead, how much stack they can take and what counting costs", () => {
  const { out, code } = bpfkit(["tail", "slots.o", "dispatch"], FILES);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "ipv4 (syscall), 0 tail calls; verified by the rules of Linux 7.2

    ipv6 (syscall), 0 tail calls; verified by the rules of Linux 7.2

    dispatch (syscall), 1 tail call; verified by the rules of Linux 7.2
      slot  in        through   form      to
         3  dispatch  table[*]  indirect  0: ipv4, 3: ipv6
      dispatch: 0 bytes above it
      counting them, x86-64, 102 bytes in all
      in        edge       instructions  loads  stores  bytes
      dispatch  entry                 8      0       3     17
      dispatch  tail-call             6      5       1     19

    at most 1 frame and 0 bytes of stack, with 33 tail calls among these programs
    "
  `);
});

test("tail --set fills a slot, and takes the place of what the object puts there", () => {
  const { out } = bpfkit(["tail", "slots.o", "dispatch", "--set", "table[1]=ipv4,table[3]=dispatch"], FILES);
  expect(out).toContain("0: ipv4, 3: dispatch, 1: ipv4");
});

test("tail --dot is a graph", () => {
  const { out } = bpfkit(["tail", "slots.o", "--dot"], FILES);
  expect(out).toMatchInlineSnapshot(`
    "digraph tail_calls {
      node [shape=box];
      subgraph "cluster_ipv4" {
        label="ipv4";
        "ipv4/0" [label="ipv4"];
      }
      subgraph "cluster_ipv6" {
        label="ipv6";
        "ipv6/0" [label="ipv6"];
      }
      subgraph "cluster_dispatch" {
        label="dispatch";
        "dispatch/0" [label="dispatch"];
      }
      "dispatch/0" -> "ipv4/0" [style=dashed, label="table[0]"];
      "dispatch/0" -> "ipv6/0" [style=dashed, label="table[3]"];
    }
    "
  `);
});

test("tail -j", () => {
  const { out } = bpfkit(["tail", "slots.o", "dispatch", "-j", "--arch", "riscv64", "--scheme", "pass-through"], FILES);
  const json = JSON.parse(out);
  expect(json.worst).toEqual({ frames: 1, bytes: 0 });
  expect(json.programs.map(({ program }: { program: string }) => program)).toEqual(["ipv4", "ipv6", "dispatch"]);
  expect(json.programs[2]).toMatchObject({
    tailCalls: [{ insn: 3, subprog: "dispatch", map: "table", form: "indirect", to: [{ slot: 0 }, { slot: 3 }] }],
    stack: { tailCalls: [{ path: ["dispatch"], bytesAbove: 0 }] },
  });
});

test.each([
  [
    ["--scheme", "pass-through"],
    "--scheme is one of pointer, write-back, by-value, per-program on x86-64, not pass-through",
  ],
  [["--set", "table[9]=ipv4"], "--set table[9]=ipv4: table has 4 slots"],
  [["--set", "other[0]=ipv4"], "--set other[0]=ipv4: there is table"],
  [["--set", "table[0]=ipv5"], "no program ipv5; there are ipv4, ipv6, dispatch"],
  [["--set", "table=ipv4"], "--set table=ipv4; write MAP[SLOT]=PROG"],
])("tail %j is refused", (words, message) => {
  const { err, code } = bpfkit(["tail", "slots.o", ...words], FILES);
  expect([code, err]).toEqual([2, `bpfkit: ${message}\n`]);
});

test.each(["interpreter", "x86-64", "arm64", "riscv64", "all"])("run follows tail calls on %s", (engine) => {
  const ctx = (slot: number): Uint8Array => Uint8Array.of(slot, 0, 0, 0);
  const run = (slot: number, ...more: string[]): unknown => {
    const words = ["run", "slots.o", "dispatch", "--ctx", "ctx", "--engine", engine, "-j", ...more];
    const { out, code } = bpfkit(words, { ...FILES, ctx: ctx(slot) });
    expect(code).toBe(0);
    const { engines } = JSON.parse(out);
    return engines.at(-1).result.returnValue;
  };
  expect([0, 1, 2, 3, 4].map((slot) => run(slot))).toEqual([4, 0, 0, 6, 0]);
  expect(run(1, "--set", "table[1]=ipv6")).toBe(6);
});
