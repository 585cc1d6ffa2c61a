// Explanations as the report that Linux 7.3 prints. Headings, indents and the first program's headline, caret line, context and empty path
// are as publicly quoted; no kernel that judges here prints it yet.
import { expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import type { LineInfo } from "../../src/program.ts";
import { verify } from "../../src/verifier/verify.ts";

test("the report stands between the reason and the statistics", () => {
  const { log } = verify(assemble("exit", { type: "xdp" }), { logLevel: 1, logDialect: "7.3" });
  expect(log.join("\n")).toMatchInlineSnapshot(`
    "0: R1=ctx() R10=fp0
    0: (95) exit
    R0 !read_ok

    Verification failed: Register Type Safety: Unreadable register

    Reason:
      Nothing was written to R0 on this path.
      Needed: R0 is written on every path that leads here.

    At:
      insn 0
            | ^-- error: R0 !read_ok
      Instruction context:
      >>> 0 | (95) exit

    Causal path:
      no retained diagnostic events on this path

    Suggestion:
      Give the register a value on every path that leads here; a call leaves nothing in r1 to r5.

    processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0"
  `);
  const short = verify(assemble("exit", { type: "xdp" }), { logLevel: 1 });
  expect(short.log).toEqual([...log.slice(0, 3), log.at(-1)]);
});

test("steps and places have their source lines", () => {
  const text = "r2 = *(u32 *)(r1 + 0)\nr0 = 0\nr0 = *(u8 *)(r2 + 14)\nexit";
  const lines: LineInfo = {
    insn: Uint32Array.of(0, 2, 3),
    file: Uint32Array.of(0, 0, 0),
    line: Uint32Array.of(10, 13, 14),
    column: Uint32Array.of(7, 3, 1),
    text: ["\tchar *data = ctx->data;", "\treturn data[14];", "}"],
    files: ["prog.bpf.c"],
  };
  const { log } = verify({ ...assemble(text, { type: "xdp" }), lines }, { logDialect: "7.3" });
  expect(log.join("\n")).toMatchInlineSnapshot(`
    "invalid access to packet, off=14 size=1, R2(id=0,off=14,r=0)
    R2 min value is outside of the allowed memory range

    Verification failed: Memory Safety: An access to the packet lies outside of what was checked

    Reason:
      R2 is a pointer to the packet, of which 0 bytes are checked.
      Needed: offset 14 + size 1 ≤ 0, the bytes that were compared with the packet's end.

    At:
      insn 2 (prog.bpf.c:13)
         13 | return data[14];
            | ^-- error: R2 min value is outside of the allowed memory range
      Instruction context:
          0 | (61) r2 = *(u32 *)(r1 +0)
          1 | (b7) r0 = 0
      >>> 2 | (71) r0 = *(u8 *)(r2 +14)
          3 | (95) exit

    Causal path:
      insn 0: (61) r2 = *(u32 *)(r1 +0) (prog.bpf.c:10)
         10 | char *data = ctx->data;
            | R2 becomes a pointer to the packet

    Suggestion:
      Compare data plus the end of the access with data_end first, and leave where it is greater.

    processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0"
  `);
});

test("a program whose shape is the reason has a place and no path", () => {
  const { log } = verify(assemble("r0 = 0\nexit\nr0 = 1\nexit", { type: "xdp" }), { logDialect: "7.3" });
  expect(log.join("\n")).toMatchInlineSnapshot(`
    "unreachable insn 2

    Verification failed: Program Structure: Nothing leads to an instruction

    Reason:
      Nothing leads to instruction 2.
      Needed: every instruction can be reached.

    At:
      insn 2
            | ^-- error: unreachable insn 2
      Instruction context:
          0 | (b7) r0 = 0
          1 | (95) exit
      >>> 2 | (b7) r0 = 1
          3 | (95) exit

    Causal path:
      no retained diagnostic events on this path

    Suggestion:
      Remove the instruction, or the jump that always leads around it.
    "
  `);
});

test("an accepted program has no report", () => {
  const accepted = assemble("r0 = 0\nexit", { type: "xdp" });
  expect(verify(accepted, { logDialect: "7.3" }).log).toEqual(verify(accepted).log);
});
