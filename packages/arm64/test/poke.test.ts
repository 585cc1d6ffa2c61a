import { Access, BpfError, type PokePlan, type SiteState, type TextSite } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64, encode } from "../src/index.ts";
import { hex } from "./arbitrary.ts";
import { apply, TailWorld } from "./tail-world.ts";

const NOP: SiteState = { kind: "nop" };
const AT = 0xffff_8000_0800_0000n;
const SITE: TextSite = { address: AT, size: 4 };
const call = (target: bigint): SiteState => ({ kind: "call", target });
const jump = (target: bigint): SiteState => ({ kind: "jump", target });

/** Before and behind the one write of a plan. */
function written({ phases }: PokePlan): string {
  const [write, ...rest] = phases;
  if (write?.kind !== "write") return "nothing";
  expect(write.address).toBe(AT);
  expect(rest).toEqual([{ kind: "sync-cores" }]);
  return `${hex(write.expect)} -> ${hex(write.bytes)}`;
}

describe("a patch site is rewritten", () => {
  test("by one store, with what has to be there before, and then the cores are synchronized", () => {
    const states = [NOP, call(AT + 0x1000n), jump(AT + 0x1000n), jump(AT - 4n)];
    const bytes = ["1f 20 03 d5", "00 04 00 94", "00 04 00 14", "ff ff ff 17"];
    for (const [i, from] of states.entries()) {
      for (const [j, to] of states.entries()) {
        expect(written(arm64.poke(SITE, from, to))).toBe(i === j ? "nothing" : `${bytes[i]} -> ${bytes[j]}`);
      }
    }
  });

  test("by no phase at all where the bytes stay as they are, and never through a breakpoint", () => {
    expect(arm64.poke(SITE, NOP, NOP)).toEqual({ phases: [] });
    expect(arm64.poke(SITE, call(AT + 8n), call(AT + 8n + (1n << 64n)))).toEqual({ phases: [] });
    expect(arm64.poke(SITE, NOP, call(AT)).trap).toBeUndefined();
  });

  test("to reach 128 MiB in both directions, around the end of the addresses, too", () => {
    const to = (target: bigint): string => written(arm64.poke(SITE, NOP, call(target)));
    expect(to(AT + 0x7ff_fffcn)).toBe("1f 20 03 d5 -> ff ff ff 95");
    expect(to(AT - 0x800_0000n)).toBe("1f 20 03 d5 -> 00 00 00 96");
    const last = { address: (1n << 64n) - 4n, size: 4 };
    expect(arm64.poke(last, NOP, jump(0xffcn)).phases[0]).toMatchObject({ bytes: Uint8Array.of(0, 4, 0, 0x14) });
  });
});

describe("a plan is refused", () => {
  const refusal = (site: TextSite, from: SiteState, to: SiteState): string => {
    try {
      arm64.poke(site, from, to);
    } catch (error) {
      if (error instanceof BpfError) return `${error.code}: ${error.message}`;
    }
    return "none";
  };

  test("where a target is too far, before or after", () => {
    const far = "out-of-range: a call to 0xffff800010000000 from 0xffff800008000000, expected a target within 128 MiB";
    expect(refusal(SITE, NOP, call(AT + 0x800_0000n))).toBe(far);
    expect(refusal(SITE, call(AT + 0x800_0000n), NOP)).toBe(far);
    expect(refusal(SITE, NOP, jump(AT - 0x800_0004n))).toMatch(/^out-of-range: a jump /);
    expect(refusal(SITE, NOP, jump(0n))).toMatch(/^out-of-range/);
  });

  test("where a site is not one aligned word", () => {
    expect(refusal({ address: AT, size: 8 }, NOP, call(AT))).toBe(
      "argument: a patch site of 8 bytes at 0xffff800008000000, expected 4 bytes at a multiple of 4",
    );
    expect(refusal({ address: AT, size: 5 }, NOP, NOP)).toMatch(/^argument/);
    for (const off of [1n, 2n, 3n]) expect(refusal({ address: AT + off, size: 4 }, NOP, NOP)).toMatch(/^argument/);
  });

  test("where a target is no place for an instruction", () => {
    for (const off of [1n, 2n, 3n]) expect(refusal(SITE, NOP, call(AT + off))).toMatch(/^argument: a call to /);
  });
});

describe("an entry", () => {
  /** `x0 += 5`, and back behind the site with the return address that the entry has in x9; as the kernel's trampolines do. */
  const TRAMPOLINE = Uint32Array.of(
    encode("add_imm", { sf: 1, sh: 0, imm12: 5, rn: 0, rd: 0 }),
    encode("orr_shift", { sf: 1, shift: 0, rm: 30, imm6: 0, rn: 31, rd: 10 }),
    encode("orr_shift", { sf: 1, shift: 0, rm: 9, imm6: 0, rn: 31, rd: 30 }),
    encode("ret", { rn: 10 }),
  );

  test("becomes a jump to another program, and a call of a trampoline, and is what it was", () => {
    const world = new TailWorld();
    const { memory, log } = world;
    const old = world.load("r0 = r1\nexit");
    const other = world.load("r0 = 2\nexit").imageAddress!;
    const { address } = memory.allocate("text", 16, "trampoline", Access.READ | Access.EXECUTE);
    memory.write(address, new Uint8Array(TRAMPOLINE.buffer));
    const { offset, size } = old.image!.patchSites[0]!;
    const site = { address: old.imageAddress! + BigInt(offset), size };
    let now: SiteState = NOP;
    const states: [SiteState, bigint][] = [
      [NOP, log],
      [jump(other), 2n],
      [call(address), log + 5n],
      [NOP, log],
    ];
    for (const [state, value] of states) {
      apply(memory, arm64.poke(site, now, state));
      now = state;
      expect(world.run(old)).toEqual({ kind: "returned", value });
    }
    expect(memory.view(old.imageAddress!, old.image!.code.length).slice()).toEqual(old.image!.code);
  });
});
