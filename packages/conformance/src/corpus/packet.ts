// Cases of RFC 9669 section 5.5, legacy packet loads, in socket filters; where the RFC leaves a choice, as Linux 7.2 makes it.
import { assemble } from "@bpfkit/core";
import type { CaseRun, ConformanceCase } from "../case.ts";
import { REGISTERS } from "./trials.ts";

const HEADER = 14;
const LENGTH = 50;
/** The network header, where offsets count from, and the Ethernet header, as negative offsets. */
const [NETWORK, LINK] = [-0x10_0000, -0x20_0000] as const;

/** 0x80, 0x81, … behind an Ethernet header of other bytes. */
const PACKET: Uint8Array = Uint8Array.from({ length: HEADER + LENGTH }, (_, i) =>
  i < HEADER ? i + 1 : 0x80 + i - HEADER,
);

const SIZES = [
  ["u8", 1],
  ["u16", 2],
  ["u32", 4],
] as const;

/** What the packet holds, or undefined outside. */
function at(offset: number, size: number): bigint | undefined {
  const start = offset >= 0 ? HEADER + offset : offset >= NETWORK ? HEADER + offset - NETWORK : offset - LINK;
  if (start < 0 || start + size > PACKET.length) return undefined;
  return PACKET.subarray(start, start + size).reduce((value, byte) => value * 256n + BigInt(byte), 0n);
}

const packetCase = (name: string, asm: string, value: bigint): ConformanceCase => {
  const run: CaseRun = { memory: PACKET, expect: { kind: "result", value } };
  return { name, group: "packet", program: { ...assemble(asm, { type: "socket_filter" }), name }, runs: [run] };
};

/** Families of cases, one per form. */
export function packetCases(): readonly (readonly ConformanceCase[])[] {
  const offsets = (size: number): readonly number[] => [
    0, 1, 7, LENGTH - size, LENGTH - size + 1, LENGTH + 1, 0x7fff_ffff, -1, NETWORK, NETWORK + LENGTH - size, NETWORK + LENGTH - size + 1,
    LINK, LINK + HEADER + LENGTH - size, LINK + HEADER + LENGTH - size + 1, LINK - 1, -0x8000_0000,
  ]; // biome-ignore format: places
  return [
    ...SIZES.map(([name, size]) =>
      offsets(size).map((offset) =>
        packetCase(
          `ld_abs ${name}: ${offset}`,
          `r6 = r1\nr0 = 77\nr0 = *(${name} *)skb[${offset}]\nr0 += 1\nexit`,
          (at(offset, size) ?? -1n) + 1n,
        ),
      ),
    ),
    ...SIZES.map(([name, size]) =>
      offsets(size).map((offset, i) => {
        const imm = [0, 5, -5, 0x1000][i % 4]!;
        const register = REGISTERS.filter((r) => r !== 6 && r !== 1)[i % 8]!;
        return packetCase(
          `ld_ind ${name}: ${offset} by r${register} and ${imm}`,
          `r6 = r1\nr0 = 77\nr${register} = ${(offset - imm) | 0}\nr0 = *(${name} *)skb[r${register} + ${imm}]\nr0 += 1\nexit`,
          (at(offset, size) ?? -1n) + 1n,
        );
      }),
    ),
    shapes(),
  ];
}

function shapes(): readonly ConformanceCase[] {
  return [
    packetCase(
      "packet loads keep r6 to r9 and the stack",
      `
      r6 = r1
      r7 = 700
      r8 = 8000
      r9 = 90000
      *(u64 *)(r10 - 8) = 5
      r0 = *(u8 *)skb[0]
      r0 += r7
      r0 += r8
      r0 += r9
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      r1 = *(u32 *)(r6 + 0)
      r0 += r1
      exit`,
      128n + 700n + 8000n + 90000n + 5n + 50n,
    ),
    packetCase(
      "a packet load outside ends a program with 0, whatever it holds",
      "r6 = r1\nr7 = 7\n*(u64 *)(r10 - 64) = 1\nr0 = 5\nr0 = *(u32 *)skb[47]\nr0 = 9\nexit",
      0n,
    ),
    packetCase(
      "a packet load in a loop, to the end of the packet",
      "r6 = r1\nr7 = 0\nagain:\nr0 = *(u8 *)skb[r7 + 0]\nr7 += 1\ngoto again",
      0n,
    ),
    packetCase(
      "a sum over the packet",
      "r6 = r1\nr7 = 0\nr8 = 0\nagain:\nr0 = *(u8 *)skb[r7 + 0]\nr8 += r0\nr7 += 1\nif r7 < 50 goto again\nr0 = r8\nexit",
      BigInt(50 * 128 + (50 * 49) / 2),
    ),
    packetCase(
      "an offset counts with its low 32 bits",
      "r6 = r1\nr7 = 0x500000003 ll\nr0 = *(u8 *)skb[r7 + 0]\nexit",
      0x83n,
    ),
    packetCase(
      "the sum of register and immediate is cut to 32 bits",
      "r6 = r1\nr7 = 0x7fffffff\nr0 = *(u8 *)skb[r7 - 2147483647]\nexit",
      0x80n,
    ),
    packetCase(
      "32 bits of which the highest is set are a number, not an error",
      "r6 = r1\nr0 = *(u32 *)skb[0]\nexit",
      0x80818283n,
    ),
    packetCase(
      "fields of the socket buffer",
      "r0 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 4)\nr0 *= 10\nr0 += r2\n*(u32 *)(r1 + 48) = r0\nr0 = *(u16 *)(r1 + 48)\nexit",
      502n,
    ),
  ];
}
