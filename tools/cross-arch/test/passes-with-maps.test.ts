// Passes that need a kernel's side: context accesses and array lookups, in programs that have packets and maps.
import { arm64 } from "@bpfkit/arm64";
import { Random } from "@bpfkit/conformance";
import {
  assemble,
  type Backend,
  formatProgram,
  interpreter,
  jit,
  type MapSpec,
  type Patched,
  patch,
  trust,
} from "@bpfkit/core";
import { Kernel, Lockstep } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { everyPass } from "./with-passes.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];

const MAPS: readonly MapSpec[] = [
  { name: "counts", type: 2, keySize: 4, valueSize: 8, maxEntries: 5, flags: 0 },
  { name: "sizes", type: 2, keySize: 4, valueSize: 20, maxEntries: 3, flags: 0 },
];

/** Counts packets by a byte of theirs that often leaves the array; the offsets are those of the context's data and data_end. */
const count = (data: number, end: number): string => `
    r6 = r1
    r7 = *(u32 *)(r6 + ${data})
    r8 = *(u32 *)(r6 + ${end})
    r9 = 3
    r1 = r7
    r1 += 18
    if r1 > r8 goto out
    r1 = *(u8 *)(r7 + 14)
    r1 &= 7
    *(u32 *)(r10 - 4) = r1
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call map_lookup_elem
    if r0 == 0 goto sizes
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    r9 = r1
sizes:
    r2 = r10
    r2 += -4
    r1 = map[sizes]
    call map_lookup_elem
    if r0 == 0 goto out
    r8 -= r7
    r1 = *(u8 *)(r7 + 15)
    w8 /= w1
    *(u64 *)(r0 + 8) = r8
    r9 += r8
out:
    r0 = r9
    exit
`;

const FILTER = `
    r6 = r1
    r7 = *(u32 *)(r6 + 0)
    r8 = *(u16 *)(r6 + 16)
    r9 = *(u8 *)(r6 + 4)
    *(u32 *)(r6 + 48) = 0x12345678
    r0 = *(u16 *)skb[2]
    r0 += r7
    r0 ^= r8
    r0 <<= 3
    r0 |= r9
    r1 = *(u32 *)(r6 + 40)
    r0 += r1
    r1 = *(u8 *)(r6 + 50)
    r0 += r1
    exit
`;

const PROGRAMS = { xdp: count(0, 4), sched_cls: count(76, 80), socket_filter: FILTER };

const packetOf = (seed: number): Uint8Array => {
  const random = new Random(seed);
  const packet = Uint8Array.from({ length: 14 + random.below(60) }, () => random.below(8));
  packet[12] = 0x88;
  return packet;
};

function patchedOf(type: string, text: string, seed: number): Patched {
  return patch(trust(assemble(text, { type, maps: type === "socket_filter" ? [] : MAPS })), everyPass(seed));
}

describe.each(Object.entries(PROGRAMS))("%s", (type, text) => {
  test("is rewritten", () => {
    const after = formatProgram(patchedOf(type, text, 1).program);
    expect(after).not.toContain("map_lookup_elem");
    expect(after).toMatch(
      type === "socket_filter" ? /r7 = \*\(u32 \*\)\(r6 \+ 224\)/ : /r7 = \*\(u64 \*\)\(r6 \+ (32|192)\)/,
    );
  });

  test("gives what it gave before, packet by packet", () => {
    const before = new Kernel({ engine: interpreter });
    const after = new Kernel({ engine: interpreter });
    const original = before.load(trust(assemble(text, { type, maps: type === "socket_filter" ? [] : MAPS })));
    const patched = after.load(patchedOf(type, text, 2));
    for (let seed = 1; seed <= 60; seed++) {
      const [expected, found] = [original, patched].map((program) => program.run({ data: packetOf(seed) }));
      expect([found!.stop.kind, found!.returnValue, found!.dataOut, found!.contextOut], `seed ${seed}`).toEqual([
        "returned",
        expected!.returnValue,
        expected!.dataOut,
        expected!.contextOut,
      ]);
    }
    for (const [i, map] of before.maps.entries()) expect([...after.maps[i]!.entries()]).toEqual([...map.entries()]);
  });

  test.each(BACKENDS.map((backend) => [backend.arch, backend] as const))(
    "runs on %s as in the interpreter",
    (_arch, backend) => {
      const lockstep = new Lockstep({ engine: jit(backend), disassemble: backend.disassemble });
      const loaded = lockstep.load(patchedOf(type, text, 3));
      for (let seed = 1; seed <= 60; seed++) {
        const { difference } = loaded.run({ data: packetOf(seed) });
        if (difference !== undefined) expect.fail(`seed ${seed}: ${difference.what}\n${difference.listing}`);
      }
      expect(lockstep.compareMaps()).toBeUndefined();
    },
  );
});
