import {
  assemble,
  BpfError,
  checkTailCallStack,
  MAP_TYPES,
  type MapSpec,
  tailCallStackOf,
  trust,
  type VerifiedProgram,
  worstTailCallStack,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";

const TABLE: MapSpec = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 4, flags: 0 };
const TAIL_CALL = "r2 = map[idx:0]\nr3 = 0\ncall tail_call\nr0 = 0\nexit";

function program(text: string): VerifiedProgram {
  return trust(assemble(text, { type: "xdp", maps: [TABLE] }));
}

/** Subprograms in a row, each with so many bytes of stack, the last of which makes a tail call. */
function chain(...depths: readonly number[]): VerifiedProgram {
  const parts = depths.map((depth, i) => {
    const store = depth === 0 ? "" : `*(u64 *)(r10 - ${depth}) = 0\n`;
    const rest = i === depths.length - 1 ? TAIL_CALL : `call f${i + 1}\nexit`;
    return `${i === 0 ? "" : `f${i}:\n`}${store}${rest}`;
  });
  return program(parts.join("\n"));
}

/** What Linux 7.2 said of chains like these on x86-64. */
const LINUX: readonly (readonly [depths: readonly number[], refused: number | undefined])[] = [
  [[232, 8], undefined],
  [[240, 8], undefined],
  [[248, 8], 256],
  [[256, 8], 256],
  [[0, 240, 8], undefined],
  [[8, 232, 8], 256],
  [[128, 112, 8], undefined],
  [[128, 120, 8], 256],
  [[128, 128, 8], 256],
  [[8, 496], undefined],
  [[512], undefined],
  [[240, 272], undefined],
];

describe("the stack of programs with tail calls", () => {
  test.each(LINUX)("B-12 stack bound: frames of %j are judged as Linux judges them", (depths, refused) => {
    const verified = chain(...depths);
    const { bytesAbove } = tailCallStackOf(verified);
    if (refused === undefined) {
      checkTailCallStack(verified);
      expect(bytesAbove).toBeLessThan(256);
    } else {
      expect(bytesAbove).toBe(refused);
      expect(() => checkTailCallStack(verified)).toThrow(
        `tail_calls are not allowed when call stack of previous frames is ${refused} bytes (EACCES)`,
      );
    }
  });

  test("B-12 stack bound: the refusal names the way down and the bytes", () => {
    const find = (): unknown => {
      try {
        return checkTailCallStack(chain(128, 120, 8));
      } catch (error) {
        return error;
      }
    };
    const error = find();
    expect(error).toBeInstanceOf(BpfError);
    expect(String(error)).toMatchInlineSnapshot(`
      "BpfError: tail_calls are not allowed when call stack of previous frames is 256 bytes (EACCES), in 'main', expected less than 256 bytes above f2

      the frames are those of main → f1 → f2, in steps of 16 bytes; 33 tail calls may leave as many of each"
    `);
    expect((error as BpfError).details.insn).toBe(6);
  });

  test("takes the way with the most bytes where a subprogram is called from several", () => {
    const verified = program(`
    call small
    call large
    exit
small:
    call leaf
    exit
large:
    *(u64 *)(r10 - 64) = 0
    call leaf
    exit
leaf:
    *(u64 *)(r10 - 32) = 0
    ${TAIL_CALL}`);
    const stack = tailCallStackOf(verified);
    expect(stack.tailCalls).toEqual([{ subprogs: [0, 2, 3], bytesAbove: 64 }]);
    expect(stack).toMatchObject({ framesAbove: 2, bytesAbove: 64, frames: 3, bytes: 96 });
  });

  test("bounds what 33 tail calls can take: what stays above each, and one whole program", () => {
    const caller = tailCallStackOf(chain(16, 240));
    const leaf = tailCallStackOf(program("*(u64 *)(r10 - 512) = 0\nr0 = 0\nexit"));
    expect(worstTailCallStack([caller])).toEqual({ frames: 33 + 2, bytes: 33 * 16 + 256 });
    expect(worstTailCallStack([caller, leaf])).toEqual({ frames: 33 + 2, bytes: 33 * 16 + 512 });
    expect(worstTailCallStack([leaf])).toEqual({ frames: 1, bytes: 512 });
    expect(worstTailCallStack([])).toEqual({ frames: 0, bytes: 0 });
  });

  test("ends for programs that call themselves", () => {
    const verified = program(`call again\nexit\nagain:\n*(u64 *)(r10 - 16) = 0\ncall again\n${TAIL_CALL}`);
    expect(tailCallStackOf(verified)).toMatchObject({ frames: 16, framesAbove: 15, bytesAbove: 224 });
  });

  test("leaves out what nothing calls", () => {
    const text = `r0 = 0\nexit\n*(u64 *)(r10 - 16) = 0\n${TAIL_CALL}`;
    const subprogs = [
      { name: "main", start: 0 },
      { name: "unused", start: 2 },
    ];
    const verified = trust({ ...assemble(text, { maps: [TABLE] }), subprogs });
    expect(tailCallStackOf(verified)).toMatchObject({ tailCalls: [], frames: 1, bytes: 0, bytesAbove: 0 });
  });
});
