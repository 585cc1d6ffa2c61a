import { describe, expect, test } from "vitest";
import {
  assemble,
  type ContextLayout,
  convertContext,
  formatProgram,
  inferFacts,
  patch,
  trust,
} from "../../src/index.ts";

// As struct xdp_md and struct xdp_buff of Linux are, with devices that begin with their index; and two fields made up.
const XDP: ContextLayout = [
  { name: "data", offset: 0, size: 4, at: 0, bytes: 8 },
  { name: "data_end", offset: 4, size: 4, at: 8, bytes: 8 },
  { name: "ingress_ifindex", offset: 12, size: 4, via: [32, 0], at: 224, bytes: 4 },
  { name: "rx_queue_index", offset: 16, size: 4, via: [32], at: 8, bytes: 4, writable: true },
  { name: "kind", offset: 20, size: 4, at: 64, bytes: 1, shift: 2, mask: 7 },
  { name: "mark", offset: 24, size: 4, at: 72, bytes: 4, writable: true },
  { name: "scratch", offset: 32, size: 20, at: 80, writable: true },
];

function convert(text: string): string {
  const verified = trust(assemble(`${text}\nexit`, { type: "xdp" }));
  const { program } = patch({ ...verified, facts: inferFacts(verified) }, [convertContext({ xdp: XDP })]);
  return `\n${formatProgram(program, { slots: false })}\n`;
}

describe("convert-ctx-access", () => {
  test("pointers are loaded whole", () => {
    expect(convert("r2 = *(u32 *)(r1 + 0)\nr1 = *(u32 *)(r1 + 4)")).toMatchInlineSnapshot(`
      "
      main:
        r2 = *(u64 *)(r1 + 0)
        r1 = *(u64 *)(r1 + 8)
        exit
      "
    `);
  });

  test("what is behind pointers takes a load each", () => {
    expect(convert("r2 = *(u32 *)(r1 + 12)\nr1 = *(u32 *)(r1 + 16)")).toMatchInlineSnapshot(`
      "
      main:
        r2 = *(u64 *)(r1 + 32)
        r2 = *(u64 *)(r2 + 0)
        r2 = *(u32 *)(r2 + 224)
        r1 = *(u64 *)(r1 + 32)
        r1 = *(u32 *)(r1 + 8)
        exit
      "
    `);
  });

  test("parts of a field are cut out of it", () => {
    expect(
      convert("r2 = *(u8 *)(r1 + 25)\nr3 = *(u16 *)(r1 + 26)\nr4 = *(u32 *)(r1 + 20)\nr5 = *(u8 *)(r1 + 20)"),
    ).toMatchInlineSnapshot(`
      "
      main:
        r2 = *(u32 *)(r1 + 72)
        w2 >>= 8
        w2 &= 255
        r3 = *(u32 *)(r1 + 72)
        w3 >>= 16
        w3 &= 65535
        r4 = *(u8 *)(r1 + 64)
        w4 >>= 2
        w4 &= 7
        r5 = *(u8 *)(r1 + 64)
        w5 >>= 2
        w5 &= 7
        exit
      "
    `);
  });

  test("signed loads extend what plain ones load", () => {
    expect(
      convert("r2 = *(s8 *)(r1 + 25)\nr3 = *(s32 *)(r1 + 24)\nr4 = *(s16 *)(r1 + 34)\nr5 = *(s8 *)(r1 + 20)"),
    ).toMatchInlineSnapshot(`
      "
      main:
        r2 = *(u32 *)(r1 + 72)
        w2 >>= 8
        w2 &= 255
        r2 = (s8)r2
        r3 = *(u32 *)(r1 + 72)
        r3 = (s32)r3
        r4 = *(u16 *)(r1 + 82)
        r4 = (s16)r4
        r5 = *(u8 *)(r1 + 64)
        w5 >>= 2
        w5 &= 7
        r5 = (s8)r5
        exit
      "
    `);
  });

  test("stores go behind pointers through the hidden register", () => {
    expect(convert("*(u32 *)(r1 + 24) = r1\n*(u32 *)(r1 + 24) = 5\n*(u32 *)(r1 + 16) = 5")).toMatchInlineSnapshot(`
      "
      main:
        *(u32 *)(r1 + 72) = r1
        *(u32 *)(r1 + 72) = 5
        r11 = *(u64 *)(r1 + 32)
        *(u32 *)(r11 + 8) = 5
        exit
      "
    `);
  });

  test("bytes that are the same in both are accessed as before", () => {
    expect(convert("*(u8 *)(r1 + 33) = 5\nr2 = *(u64 *)(r1 + 40)")).toMatchInlineSnapshot(`
      "
      main:
        *(u8 *)(r1 + 81) = 5
        r2 = *(u64 *)(r1 + 88)
        exit
      "
    `);
  });

  test("a pointer into the context counts from its start", () => {
    expect(convert("r6 = r1\nr6 += 20\nr2 = *(u32 *)(r6 + 4)\nr2 = *(u32 *)(r6 - 8)")).toMatchInlineSnapshot(`
      "
      main:
        r6 = r1
        r6 += 20
        r2 = *(u32 *)(r6 + 52)
        r2 = *(u64 *)(r6 + 12)
        r2 = *(u64 *)(r2 + 0)
        r2 = *(u32 *)(r2 + 224)
        exit
      "
    `);
  });

  test("other memory, parts of pointers, and fields that are read only stay", () => {
    const text =
      "r2 = *(u64 *)(r10 - 8)\nr3 = *(u8 *)(r1 + 4)\n*(u32 *)(r1 + 12) = r2\nr4 = *(u32 *)(r1 + 28)\nr5 = *(u64 *)(r1 + 8)\n" +
      "r2 = *(s32 *)(r1 + 0)\nr3 = *(s16 *)(r1 + 0)\n*(u8 *)(r1 + 24) = 1";
    expect(convert(text)).toBe(`\n${formatProgram(assemble(`${text}\nexit`), { slots: false })}\n`);
  });
});
