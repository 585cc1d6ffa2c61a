import { describe, expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import { defineBackend } from "../../src/jit/define-backend.ts";
import { formatListing, notesOf } from "../../src/jit/listing.ts";
import { trust } from "../../src/trust.ts";
import { toy, toyParts } from "./toy.ts";

const backend = toy("register");
const compile = (text: string, options = {}) => backend.compile(trust(assemble(text)), options);

describe("compile", () => {
  test("records where each instruction begins and ends, and gives both slots of a wide load the same place", () => {
    const { boundaries, ends, subprogs } = compile("r0 = 1 ll\ngoto +0\nr0 += 1000\nexit");
    const { body, end } = subprogs[0]!;
    expect([...boundaries]).toEqual([body, body, body + 8, body + 8, body + 16]);
    expect([...ends]).toEqual([body + 8, body + 8, body + 8, body + 16, end - 16]);
  });

  test("places subprograms one behind the other, with what lies out of line behind each", () => {
    const { subprogs, code, patchSites } = compile("r0 = 1\nr0 += 1000\ncall f\nexit\nf:\nr0 = 2\nexit");
    expect(subprogs.map(({ name }) => name)).toEqual(["main", "f"]);
    expect(subprogs[0]!.start).toBe(0);
    expect(subprogs[1]!.start).toBe(subprogs[0]!.end);
    expect(subprogs[1]!.end).toBe(code.length);
    expect(patchSites).toEqual(
      subprogs.map(({ start }, subprog) => ({ kind: "entry", offset: start, size: 8, subprog })),
    );
  });

  test("gives the same image for the same program, whatever was compiled in between", () => {
    const first = compile("r0 = 1\nr0 += 1000\nexit");
    compile("call f\nexit\nf:\nr0 = 2\nr0 += 1000\nexit");
    expect(compile("r0 = 1\nr0 += 1000\nexit")).toEqual(first);
  });

  test.each([
    ["r0 = 0\nr1 = addr_space_cast(r0, 0, 1)\nexit", "addr_space_cast at 1 has no lowering on toy-register yet", 1],
    ["gotox r1\nexit", "gotox at 0 has no lowering on toy-register yet", 0],
    ["callx r1\nexit", "callx at 0 has no lowering on toy-register yet", 0],
  ])("refuses %j by name", (text, message, insn) => {
    expect.assertions(3);
    try {
      compile(text);
    } catch (error) {
      expect(error).toBeInstanceOf(BpfError);
      expect((error as BpfError).message).toBe(message);
      expect((error as BpfError).details.insn).toBe(insn);
    }
  });

  test("takes settings that the backend declares, and names them in the image", () => {
    expect(compile("exit").layout).toBe("no-padded level=2 tailCalls=pointer no-directTailCalls fast");
    const padded = compile("exit", { layout: { padded: true }, features: { fast: false } });
    expect(padded.layout).toBe("padded level=2 tailCalls=pointer no-directTailCalls no-fast");
    expect(padded.subprogs[0]!.body).toBe(compile("exit").subprogs[0]!.body + 8);
  });

  test("refuses settings that the backend does not declare", () => {
    expect(() => compile("exit", { layout: { pad: true } })).toThrow(
      "unknown layout setting pad, expected padded, level",
    );
    expect(() => compile("exit", { features: { slow: true } })).toThrow("unknown features setting slow, expected fast");
    expect(() => compile("exit", { layout: { level: true } })).toThrow(
      "layout setting level of type boolean, expected number",
    );
    expect(() => compile("exit", { layout: { toString: true } })).toThrow("unknown layout setting toString");
    expect(() => compile("exit", { layout: { tailCalls: "by-value" } })).toThrow(
      "layout setting tailCalls=by-value, expected pointer",
    );
  });

  test("refuses a tail call below a callback, which nobody hands the count to", () => {
    const callback = "r1 = 1\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit\nf:\ncall 12\nr0 = 0\nexit";
    expect(() => compile(callback)).toThrow("a tail call within callback f of");
  });

  test("E-4 a prologue that lands tail calls elsewhere than it says is found out", () => {
    const wrong = defineBackend({ ...toyParts("register"), landing: () => 16 });
    expect(() => wrong.compile(trust(assemble("r0 = 0\nexit")))).toThrow(
      "tail calls landing 16 bytes behind the entry, not 32",
    );
  });
});

describe("a listing", () => {
  test("shows offsets, bytes, instructions and what the image knows of them", () => {
    const program = assemble("call f\ncall 5\nexit\nf:\nr0 += 1000\nexit");
    const image = backend.compile(trust(program));
    expect(`\n${formatListing(backend.disassemble(image.code), notesOf(image, program))}\n`).toMatchInlineSnapshot(`
      "
      main:
      .site entry 8
      0000  03 0b 00 00 f0 ff ff ff  addi sp, t0, -16
      0008  06 0b 0c 00 08 00 00 00  store sp, lr, 8
      0010  06 0b 0a 00 00 00 00 00  store sp, t10, 0
      0018  02 0a 0b 00 00 00 00 00  mov t10, sp, 0
      0020  03 0b 00 00 00 00 00 00  addi sp, t0, 0
      ; 0: call pc+2
      0028  07 00 00 00 50 00 00 00  call t0, t0, 80
      0030  02 00 01 00 00 00 00 00  mov t0, t1, 0
      ; 1: call bpf_ktime_get_ns
      0038  0b 00 00 00 00 00 00 00  callabs t0, t0, 0  ; helper 5
      0040  02 00 01 00 00 00 00 00  mov t0, t1, 0
      ; 2: exit
      0048  02 0b 0a 00 00 00 00 00  mov sp, t10, 0
      0050  05 0a 0b 00 00 00 00 00  load t10, sp, 0
      0058  05 0c 0b 00 08 00 00 00  load lr, sp, 8
      0060  03 0b 00 00 10 00 00 00  addi sp, t0, 16
      0068  02 01 00 00 00 00 00 00  mov t1, t0, 0
      0070  0a 00 00 00 00 00 00 00  ret t0, t0, 0
      f:
      .site entry 8
      0078  03 0b 00 00 f0 ff ff ff  addi sp, t0, -16
      0080  06 0b 0c 00 08 00 00 00  store sp, lr, 8
      0088  06 0b 0a 00 00 00 00 00  store sp, t10, 0
      0090  02 0a 0b 00 00 00 00 00  mov t10, sp, 0
      0098  03 0b 00 00 00 00 00 00  addi sp, t0, 0
      ; 3: r0 += 1000
      00a0  08 00 00 00 38 00 00 00  jump t0, t0, 56
      ; 4: exit
      00a8  02 0b 0a 00 00 00 00 00  mov sp, t10, 0
      00b0  05 0a 0b 00 00 00 00 00  load t10, sp, 0
      00b8  05 0c 0b 00 08 00 00 00  load lr, sp, 8
      00c0  03 0b 00 00 10 00 00 00  addi sp, t0, 16
      00c8  02 01 00 00 00 00 00 00  mov t1, t0, 0
      00d0  0a 00 00 00 00 00 00 00  ret t0, t0, 0
      00d8  03 00 00 00 e8 03 00 00  addi t0, t0, 1000
      00e0  08 00 00 00 c8 ff ff ff  jump t0, t0, -56
      "
    `);
  });
});
