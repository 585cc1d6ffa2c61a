import { assemble, convertContext, inferFacts, interpreter, patch, trust } from "@bpfkit/core";
import { CONTEXT_LAYOUTS, Kernel, type RunOptions, type RunResult } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";

/** 50 bytes 0x80, 0x81, … behind an Ethernet header. */
const packet = (header = "ffffffffffff0102030405060800", length = 50): Uint8Array =>
  Uint8Array.of(
    ...header.match(/../g)!.map((pair) => Number.parseInt(pair, 16)),
    ...Array.from({ length }, (_, i) => 0x80 + i),
  );

/** Runs a program as it is, and with its context accesses rewritten; both have to come to the same. */
function run(text: string, options: RunOptions = {}, type = "sched_cls"): RunResult {
  const verified = trust(assemble(text, { type }));
  const rewritten = patch({ ...verified, facts: inferFacts(verified) }, [convertContext(CONTEXT_LAYOUTS)]);
  const [result, other] = [verified, rewritten].map((program) =>
    new Kernel({ engine: interpreter }).load(program).run({ data: packet(), ...options }),
  );
  const told = ({ stop, returnValue, dataOut, contextOut }: RunResult) => ({
    kind: stop.kind,
    returnValue,
    dataOut,
    contextOut,
  });
  expect(told(other!)).toEqual(told(result!));
  return result!;
}

const field = (offset: number, size = "u32", type = "sched_cls"): number | string => {
  const { stop, returnValue } = run(`r0 = *(${size} *)(r1 + ${offset})\nexit`, {}, type);
  return returnValue ?? stop.kind;
};

const PARSE = `
    r2 = *(u32 *)(r1 + 76)
    r3 = *(u32 *)(r1 + 80)
    r0 = 0
    r4 = r2
    r4 += 16
    if r4 > r3 goto out
    r0 = *(u8 *)(r2 + 14)
    *(u8 *)(r2 + 15) = r0
    r3 -= r2
    r3 <<= 8
    r0 |= r3
out:
    exit
`;

describe("sched_cls context", () => {
  test("shows the packet with its Ethernet header", () => {
    expect([0, 4, 16, 40].map((offset) => field(offset))).toEqual([64, 2, 8, 1]);
    expect(field(160)).toBe(64);
  });

  test("lets programs read and write the packet between data and data_end", () => {
    const { returnValue, dataOut } = run(PARSE);
    expect(returnValue).toBe((64 << 8) | 0x80);
    expect([...dataOut!.subarray(12, 17)]).toEqual([8, 0, 0x80, 0x80, 0x82]);
    expect(run("r2 = *(u32 *)(r1 + 80)\nr0 = *(u8 *)(r2 + 0)\nexit").stop).toMatchObject({
      kind: "trap",
      cause: "load",
    });
  });

  test("counts offsets of packet loads from the Ethernet header", () => {
    expect(run("r6 = r1\nr0 = *(u16 *)skb[12]\nexit").returnValue).toBe(0x0800);
    expect(run("r6 = r1\nr0 = *(u8 *)skb[-1048576]\nexit").returnValue).toBe(0x80);
    expect(run("r6 = r1\nr0 = *(u8 *)skb[-2097152]\nexit").returnValue).toBe(0xff);
  });

  test("lets programs write what a classifier may", () => {
    const text = [8, 12, 32, 44, 48, 64, 72].map((offset) => `*(u32 *)(r1 + ${offset}) = ${offset}`).join("\n");
    const { contextOut } = run(`${text}\n*(u64 *)(r1 + 152) = 7\nr0 = 0\nexit`);
    expect([8, 32, 48, 64, 152].map((offset) => contextOut?.[offset])).toEqual([8, 32, 48, 64, 7]);
    expect(run("*(u32 *)(r1 + 0) = 5\nr0 = 0\nexit").stop).toMatchObject({ kind: "trap", cause: "store" });
  });

  test("parts of fields are the same, rewritten or not", () => {
    for (const type of ["sched_cls", "socket_filter"]) {
      for (const offset of [0, 1, 4, 5, 16, 17, 18, 40, 43]) field(offset, "u8", type);
      for (const offset of [0, 2, 16, 18, 40]) field(offset, "u16", type);
    }
  });
});

describe("xdp context", () => {
  test("is the same, rewritten or not", () => {
    const text = [0, 4, 8, 12, 16].map((offset, i) => `r${i + 2} = *(u32 *)(r1 + ${offset})`).join("\n");
    expect(
      run(
        `${text}\nr0 = r3\nr0 -= r2\nr0 <<= 8\nr0 |= r5\nr0 <<= 8\nr0 |= r6\nr1 = *(u8 *)(r4 + 3)\nr0 += r1\nexit`,
        {},
        "xdp",
      ).returnValue,
    ).toBe(((64 << 16) | (1 << 8)) + 0xff);
  });
});
