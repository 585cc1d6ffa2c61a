import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fault } from "../../src/machine/fault.ts";
import { Memory } from "../../src/machine/memory.ts";
import type { Size } from "../../src/machine/ops.ts";
import { Run } from "../../src/machine/run.ts";

const ONES = (1n << 64n) - 1n;
const MIN = 1n << 63n;
const word = fc.oneof(
  fc.constantFrom(
    0n,
    1n,
    2n,
    63n,
    64n,
    65n,
    0x80n,
    0x8000n,
    0x8000_0000n,
    0xffff_ffffn,
    MIN - 1n,
    MIN,
    ONES - 1n,
    ONES,
  ),
  fc.bigInt({ min: 0n, max: ONES }),
);
const memory = new Memory({ sizes: { text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
const { address } = memory.allocate("data", 256, "block");

describe("the words", () => {
  const run = new Run({ memory, registers: 4 });

  /** A 64-bit value as 64 bits, the lowest first. */
  const bitsOf = (a: bigint): bigint[] => Array.from({ length: 64 }, (_, i) => (a >> BigInt(i)) & 1n);
  const fromBits = (bit: (i: number) => bigint | undefined): bigint =>
    Array.from({ length: 64 }, (_, i) => (bit(i) ?? 0n) << BigInt(i)).reduce((sum, part) => sum + part, 0n);
  const signed = (a: bigint): bigint => (a >= MIN ? a - (1n << 64n) : a);
  const wrap = (a: bigint): bigint => ((a % (1n << 64n)) + (1n << 64n)) % (1n << 64n);

  const laws: Record<string, (a: bigint, b: bigint) => [bigint, bigint]> = {
    add: (a, b) => [run.add(a, b), wrap(a + b)],
    sub: (a, b) => [run.sub(a, b), wrap(a - b)],
    "mul and mulhu": (a, b) => [(run.mulhu(a, b) << 64n) + run.mul(a, b), a * b],
    shl: (a, b) => [run.shl(a, b), fromBits((i) => bitsOf(a)[i - Number(b % 64n)])],
    shr: (a, b) => [run.shr(a, b), fromBits((i) => bitsOf(a)[i + Number(b % 64n)])],
    sar: (a, b) => [run.sar(a, b), fromBits((i) => bitsOf(a)[Math.min(63, i + Number(b % 64n))])],
    "udiv and urem": (a, b) => [b === 0n ? run.urem(a, b) : run.udiv(a, b) * b + run.urem(a, b), a],
    "udiv by zero": (a) => [run.udiv(a, 0n), ONES],
    "sdiv and srem": (a, b) => [
      b === 0n ? run.srem(a, b) : wrap(signed(run.sdiv(a, b)) * signed(b) + signed(run.srem(a, b))),
      a,
    ],
    "sdiv by zero": (a) => [run.sdiv(a, 0n), ONES],
    "sdiv of the minimum by -1": () => [run.sdiv(MIN, ONES), MIN],
    "srem of the minimum by -1": () => [run.srem(MIN, ONES), 0n],
    ult: (a, b) => [run.ult(a, b), a < b ? 1n : 0n],
    slt: (a, b) => [run.slt(a, b), signed(a) < signed(b) ? 1n : 0n],
    eq: (a, b) => [run.eq(a, b), a === b ? 1n : 0n],
    select: (a, b) => [run.select(a, b, 7n), a === 0n ? 7n : b],
  };
  test.each(Object.entries(laws))("%s", (_name, law) => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const [actual, expected] = law(a, b);
        expect(actual).toBe(expected);
      }),
    );
  });

  test("a signed remainder has the dividend's sign and is smaller than the divisor", () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        fc.pre(b !== 0n);
        const rest = signed(run.srem(a, b));
        expect(rest === 0n || rest < 0n === signed(a) < 0n).toBe(true);
        expect(rest * rest < signed(b) * signed(b)).toBe(true);
      }),
    );
  });

  test("zext and sext keep the low bytes and fill the rest with zeros or the sign", () => {
    fc.assert(
      fc.property(word, fc.constantFrom<Size>(1, 2, 4, 8), (a, size) => {
        expect(run.zext(size, a)).toBe(fromBits((i) => (i < 8 * size ? bitsOf(a)[i] : 0n)));
        expect(run.sext(size, a)).toBe(fromBits((i) => bitsOf(a)[Math.min(i, 8 * size - 1)]));
      }),
    );
  });

  test("trapIf throws its cause when the condition is not 0", () => {
    run.trapIf(0n, "divide");
    expect(() => run.trapIf(2n, "divide")).toThrow(new Fault("divide"));
  });

  test("branch and jump leave a target until the next instruction begins", () => {
    run.branch(0n, 5n);
    expect(run.target).toBeUndefined();
    run.branch(1n, 5n);
    expect(run.target).toBe(5n);
    run.begin();
    expect(run.target).toBeUndefined();
    run.jump(6n, "call");
    expect(run.target).toBe(6n);
  });
});

describe("lazily set registers", () => {
  const A = 2;
  const B = 3;
  const C = 4;
  const ALL = [A, B, C];
  const fresh = (): Run => new Run({ memory, registers: 5, firstLazy: A });

  test("are computed when somebody looks, once, and not otherwise", () => {
    const run = fresh();
    const asked: number[] = [];
    run.setLazy(ALL, (reg) => {
      asked.push(reg);
      return BigInt(reg);
    });
    expect(asked).toEqual([]);
    expect([run.get(B), run.get(B)]).toEqual([3n, 3n]);
    expect(asked).toEqual([B]);
  });

  test("keep their value when a later group leaves them out", () => {
    const run = fresh();
    run.setLazy(ALL, (reg) => BigInt(reg));
    run.setLazy([A], () => 9n);
    expect([run.get(A), run.get(B), run.get(C)]).toEqual([9n, 3n, 4n]);
  });

  test("take a plain set like any register", () => {
    const run = fresh();
    run.setLazy(ALL, (reg) => BigInt(reg));
    run.set(B, 7n);
    run.setLazy([C], () => 8n);
    expect([run.get(A), run.get(B), run.get(C)]).toEqual([2n, 7n, 8n]);
  });

  test("equal eagerly set ones under any sequence", () => {
    const groups = [ALL, [A, B], [C], [A]];
    const action = fc.record({
      kind: fc.constantFrom("lazy", "set", "get"),
      which: fc.integer({ min: 0, max: 3 }),
      value: word,
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const run = fresh();
        const eager = new Map([...ALL].map((reg) => [reg, 0n]));
        for (const { kind, which, value } of actions) {
          const reg = A + (which % 3);
          if (kind === "lazy") {
            const group = groups[which]!;
            run.setLazy(group, (member) => run.add(value, BigInt(member)));
            for (const member of group) eager.set(member, run.add(value, BigInt(member)));
          } else if (kind === "set") {
            run.set(reg, value);
            eager.set(reg, value);
          } else expect(run.get(reg)).toBe(eager.get(reg));
        }
        for (const reg of ALL) expect(run.get(reg)).toBe(eager.get(reg));
      }),
    );
  });
});

describe("atomic accesses", () => {
  const one = new Run({ memory, registers: 1 });
  const other = new Run({ memory, registers: 1 });

  test("compare-exchange compares as many bytes as it accesses", () => {
    memory.store(8, address, 0x1111_2222n);
    expect(one.atomic("compare-exchange", 4, address, 5n, 0xff_1111_2222n)).toBe(0x1111_2222n);
    expect(memory.load(8, address)).toBe(5n);
    expect(one.atomic("compare-exchange", 8, address, 6n, 7n)).toBe(5n);
    expect(memory.load(8, address)).toBe(5n);
  });

  test("need permission to read and to write, even where nothing is stored in the end", () => {
    const constant = memory.allocate("data", 8, "a constant", 1);
    expect(() => one.atomic("compare-exchange", 8, constant.address, 1n, 1n)).toThrow("which allows only reading");
  });

  test("a store-conditional stores once after a load-reserved of its address", () => {
    memory.store(8, address, 1n);
    expect(one.atomic("store-conditional", 8, address, 2n)).toBe(1n);
    expect(one.atomic("load-reserved", 8, address, 0n)).toBe(1n);
    expect(one.atomic("store-conditional", 8, address, 2n)).toBe(0n);
    expect(one.atomic("store-conditional", 8, address, 3n)).toBe(1n);
    expect(memory.load(8, address)).toBe(2n);
    one.atomic("load-reserved", 8, address, 0n);
    expect(one.atomic("store-conditional", 8, address + 128n, 3n)).toBe(1n);
  });

  test("a reservation is lost when anybody writes nearby, even the same value", () => {
    const writes: (() => void)[] = [
      () => other.store(1, address + 7n, memory.load(1, address + 7n)),
      () => memory.write(address, new Uint8Array(8)),
      () => other.atomic("exchange", 8, address, 1n),
    ];
    for (const write of writes) {
      one.atomic("load-reserved", 8, address, 0n);
      write();
      expect(one.atomic("store-conditional", 8, address, 9n)).toBe(1n);
    }
    one.atomic("load-reserved", 8, address, 0n);
    other.store(8, address + 128n, 1n);
    expect(one.atomic("store-conditional", 8, address, 9n)).toBe(0n);
  });

  test("two reservations of one place: the first to store wins", () => {
    one.atomic("load-reserved", 8, address, 0n);
    other.atomic("load-reserved", 8, address, 0n);
    expect(other.atomic("store-conditional", 8, address, 1n)).toBe(0n);
    expect(one.atomic("store-conditional", 8, address, 2n)).toBe(1n);
  });
});

describe("a checked reading refuses", () => {
  const checked = (): Run => new Run({ memory, registers: 8, firstLazy: 4, checked: true });
  const cases: [string, string, (run: Run) => void][] = [
    [
      "a load after a set",
      "load after a set of register 1",
      (run) => {
        run.set(1, 0n);
        run.load(8, address);
      },
    ],
    [
      "a store after a set",
      "store after a set of register 1",
      (run) => {
        run.set(1, 0n);
        run.store(8, address, 0n);
      },
    ],
    [
      "an atomic after a set",
      "atomic after a set of register 1",
      (run) => {
        run.set(1, 0n);
        run.atomic("add", 8, address, 0n);
      },
    ],
    [
      "a trap after a set",
      "trapIf after a set of register 1",
      (run) => {
        run.set(1, 0n);
        run.trapIf(0n, "divide");
      },
    ],
    [
      "a store after lazy flags",
      "store after a set of register 4, 5",
      (run) => {
        run.setLazy([4, 5], () => 0n);
        run.store(8, address, 0n);
      },
    ],
    [
      "a get after the set",
      "a get of register 1 after its set",
      (run) => {
        run.set(1, 0n);
        run.get(1);
      },
    ],
    [
      "a second set",
      "a second set of register 1",
      (run) => {
        run.set(1, 0n);
        run.set(1, 0n);
      },
    ],
    [
      "a lazy value that reads a register",
      "get inside a lazy value",
      (run) => {
        run.setLazy([4], () => run.get(1));
        run.begin();
        run.get(4);
      },
    ],
    [
      "a lazy value that reads memory",
      "load inside a lazy value",
      (run) => {
        run.setLazy([4], () => run.load(8, address));
        run.begin();
        run.get(4);
      },
    ],
  ];
  test.each(cases)("%s", (_name, breach, row) => {
    const run = checked();
    run.begin();
    expect(() => row(run)).toThrow(`${breach}, expected an instruction that is one parallel assignment`);
    expect(() => row(new Run({ memory, registers: 8, firstLazy: 4 }))).not.toThrow();
  });

  test("nothing that follows the rule, and starts anew with every instruction", () => {
    const run = checked();
    for (let i = 0; i < 2; i++) {
      run.begin();
      const [a, b] = [run.get(1), run.get(2)];
      run.store(8, address, run.load(8, address));
      run.set(1, b);
      run.set(2, a);
      run.setLazy([4, 5], (reg) => run.add(a, BigInt(reg)));
      run.jump(1n, "jump");
    }
    run.begin();
    expect(run.get(5)).toBe(5n);
  });
});
