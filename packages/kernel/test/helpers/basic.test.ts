import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { scriptKernel, signed } from "../support/scripted.ts";

describe("time and chance", () => {
  test("the clock moves by its step with each reading, and is the same in every kernel", () => {
    const { kernel, run } = scriptKernel([]);
    kernel.clock.now = 5_000_000n;
    kernel.clock.step = 300n;
    const { duration } = run(({ helper }) => {
      expect(helper("ktime_get_ns")).toBe(5_000_000n);
      expect(helper("ktime_get_boot_ns")).toBe(5_000_300n);
      expect(helper("ktime_get_coarse_ns")).toBe(4_000_000n);
      return undefined;
    });
    expect(duration).toBe(900n);
  });

  test("random numbers depend on seed and CPU, and on nothing else", () => {
    const draw = (seed: number, cpu: number): bigint[] => {
      const { run } = scriptKernel([], { seed, cpus: 2 });
      const drawn: bigint[] = [];
      run(
        ({ helper }) => {
          for (let i = 0; i < 8; i++) drawn.push(helper("get_prandom_u32"));
          return undefined;
        },
        { cpu },
      );
      return drawn;
    };
    expect(draw(1, 0)).toEqual(draw(1, 0));
    expect(new Set([...draw(1, 0), ...draw(1, 1), ...draw(2, 0)]).size).toBe(24);
    expect(draw(1, 0).every((value) => value < 1n << 32n)).toBe(true);
  });

  test("programs learn their CPU", () => {
    const { run } = scriptKernel([], { cpus: 3 });
    expect(run(({ helper }) => helper("get_smp_processor_id"), { cpu: 2 }).returnValue).toBe(2);
    expect(run(({ helper }) => helper("get_numa_node_id"), { cpu: 2 }).returnValue).toBe(0);
  });
});

describe("loop", () => {
  test("calls back with the index and the context, as often as told, or until the callback has enough", () => {
    const { run } = scriptKernel([]);
    const seen: bigint[] = [];
    const all = run(({ helper }) => helper("loop", 3, 0xca11n, 9, 0), {
      callback: ({ args }) => {
        seen.push(...args);
        return 0n;
      },
    });
    expect(seen).toEqual([0n, 9n, 1n, 9n, 2n, 9n]);
    expect(all.returnValue).toBe(3);
    const some = run(({ helper }) => helper("loop", 10, 0xca11n, 0, 0), {
      callback: ({ args }) => (args[0] === 4n ? 1n : 0n),
    });
    expect(some.returnValue).toBe(5);
  });

  test("refuses flags, and more than 8 million calls", () => {
    const { run } = scriptKernel([]);
    run(({ helper }) => {
      expect(signed(helper("loop", 1, 0xca11n, 0, 1))).toBe(-22);
      expect(signed(helper("loop", 8 * 1024 * 1024 + 1, 0xca11n, 0, 0))).toBe(-7);
      expect(signed(helper("loop", 1n << 32n, 0xca11n, 0, 0))).toBe(-7);
      return undefined;
    });
  });
});

describe("memory", () => {
  test("probe_read_kernel copies, and answers a bad source with zeroes and an error", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put, bytes, memory }) => {
      const to = put([9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
      expect(helper("probe_read_kernel", to, 10, put([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))).toBe(0n);
      expect(bytes(to, 10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(signed(helper("probe_read_kernel", to, 10, memory.base))).toBe(-14);
      expect(bytes(to, 10)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      return undefined;
    });
    expect(run(({ helper, put }) => helper("probe_read_kernel", 0x10n, 4, put([1, 2, 3, 4]))).stop).toMatchObject({
      kind: "trap",
      cause: "store",
    });
  });

  test.each([
    [-34, 0n],
    [-34, 0x1000n],
    [-34, 0x7fff_ffff_f000n],
    [-14, 0xff00_0000_0000_0000n],
    [-14, 0xffff_ffff_ffff_ffffn],
  ])("what Linux 7.2 says to a read of kernel memory is %i at 0x%x", (errno, source) => {
    const { run } = scriptKernel([]);
    run(({ helper, put, bytes }) => {
      for (const name of ["probe_read_kernel", "probe_read_kernel_str"]) {
        const to = put([9, 9, 9, 9]);
        expect(signed(helper(name, to, 3, source))).toBe(errno);
        expect(bytes(to, 4)).toEqual([0, 0, 0, 9]);
      }
      return undefined;
    });
  });

  test("probe_read_kernel of nothing still minds where it reads", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put }) => {
      expect(signed(helper("probe_read_kernel", put([9]), 0, 0))).toBe(-34);
      expect(helper("probe_read_kernel", put([9]), 0, put([1]))).toBe(0n);
      expect(helper("probe_read_kernel_str", put([9]), 0, 0)).toBe(0n);
      return undefined;
    });
  });

  test("a destination of four gigabytes is a trap before anybody makes room for it", () => {
    const { run } = scriptKernel([]);
    for (const name of ["probe_read_kernel", "probe_read_kernel_str"]) {
      expect(run(({ helper, put }) => helper(name, put([9]), 0xffff_ffff, 0)).stop).toMatchObject({ cause: "store" });
    }
  });

  test("probe_read_kernel_str ends with a NUL and counts it", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put, bytes }) => {
      const text = put([104, 105, 33, 0]);
      const to = put(new Uint8Array(8));
      expect(helper("probe_read_kernel_str", to, 8, text)).toBe(4n);
      expect(bytes(to, 5)).toEqual([104, 105, 33, 0, 0]);
      expect(helper("probe_read_kernel_str", to, 3, text)).toBe(3n);
      expect(bytes(to, 3)).toEqual([104, 105, 0]);
      return undefined;
    });
  });

  test("strncmp orders by the first byte that differs, up to a NUL or the size", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put }) => {
      const [abc, abd] = [put([97, 98, 99, 0]), put([97, 98, 0xe4, 0])];
      expect(signed(helper("strncmp", abc, 4, abd))).toBe(-1);
      expect(signed(helper("strncmp", abd, 4, abc))).toBe(1);
      expect(signed(helper("strncmp", abc, 2, abd))).toBe(0);
      expect(signed(helper("strncmp", abc, 4, abc))).toBe(0);
      return undefined;
    });
  });
});

describe("csum_diff", () => {
  /** RFC 1071 in the obvious way: 16-bit words, carries added back. */
  const sum16 = (bytes: readonly number[], seed = 0): number => {
    let sum = seed;
    for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! | ((bytes[i + 1] ?? 0) << 8);
    while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
    return sum;
  };
  const bytes = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 64 });

  test("is the change of an internet checksum", () => {
    const { run } = scriptKernel([]);
    fc.assert(
      fc.property(bytes, bytes, (from, to) => {
        run(({ helper, put }) => {
          const before = put(from);
          const diff = Number(helper("csum_diff", before, from.length, put(to), to.length, 0));
          expect(sum16(from, diff) % 0xffff).toBe(sum16(to) % 0xffff);
          return undefined;
        });
      }),
      { numRuns: 50 },
    );
  });

  test("takes null for nothing", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put }) => {
      expect(helper("csum_diff", 0, 0, put([1, 2, 3, 4]), 4, 0)).toBe(0x0604n);
      expect(helper("csum_diff", put([1, 2, 3, 4]), 4, 0, 0, 0)).toBe(0xf9fbn);
      expect(helper("csum_diff", 0, 0, 0, 0, 0x12345)).toBe(0x2346n);
      return undefined;
    });
  });

  test("takes sizes that are no whole words, as Linux 7.2 does", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put }) => {
      const zeroes = put(new Uint8Array(8));
      expect(helper("csum_diff", zeroes, 2, zeroes, 4, 0)).toBe(0xffffn);
      expect(helper("csum_diff", zeroes, 3, 0, 0, 0)).toBe(0n);
      expect(helper("csum_diff", 0, 0, zeroes, 6, 0)).toBe(0n);
      expect(helper("csum_diff", 0, 0, put([1, 2, 3]), 3, 0)).toBe(0x0204n);
      return undefined;
    });
  });
});
