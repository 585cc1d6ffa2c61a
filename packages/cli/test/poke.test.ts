import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bpfkit } from "./support.ts";

test("poke check says how much was tried, and that nothing went wrong", () => {
  const { out, code } = bpfkit(["poke", "check", "--arch", "arm64", "--length", "1"]);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "arm64, landed, 2 readers: no violation
      3 histories, 3,185 states (0.0 s; at most 96 KiB of them at a time)
    "
  `);
});

test("poke check ends with 1 for a violation, with the schedule and a string to play it again", () => {
  const { out, code } = bpfkit(["poke", "check", "--arch", "arm64", "--mutant", "bypass-first", "--readers", "1"]);
  expect(code).toBe(1);
  expect(out).toMatchInlineSnapshot(`
    "arm64, bypass-first, 1 reader: f: traps: load, 0 bytes past the end of stack of a reader (0x10054080, 256 bytes)
      2 histories, 72 states (0.0 s; at most 96 KiB of them at a time)

    | updater                                 | cpu 0                                                                          |
    |-----------------------------------------|--------------------------------------------------------------------------------|
    | begins to put f into the slot           |                                                                                |
    | bypass: 06 00 00 14 becomes 1f 20 03 d5 |                                                                                |
    |                                         | is called                                                                      |
    |                                         | main: mov x9, x30                                                              |
    |                                         | bypass: nop [1f 20 03 d5]                                                      |
    |                                         | target: nop [1f 20 03 d5]                                                      |
    |                                         | traps: load, 0 bytes past the end of stack of a reader (0x10054080, 256 bytes) |

    bpfkit poke replay arm64/bypass-first/site/f/u2.0.0.0:1.0.0
    "
  `);
});

test("C-15 replay: poke replay plays a schedule instruction by instruction, to the same end", () => {
  const { out, code } = bpfkit(["poke", "replay", "arm64/bypass-first/site/f/u2.0.0.0:1.0.0"]);
  expect(code).toBe(1);
  expect(out).toMatchInlineSnapshot(`
    "arm64, bypass-first: f

    | updater                                 | cpu 0                                                                          |
    |-----------------------------------------|--------------------------------------------------------------------------------|
    | begins to put f into the slot           |                                                                                |
    | bypass: 06 00 00 14 becomes 1f 20 03 d5 |                                                                                |
    |                                         | is called                                                                      |
    |                                         | 10010040 main: mov x9, x30                                                     |
    |                                         | 10010044 main+0x4: nop                                                         |
    |                                         | 10010048 main+0x8: paciasp                                                     |
    |                                         | 1001004c main+0xc: stp x29, x30, [sp, #-0x10]!                                 |
    |                                         | 10010050 main+0x10: mov x29, sp                                                |
    |                                         | 10010054 main+0x14: stp xzr, x26, [sp, #-0x10]!                                |
    |                                         | 10010058 main+0x18: mov x26, sp                                                |
    |                                         | 1001005c main+0x1c: stp x19, x20, [sp, #-0x10]!                                |
    |                                         | 10010060 main+0x20: stp x25, xzr, [sp, #-0x10]!                                |
    |                                         | 10010064 main+0x24: mov x25, sp                                                |
    |                                         | 10010068 main+0x28: sub sp, sp, #0x10                                          |
    |                                         | 1001006c main+0x2c: mov x19, x0                                                |
    |                                         | 10010070 main+0x30: mov x20, #0x7                                              |
    |                                         | 10010074 main+0x34: str x20, [sp, #0x8]                                        |
    |                                         | 10010078 main+0x38: mov x0, x19                                                |
    |                                         | 1001007c main+0x3c: mov x1, #0x40                                              |
    |                                         | 10010080 main+0x40: movk x1, #0x1007, lsl #16                                  |
    |                                         | 10010084 main+0x44: movk x1, #0x0, lsl #32                                     |
    |                                         | 10010088 main+0x48: mov x2, #0x0                                               |
    |                                         | 1001008c main+0x4c: mov w10, #0x21                                             |
    |                                         | 10010090 main+0x50: ldr x12, [x26]                                             |
    |                                         | 10010094 main+0x54: cmp x12, x10                                               |
    |                                         | 10010098 main+0x58: b.hs 0x100100b8                                            |
    |                                         | 1001009c main+0x5c: add x12, x12, #0x1                                         |
    |                                         | 100100a0 bypass: nop [1f 20 03 d5]                                             |
    |                                         | 100100a4 main+0x64: str x12, [x26]                                             |
    |                                         | 100100a8 main+0x68: add sp, sp, #0x10                                          |
    |                                         | 100100ac main+0x6c: ldp x25, xzr, [sp], #0x10                                  |
    |                                         | 100100b0 main+0x70: ldp x19, x20, [sp], #0x10                                  |
    |                                         | 100100b4 target: nop [1f 20 03 d5]                                             |
    |                                         | 100100b8 main+0x78: ldr x8, [sp, #0x8]                                         |
    |                                         | 100100bc main+0x7c: add x8, x8, x20                                            |
    |                                         | 100100c0 main+0x80: add x8, x8, #0x56                                          |
    |                                         | 100100c4 main+0x84: add sp, sp, #0x10                                          |
    |                                         | 100100c8 main+0x88: ldp x25, xzr, [sp], #0x10                                  |
    |                                         | 100100cc main+0x8c: ldp x19, x20, [sp], #0x10                                  |
    |                                         | traps: load, 0 bytes past the end of stack of a reader (0x10054080, 256 bytes) |

    cpu 0 traps: load, 0 bytes past the end of stack of a reader (0x10054080, 256 bytes)
    "
  `);
});

test("poke check -j", () => {
  const words = ["poke", "check", "--arch", "arm64,riscv64", "--protocol", "cover-letter", "--length", "3", "-j"];
  const { out, code } = bpfkit([...words, "--readers", "1"]);
  expect(code).toBe(1);
  const { checks } = JSON.parse(out);
  expect(checks.map(({ arch }: { arch: string }) => arch)).toEqual(["arm64", "riscv64"]);
  for (const { violation, states } of checks) {
    expect(violation.history).toEqual(["f", "none", "f"]);
    expect(states).toBeGreaterThan(1000);
    const again = bpfkit(["poke", "replay", violation.replay, "-j"]);
    expect([again.code, JSON.parse(again.out).violation]).toEqual([1, `the updater ${violation.what}`]);
  }
});

test.each([
  [["verify"], 2, "poke takes check or replay, not verify"],
  [["check", "x"], 2, "poke check takes no x"],
  [["replay"], 2, "poke replay needs STRING, as poke check prints it"],
  [["check", "--arch", "arm64,mips"], 2, "--arch is of x86-64, arm64, riscv64, not mips"],
  [["check", "--mutant", "no-wait", "--protocol", "landed"], 2, "--protocol and --mutant exclude each other"],
  [["check", "--mutant", "none"], 2, "--mutant is one of no-wait, bypass-first, target-first, wrong-grace-period, early-free, stale-compare, not none"],
  [["check", "--readers", "8", "--length", "1", "--arch", "arm64"], 4, "8 readers of 2 runs each"],
])("poke %j is refused", (words, exit, message) => {
  const { err, code } = bpfkit(["poke", ...words]);
  expect(code).toBe(exit);
  expect(err).toContain(`bpfkit: ${message}`);
}); // biome-ignore format: a table

test.each([
  ["x86-64/landed/site/f", 3, "a replay string of 4 parts"],
  ["mips/landed/site/f/u", 3, "architecture 'mips'"],
  ["arm64/other/site/f/u", 3, "protocol or mutant 'other'"],
  ["arm64/landed/line/f/u", 3, "granularity 'line'"],
  ["arm64/landed/site/f,h/u", 3, "value in the history 'h'"],
  ["arm64/landed/site/f/u.x", 3, "'x', part 2 of the schedule"],
  ["arm64/landed/site/f/u9999", 2, "move 7 of the schedule: the updater"],
  ["arm64/landed/site/f/0.0.0:7", 2, "move 3 of the schedule: reader 0, its move 7"],
])("poke replay %s is refused", (string, exit, message) => {
  const { err, code } = bpfkit(["poke", "replay", string]);
  expect(code).toBe(exit);
  expect(err).toContain(`bpfkit: ${message}`);
});

test("docs/text-patching.md shows schedules as they are printed, and its strings can be played", () => {
  const text = readFileSync(new URL("../../../docs/text-patching.md", import.meta.url), "utf8");
  const shown = [...text.matchAll(/`bpfkit (poke check [^`]+)`[^|]*?\n\n((?:\|.*\n)+)/g)];
  expect(shown.length).toBe(3);
  for (const [, words, schedule] of shown) expect(bpfkit(words!.split(/\s+/)).out).toContain(schedule);
  const strings = [...text.matchAll(/^bpfkit (poke replay .*)$/gm)];
  expect(strings.length).toBe(1);
  for (const [, words] of strings) expect(bpfkit(words!.split(" ")).code).toBe(1);
});
