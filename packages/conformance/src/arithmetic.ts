// What RFC 9669 says about arithmetic, over BigInt: where the corpus takes its expected values from. It shares nothing with the engines.

/** Operations as the instruction table names them, without width and operand: `add`, `sdiv`, `arsh`, … */
export type Operation =
  | "add" | "sub" | "mul" | "or" | "and" | "xor" | "div" | "sdiv" | "mod" | "smod" | "lsh" | "rsh" | "arsh"; // biome-ignore format: names

/** Comparisons of conditional jumps. */
export type Comparison = "jeq" | "jgt" | "jge" | "jset" | "jne" | "jsgt" | "jsge" | "jlt" | "jle" | "jslt" | "jsle";

/** The low `bits` bits as an unsigned number. */
export function unsigned(bits: number, value: bigint): bigint {
  return BigInt.asUintN(bits, value);
}

/** The low `bits` bits as a two's complement number. */
export function signed(bits: number, value: bigint): bigint {
  return BigInt.asIntN(bits, value);
}

/** Section 4.1: the 64-bit register after `dst op= src`; a 32-bit operation clears the upper half. */
export function calculate(operation: Operation, bits: 32 | 64, dst: bigint, src: bigint): bigint {
  return unsigned(bits, raw(operation, bits, dst, src));
}

function raw(operation: Operation, bits: 32 | 64, dst: bigint, src: bigint): bigint {
  const [a, b] = [unsigned(bits, dst), unsigned(bits, src)];
  const [x, y] = [signed(bits, dst), signed(bits, src)];
  const count = b % BigInt(bits);
  switch (operation) {
    case "add":
      return a + b;
    case "sub":
      return a - b;
    case "mul":
      return a * b;
    case "or":
      return a | b;
    case "and":
      return a & b;
    case "xor":
      return a ^ b;
    case "div":
      return b === 0n ? 0n : a / b;
    case "mod":
      return b === 0n ? a : a % b;
    case "sdiv": // of the minimum by −1: the minimum again, once it is cut to the width
      return y === 0n ? 0n : x / y;
    case "smod": // the sign is the dividend's
      return y === 0n ? x : x - y * (x / y);
    case "lsh":
      return a * 2n ** count;
    case "rsh":
      return a / 2n ** count;
    case "arsh": // rounds down
      return x >= 0n ? x / 2n ** count : -((-x + 2n ** count - 1n) / 2n ** count);
  }
}

/** Section 4.3: whether the jump is taken. */
export function compare(comparison: Comparison, bits: 32 | 64, dst: bigint, src: bigint): boolean {
  const [a, b] = [unsigned(bits, dst), unsigned(bits, src)];
  const [x, y] = [signed(bits, dst), signed(bits, src)];
  switch (comparison) {
    case "jeq":
      return a === b;
    case "jne":
      return a !== b;
    case "jset":
      return (a & b) !== 0n;
    case "jgt":
      return a > b;
    case "jge":
      return a >= b;
    case "jlt":
      return a < b;
    case "jle":
      return a <= b;
    case "jsgt":
      return x > y;
    case "jsge":
      return x >= y;
    case "jslt":
      return x < y;
    case "jsle":
      return x <= y;
  }
}

/** Section 4.2: the low `bits` bits with their bytes in reverse; the rest is cleared. */
export function reversed(bits: number, value: bigint): bigint {
  let result = 0n;
  for (let at = 0; at < bits; at += 8) result = result * 256n + unsigned(8, value / 2n ** BigInt(at));
  return result;
}

/** Section 5.3: what memory holds after an atomic operation on `old`. `expected` is what cmpxchg compares with. */
export function exchange(name: string, bits: 32 | 64, old: bigint, src: bigint, expected: bigint): bigint {
  const [a, b] = [unsigned(bits, old), unsigned(bits, src)];
  if (name.startsWith("cmpxchg")) return a === unsigned(bits, expected) ? b : a;
  if (name.startsWith("xchg")) return b;
  const operation = /add|or|and|xor/.exec(name.replace(/^atomic_(fetch_)?/, ""))![0];
  return calculate((name.includes("xor") ? "xor" : operation) as Operation, bits, a, b);
}
