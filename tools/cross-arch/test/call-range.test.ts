// A known trap of the field: how far a call reaches. auipc and jalr reach 2048 bytes further back than forwards, because the second
// immediate is signed; the last place on each side has to work, and the first one behind it has to be refused.
import { arm64 } from "@bpfkit/arm64";
import { Access, assemble, type Backend, Memory, trust } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

/** Of the distance from the relocation's field: lowest, highest, and the step between targets. */
const REACH: readonly (readonly [Backend, bigint, bigint, bigint])[] = [
  [x86_64, 4n - 0x8000_0000n, 4n + 0x7fff_ffffn, 1n],
  [arm64, -0x800_0000n, 0x800_0000n - 4n, 4n],
  [riscv64, -0x8000_0000n - 0x800n, 0x7fff_ffffn - 0x800n, 2n],
];

describe.each(REACH.map(([backend, low, high, step]) => [backend.arch, backend, low, high, step] as const))(
  "a call of %s",
  (_, backend, low, high, step) => {
    const image = backend.compile(trust(assemble("call 8\nexit")));
    const { offset } = image.relocations[0]!;
    const memory = new Memory({ base: 0x9000_0000n, sizes: { text: 1 << 16, data: 1 << 16, stack: 1 << 16 } });
    const { address } = memory.allocate("text", image.code.length, "code", Access.READ | Access.EXECUTE);
    const stack = memory.allocate("stack", 4096, "stack");
    const from = address + BigInt(offset);

    /** Where the CPU arrives. */
    function follow(target: bigint): bigint {
      memory.write(
        address,
        backend.link(image, address, () => target),
      );
      const cpu = backend.createCpu(memory);
      cpu.set(backend.abi.stackPointer, stack.address + 4096n);
      cpu.pc = address;
      cpu.run(100);
      return cpu.pc;
    }

    test.each([
      ["forwards", high - (high % step)],
      ["back", low],
    ] as const)("reaches the last place %s", (_side, distance) => {
      const target = BigInt.asUintN(64, from + distance);
      expect(follow(target)).toBe(target);
    });

    test.each([
      ["forwards", high - (high % step) + step],
      ["back", low - step],
    ] as const)("is refused one step further %s", (_side, distance) => {
      expect(() => backend.link(image, address, () => BigInt.asUintN(64, from + distance))).toThrow(
        expect.objectContaining({ code: "out-of-range" }),
      );
    });
  },
);
