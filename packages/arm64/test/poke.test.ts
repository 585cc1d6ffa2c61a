import {
  Access,
  assemble,
  BpfError,
  type Image,
  type PokeDescriptor,
  type PokePlan,
  type SiteState,
  type TextSite,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64, encode } from "../src/index.ts";
import { hex } from "./arbitrary.ts";
import { apply, MAP, placed, TailWorld } from "./tail-world.ts";

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
    const hint = "sites of code with the layout far reach any target";
    expect(refusal(SITE, NOP, call(AT + 0x800_0000n))).toBe(`${far}\n\n${hint}`);
    expect(refusal(SITE, call(AT + 0x800_0000n), NOP)).toBe(`${far}\n\n${hint}`);
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

/** `x0 += 5`, and back behind the site with the return address that the entry has in x9; as the kernel's trampolines do. */
const TRAMPOLINE = Uint32Array.of(
  encode("add_imm", { sf: 1, sh: 0, imm12: 5, rn: 0, rd: 0 }),
  encode("orr_shift", { sf: 1, shift: 0, rm: 30, imm6: 0, rn: 31, rd: 10 }),
  encode("orr_shift", { sf: 1, shift: 0, rm: 9, imm6: 0, rn: 31, rd: 30 }),
  encode("ret", { rn: 10 }),
);

describe("an entry", () => {
  test("becomes a jump to another program, and a call of a trampoline, and is what it was", () => {
    const world = new TailWorld();
    const { memory, log } = world;
    const old = world.load("r0 = r1\nexit");
    const other = world.load("r0 = 2\nexit").imageAddress!;
    const { address } = memory.allocate("text", 16, "trampoline", Access.READ | Access.EXECUTE);
    memory.write(address, new Uint8Array(TRAMPOLINE.buffer));
    const site = placed(old, old.image!.patchSites[0]!);
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

describe("code with the layout far", () => {
  const DIRECT = `
    r2 = map[table]
    r3 = 0
    call bpf_tail_call
    call sub
    r0 += 1
    exit
  sub:
    if r1 == 0 goto again
    r2 = map[table]
    r3 = 1
    call bpf_tail_call
  again:
    r0 = 1
    may_goto again
    exit`;
  const compile = (layout: Record<string, boolean>): Image =>
    arm64.compile(trust(assemble(DIRECT, { maps: [MAP] })), { layout: { directTailCalls: true, ...layout } });

  test("has an aligned slot of its own for each entry and each target, behind the jump to what is in it", () => {
    for (const layout of [{}, { bti: true }, { pac: false }, { bti: true, pac: false }]) {
      const { code, patchSites, subprogs } = compile({ far: true, ...layout });
      expect(patchSites.map(({ kind }) => kind)).toEqual(["entry", "bypass", "target", "entry", "bypass", "target"]);
      for (const { kind, far, subprog } of patchSites) {
        if (kind === "bypass") expect(far).toBeUndefined();
        else {
          expect([far!.code % 8, far!.slot]).toEqual([0, far!.code + 8]);
          expect(hex(code.subarray(far!.code, far!.slot + 8))).toBe("4a 00 00 58 40 01 1f d6 00 00 00 00 00 00 00 00");
          expect(far!.slot + 8).toBeLessThanOrEqual(subprogs[subprog]!.end);
        }
      }
      expect(new Set(patchSites.map(({ far }) => far?.slot)).size).toBe(5);
    }
  });

  test("is else as it is without: an entry's slot comes behind what the kernel counts, and by itself", () => {
    const plain = compile({ directTailCalls: false });
    const slots = compile({ directTailCalls: false, far: true });
    expect(plain.patchSites.every(({ far }) => far === undefined)).toBe(true);
    for (const [i, { start, end }] of plain.subprogs.entries()) {
      const other = slots.subprogs[i]!;
      expect(other.end - other.start).toBe(end - start + 8);
      expect(slots.patchSites[i]!.far!.slot).toBe(other.end - 8);
    }
  });

  /** Data that is 130 MiB away from code. */
  const BETWEEN = 130 << 20;
  const worldOf = (): TailWorld =>
    new TailWorld({ layout: { far: true, directTailCalls: true, bti: true } }, undefined, BETWEEN);

  /** Puts a program behind the data. */
  const placeFar = ({ memory }: TailWorld, text: string): { entry: bigint; landing: bigint } => {
    const image = arm64.compile(trust(assemble(text)), { layout: { bti: true } });
    const { address } = memory.allocate("data", image.code.length, "far", Access.READ | Access.EXECUTE);
    memory.write(address, image.code);
    return { entry: address, landing: address + BigInt(image.landing) };
  };

  test("reaches what is far from an entry: programs, and trampolines that come back", () => {
    const world = worldOf();
    const { memory, log } = world;
    const old = world.load("r0 = r1\nexit");
    const near = world.load("r0 = 2\nexit").imageAddress!;
    const [three, four] = [3, 4].map((result) => placeFar(world, `r0 = ${result}\nexit`).entry);
    const { address } = memory.allocate("data", 16, "trampoline", Access.READ | Access.EXECUTE);
    memory.write(address, new Uint8Array(TRAMPOLINE.buffer));
    const site = placed(old, old.image!.patchSites[0]!);
    expect(address - site.address).toBeGreaterThan(128n << 20n);
    let now: SiteState = NOP;
    const states: [SiteState, bigint][] = [
      [jump(three!), 3n],
      [jump(four!), 4n],
      [call(address), log + 5n],
      [jump(near), 2n],
      [call(address), log + 5n],
      [jump(three!), 3n],
      [NOP, log],
    ];
    for (const [state, value] of states) {
      apply(memory, arm64.poke(site, now, state));
      now = state;
      expect(world.run(old)).toEqual({ kind: "returned", value });
    }
    expect(memory.view(old.imageAddress!, old.image!.code.length).slice()).toEqual(old.image!.code);
  });

  test("reaches what is far from a direct tail call, in subprograms, too", () => {
    const world = worldOf();
    const { memory } = world;
    const entry = world.load(
      "r6 = r1\ncall sub\nr0 += 1\nexit\nsub:\nr2 = map[table]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit",
    );
    const [{ bypass, target }] = entry.image!.pokes as [PokeDescriptor];
    const [skip, site] = [placed(entry, bypass), placed(entry, target)];
    const past = jump(site.address + 4n);
    const callee = jump(placeFar(world, "r6 = r1\nr7 = 7\n*(u64 *)(r10 - 8) = r7\nr0 = 41\nexit").landing);
    const other = jump(placeFar(world, "r0 = 51\nexit").landing);
    expect(world.run(entry)).toEqual({ kind: "returned", value: 2n });
    apply(memory, arm64.poke(site, NOP, callee));
    expect(world.run(entry)).toEqual({ kind: "returned", value: 2n });
    apply(memory, arm64.poke(skip, past, NOP));
    expect(world.run(entry)).toEqual({ kind: "returned", value: 42n });
    apply(memory, arm64.poke(site, callee, other));
    expect(world.run(entry)).toEqual({ kind: "returned", value: 52n });
    apply(memory, arm64.poke(skip, NOP, past));
    apply(memory, arm64.poke(site, other, NOP));
    expect(world.run(entry)).toEqual({ kind: "returned", value: 2n });
  });
});
