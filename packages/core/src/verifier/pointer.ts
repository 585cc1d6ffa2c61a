// Pointer arithmetic: which pointers may be moved, by what, and how far.

import { sync } from "./deduce.ts";
import { Errno } from "./refusal.ts";
import { AUX, baseOf, FIXED, Flag, ID, isPacket, SCALAR, setScalar, Type, typeName } from "./register.ts";
import { isConstant, SMIN } from "./scalar.ts";
import { SCRATCH2 } from "./state.ts";
import type { Verification } from "./verification.ts";
import { bigOf, signed } from "./words.ts";

const MAX_OFFSET = 2 ** 29;
const MOVABLE: ReadonlySet<number> = new Set<number>([
  Type.CONTEXT,
  Type.MAP_VALUE,
  Type.MAP_KEY,
  Type.STACK,
  Type.PACKET_META,
  Type.PACKET,
  Type.TP_BUFFER,
  Type.BTF,
  Type.MEMORY,
  Type.BUFFER,
  Type.FUNCTION,
]);
/** Pointers of which Linux 6.12 keeps what constants move them by apart from the rest of the offset. */
const KEEPS_CONSTANTS: ReadonlySet<number> = new Set<number>([
  Type.CONTEXT,
  Type.MAP_VALUE,
  Type.MAP_KEY,
  Type.STACK,
  Type.PACKET_META,
  Type.PACKET,
  Type.TP_BUFFER,
  Type.MEMORY,
  Type.BUFFER,
]);
const SIGNS: Readonly<Record<string, string>> = {
  add: "+=", sub: "-=", mul: "*=", div: "/=", or: "|=", and: "&=", lsh: "<<=", rsh: ">>=", mod: "%=", xor: "^=", arsh: "s>>=",
  sdiv: "/=", smod: "%=",
}; // biome-ignore format: pairs

/** An operation's sign, as messages have it. */
export function signOf(operation: string): string {
  return SIGNS[operation] ?? operation;
}

/** dst = pointer op number: both by word offset; `dst` is register `reg`, and may be either of them. */
export function movePointer(
  v: Verification,
  reg: number,
  dst: number,
  pointer: number,
  number: number,
  operation: string,
  wide: boolean,
): void {
  const r = v.frame.words;
  const type = r[pointer]!;
  if (!wide) {
    if (operation === "sub") {
      setScalar(r, dst);
      return;
    }
    v.deny(`R${reg} 32-bit pointer arithmetic prohibited`);
  }
  if ((type & Flag.MAYBE_NULL) !== 0)
    v.deny(`R${reg} pointer arithmetic on ${typeName(type)} prohibited, null-check it first`);
  const base = baseOf(type);
  const byZero = isConstant(r, number + SCALAR) && (r[number + SCALAR]! | r[number + SCALAR + 1]!) === 0;
  const isFixed = isConstant(r, number + SCALAR);
  if (
    !MOVABLE.has(base) &&
    !(base === Type.MAP && operation === "add" && byZero) &&
    !(base === Type.FLOW_KEYS && isFixed)
  )
    v.deny(`R${reg} pointer arithmetic on ${typeName(type)} prohibited`);
  checkNumber(v, number + SCALAR, type);
  checkOffset(v, pointer + SCALAR, type);
  checkFixed(v, pointer, type);
  if (operation !== "add" && operation !== "sub") {
    const bitwise = operation === "and" || operation === "or" || operation === "xor";
    if (bitwise) v.deny(`R${reg} bitwise operator ${signOf(operation)} on pointer prohibited`);
    v.deny(`R${reg} pointer arithmetic with ${signOf(operation)} operator prohibited`);
  }
  if (operation === "sub") {
    if (dst === number) v.deny(`R${reg} tried to subtract pointer from scalar`);
    if (base === Type.STACK) v.deny(`R${reg} subtraction from stack pointer prohibited`);
  }
  if (!v.modern && isFixed && KEEPS_CONSTANTS.has(base)) {
    const by = signed(r[number + SCALAR]!, r[number + SCALAR + 1]!);
    if (dst !== pointer) v.copy(dst, pointer);
    r[dst + FIXED]! += operation === "sub" ? -by : by;
    checkFixed(v, dst, type);
    return;
  }
  const negative = r[number + SCALAR + SMIN + 1]! < 0;
  v.copy(SCRATCH2, number);
  if (dst !== pointer) v.copy(dst, pointer);
  v.tables.alu[operation as "add" | "sub"].wide(r, dst + SCALAR, SCRATCH2 + SCALAR);
  if (isPacket(base) && !isFixed) {
    r[dst + ID] = v.nextId();
    // Moved by an unknown number: what was known to be there lies elsewhere now. Where it can only have moved back, it is still there.
    if (operation === "add" || negative) r[dst + AUX] = 0;
  }
  sync(r, dst + SCALAR);
  checkOffset(v, dst + SCALAR, type);
}

/** What constants have moved a pointer by, where that is kept apart. */
function checkFixed(v: Verification, at: number, type: number): void {
  const fixed = v.frame.words[at + FIXED]!;
  if (!v.modern && (fixed >= MAX_OFFSET || fixed <= -MAX_OFFSET))
    v.refuse(Errno.EINVAL, `${typeName(type)} pointer offset ${fixed} is not allowed`);
}

/** A number that is added to a pointer. */
function checkNumber(v: Verification, x: number, type: number): void {
  const r = v.frame.words;
  const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!);
  const name = typeName(type);
  if (isConstant(r, x)) {
    const value = BigInt.asIntN(64, bigOf(r[x]!, r[x + 1]!));
    if (min >= MAX_OFFSET || min <= -MAX_OFFSET)
      v.refuse(Errno.EINVAL, `math between ${name} pointer and ${value} is not allowed`);
  }
  if (min <= -(2 ** 63))
    v.refuse(Errno.EINVAL, `math between ${name} pointer and register with unbounded min value is not allowed`);
  if (min >= MAX_OFFSET || min <= -MAX_OFFSET)
    v.refuse(Errno.EINVAL, `value ${minText(r, x)} makes ${name} pointer be out of bounds`);
}

function minText(r: Int32Array, x: number): string {
  return `${BigInt.asIntN(64, bigOf(r[x + SMIN]!, r[x + SMIN + 1]!))}`;
}

/** Where a pointer is, before or after it moved. */
function checkOffset(v: Verification, x: number, type: number): void {
  const r = v.frame.words;
  const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!);
  const name = typeName(type);
  if (isConstant(r, x)) {
    if (min >= MAX_OFFSET || min <= -MAX_OFFSET)
      v.refuse(Errno.EINVAL, `${name} pointer offset ${BigInt.asIntN(64, bigOf(r[x]!, r[x + 1]!))} is not allowed`);
    return;
  }
  if (min <= -(2 ** 63))
    v.refuse(Errno.EINVAL, `math between ${name} pointer and register with unbounded min value is not allowed`);
  if (min >= MAX_OFFSET || min <= -MAX_OFFSET)
    v.refuse(
      Errno.EINVAL,
      v.modern
        ? `${name} pointer offset ${minText(r, x)} is not allowed`
        : `value ${minText(r, x)} makes ${name} pointer be out of bounds`,
    );
}
