import { describe, expect, test } from "vitest";
import { bpfkit } from "./support.ts";

const MODEL = "int (u64, struct{u64,u32})";

test("tramp prints code with the role of each part, the frame and the places of arguments", () => {
  const { out, code } = bpfkit(["tramp", "--model", "int (int)", "--fmod-ret", "1", "--arch", "arm64"]);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "s32 (s32), fmod_ret, for arm64: 204 bytes, entered by a call; layout pac no-bti no-far tailCalls=pointer no-directTailCalls lse

    arguments
      word  in
         0  register 0

    frame
                   ┌────────────────────────────────┐
         +24    8  │ return address of the function │
         +16    8  │ x29 of the caller              │
          +8    8  │ return address                 │
           0    8  │ x29 of the function            │ ◄ frame register
                   ├────────────────────────────────┤
          -8    8  │                                │
         -16    8  │ x20                            │
         -24    8  │ x19                            │
         -32    8  │ result                         │
         -40    8  │ argument word 0                │
         -48    8  │ func_meta                      │
         -64   16  │ run context                    │
                   └────────────────────────────────┘

    code
    ; frame and arguments, then a result of 0: 60 bytes
    0000  fd 27 bf a9  stp x29, x9, [sp, #-0x10]!
    0004  fd 03 00 91  mov x29, sp
    0008  fd 7b bf a9  stp x29, x30, [sp, #-0x10]!
    000c  fd 03 00 91  mov x29, sp
    0010  ff 03 01 d1  sub sp, sp, #0x40
    0014  2a 00 80 52  mov w10, #0x1
    0018  ea 0b 00 f9  str x10, [sp, #0x10]
    001c  e0 0f 00 f9  str x0, [sp, #0x18]
    0020  f3 17 00 f9  str x19, [sp, #0x28]
    0024  f4 1b 00 f9  str x20, [sp, #0x30]
    0028  00 00 80 92  mov x0, #-0x1  ; image
    002c  00 00 a0 f2  movk x0, #0x0, lsl #16
    0030  00 00 c0 f2  movk x0, #0x0, lsl #32
    0034  00 00 00 94  bl 0x34  ; enter
    0038  ff 13 00 f9  str xzr, [sp, #0x20]
    ; program 0, fmod_ret: 68 bytes
    003c  1f 20 03 d5  nop
    0040  ff 03 00 f9  str xzr, [sp]
    0044  13 00 80 92  mov x19, #-0x1  ; object of program 0
    0048  13 00 a0 f2  movk x19, #0x0, lsl #16
    004c  13 00 c0 f2  movk x19, #0x0, lsl #32
    0050  e0 03 13 aa  mov x0, x19
    0054  e1 03 00 91  mov x1, sp
    0058  00 00 00 94  bl 0x58  ; program-enter
    005c  f4 03 00 aa  mov x20, x0
    0060  80 00 00 b4  cbz x0, 0x70
    0064  e0 63 00 91  add x0, sp, #0x18
    0068  00 00 00 94  bl 0x68  ; program 0
    006c  e0 13 00 f9  str x0, [sp, #0x20]
    0070  e0 03 13 aa  mov x0, x19
    0074  e1 03 14 aa  mov x1, x20
    0078  e2 03 00 91  mov x2, sp
    007c  00 00 00 94  bl 0x7c  ; program-exit
    ; the result of program 0 decides, then the original, then the way out: 76 bytes
    0080  ea 13 40 f9  ldr x10, [sp, #0x20]
    0084  ca 00 00 b5  cbnz x10, 0x9c
    0088  e0 0f 40 f9  ldr x0, [sp, #0x18]
    008c  ea 27 40 f9  ldr x10, [sp, #0x48]
    0090  5e 00 00 10  adr x30, 0x98
    0094  40 01 5f d6  ret x10
    0098  e0 13 00 f9  str x0, [sp, #0x20]
    009c  00 00 80 92  mov x0, #-0x1  ; image
    00a0  00 00 a0 f2  movk x0, #0x0, lsl #16
    00a4  00 00 c0 f2  movk x0, #0x0, lsl #32
    00a8  00 00 00 94  bl 0xa8  ; exit
    00ac  f3 17 40 f9  ldr x19, [sp, #0x28]
    00b0  f4 1b 40 f9  ldr x20, [sp, #0x30]
    00b4  e0 13 40 f9  ldr x0, [sp, #0x20]
    00b8  bf 03 00 91  mov sp, x29
    00bc  fd 7b c1 a8  ldp x29, x30, [sp], #0x10
    00c0  fd 27 c1 a8  ldp x29, x9, [sp], #0x10
    00c4  fe 03 09 aa  mov x30, x9
    00c8  20 01 5f d6  ret x9
    "
  `);
});

describe.each(["x86-64", "arm64", "riscv64"])("%s", (arch) => {
  test("tramp -j has every byte in one stretch, and each program's block", () => {
    const links = ["--fentry", "2", "--fmod-ret", "1", "--fexit", "1", "--session", "1"];
    const { out } = bpfkit(["tramp", "--arch", arch, "--model", MODEL, ...links, "--func-ip", "-j"]);
    const {
      bytes,
      stretches,
      arguments: words,
      frame,
    } = JSON.parse(out) as {
      bytes: number;
      stretches: { role: string; start: number; end: number; code: { bytes: string }[] }[];
      arguments: { in: string; index: number }[];
      frame: { name: string }[];
    };
    let at = 0;
    for (const { start, end, code } of stretches) {
      expect(start).toBe(at);
      expect(code.reduce((sum, one) => sum + one.bytes.length / 2, 0)).toBe(end - start);
      at = end;
    }
    expect(at).toBe(bytes);
    // riscv64 has the result cleared with the words of the sessions
    const roles = stretches.map(({ role }) => role).filter((role) => role !== "a result of 0");
    expect(roles).toEqual([
      "frame and arguments, then the word of program 4's session",
      "program 4, fentry",
      "program 1, fentry",
      "program 0, fentry",
      "program 2, fmod_ret",
      "the result of program 2 decides, then the original, then the word of program 4's session",
      "program 4, fexit",
      "program 3, fexit",
      "the way out",
    ]);
    expect(words).toMatchObject([
      { in: "register", index: 0 },
      { in: "register", index: 1 },
      { in: "register", index: 2 },
    ]);
    expect(frame.length).toBeGreaterThan(8);
  });

  test("tramp --svg draws every slot", () => {
    const args = [
      "tramp",
      "--arch",
      arch,
      "--model",
      "long (u64, u64, u64, u64, u64, u64, u64, u64, u32)",
      "--fexit",
      "1",
    ];
    const { frame } = JSON.parse(bpfkit([...args, "-j"]).out) as { frame: { name: string }[] };
    const { out, code } = bpfkit([...args, "--svg"]);
    expect(code).toBe(0);
    for (const { name } of frame) expect(out).toContain(`>${name}</text>`);
  });
});

test("tramp shows whose upper halves are cleared", () => {
  const model = "int (u64, u64, u64, u64, u64, u64, u32, u64)";
  const { out } = bpfkit(["tramp", "--model", model]);
  expect(out).toContain("     6  stack, word 0  upper half cleared\n     7  stack, word 1\n");
  expect(out).toContain("u32, u64), fentry, for x86-64"); // one fentry unless told
});

test("tramp says what it cannot do", () => {
  const failure = (...args: string[]) => {
    const { code, err } = bpfkit(["tramp", ...args]);
    return `${code} ${err}`;
  };
  expect(failure()).toMatch(/^2 bpfkit: tramp needs --model/);
  expect(failure("--model", "int")).toMatch(/^3 bpfkit: .*function model 'int'/);
  expect(failure("--model", "int (u64)", "--fentry", "x")).toMatch(/^2 bpfkit: --fentry is a whole number/);
  expect(failure("--model", "int (u64)", "--fentry", "39")).toMatch(/^4 bpfkit: 39 links .*E2BIG/);
  expect(failure("--model", `int (${"u64,".repeat(12)}u64)`)).toMatch(/^3 bpfkit: 13 words of arguments/);
  expect(failure("--model", "int (u64)", "--fexit", "1", "--indirect")).toMatch(/^2 bpfkit: an indirect trampoline/);
  expect(failure("file.o", "--model", "int (u64)")).toMatch(/^2 bpfkit: tramp takes no file.o/);
});
