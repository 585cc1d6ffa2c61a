// Pass: accesses to the structure that programs see become accesses to what the kernel has; Linux's convert_ctx_access.
import { Fact, PointerKind } from "../analysis/facts.ts";
import { AX } from "../isa/insns.ts";
import type { Op } from "../isa/opcodes.ts";
import type { PatchList } from "../patch/list.ts";
import type { Pass } from "../patch/patch.ts";
import { isLoad, isSignedLoad, isStore, isStoreNumber, op, sizeOf } from "./words.ts";

/** A field of a context structure, as programs see it and as the kernel has it. Offsets and sizes in bytes. */
export interface ContextField {
  readonly name: string;
  /** Where programs see it; one of 4 bytes that stands for a pointer is loaded as the pointer. */
  readonly offset: number;
  readonly size: number;
  /** Pointers to follow from the context on, each at an offset from where the one before leads. */
  readonly via?: readonly number[];
  /** Where it is from there. */
  readonly at: number;
  /** How wide it is there; left out, the bytes are the same in both and any part of them can be accessed. */
  readonly bytes?: 1 | 2 | 4 | 8;
  /** Of a field of bits: where its lowest bit is, and its bits when that is bit 0. */
  readonly shift?: number;
  readonly mask?: number;
  /** Whether programs may write it. */
  readonly writable?: boolean;
}

/** The fields of a program type's context. What no row covers stays in its place. */
export type ContextLayout = readonly ContextField[];

/** Layouts by program type. */
export interface ContextLayouts {
  readonly [type: string]: ContextLayout;
}

/**
 * Rewrites each access that is known to go to the context, by the layout of the program's type. An access of which nothing is known stays
 * as it is, so the kernel's structure has to be where the one that programs see is, or to contain it.
 */
export function convertContext(layouts: ContextLayouts): Pass {
  return {
    name: "convert-ctx-access",
    run(list) {
      const layout = layouts[list.program.type];
      if (layout === undefined) return;
      const { pointer, offset } = list.facts;
      for (const at of list) {
        if (pointer[at] !== PointerKind.CONTEXT || (list.flags(at) & Fact.OFFSET_KNOWN) === 0) continue;
        const field = layout.find((row) => row.offset <= offset[at]! && offset[at]! < row.offset + row.size);
        const words = field && converted(list, at, field, offset[at]!);
        if (words !== undefined) list.replace(at, words);
      }
    },
  };
}

const LOADS: Readonly<Record<number, Op>> = { 1: "load8", 2: "load16", 4: "load32", 8: "load64" };
const EXTENSIONS: Readonly<Record<number, Op>> = { 1: "movsx64_8", 2: "movsx64_16", 4: "movsx64_32" };
const STORES: Readonly<Record<number, Op>> = { 1: "store8_reg", 2: "store16_reg", 4: "store32_reg", 8: "store64_reg" };
const STORES_OF_NUMBERS: Readonly<Record<number, Op>> = {
  1: "store8_imm",
  2: "store16_imm",
  4: "store32_imm",
  8: "store64_imm",
};

/** The access in other words; undefined where it has none. `place` is where it is in the context. */
function converted(list: PatchList, at: number, field: ContextField, place: number): readonly number[] | undefined {
  const code = list.code(at);
  const size = sizeOf(code);
  const into = place - field.offset;
  if (into + size > field.size) return undefined;
  if (isLoad(code)) {
    const words = load(list, at, field, place, into, size);
    return isSignedLoad(code) && words !== undefined ? extended(field, list.dst(at), size, words) : words;
  }
  if (isStore(code) || isStoreNumber(code)) return store(list, at, field, place, into, size);
  return undefined;
}

function load(
  list: PatchList,
  at: number,
  field: ContextField,
  place: number,
  into: number,
  size: number,
): readonly number[] | undefined {
  const { via = [], bytes, shift = 0, mask } = field;
  const dst = list.dst(at);
  const base = list.off(at) - place;
  const [from, off, follow] = followed(via, dst, list.src(at), base);
  if (bytes === undefined) return [...follow, ...op(LOADS[size]!, { dst, src: from, off: off + field.at + into })];
  const isPart = size < field.size;
  if (isPart && bytes > field.size) return undefined;
  const whole = [...follow, ...op(LOADS[bytes]!, { dst, src: from, off: off + field.at })];
  const down = shift + 8 * into;
  const moved = down === 0 ? [] : op(bytes === 8 ? "rsh64_imm" : "rsh32_imm", { dst, imm: down });
  const most = isPart ? 2 ** (8 * size) - 1 : 0xffff_ffff;
  const kept = mask === undefined ? most : mask < most ? (mask >>> (8 * into)) & most : most;
  return [...whole, ...moved, ...(mask === undefined && !isPart ? [] : op("and32_imm", { dst, imm: kept | 0 }))];
}

/** A sign-extending load is a plain one and the extension; of a pointer there is none. */
function extended(
  field: ContextField,
  dst: number,
  size: number,
  words: readonly number[],
): readonly number[] | undefined {
  const isPointer = field.bytes !== undefined && field.bytes > field.size;
  return isPointer ? undefined : [...words, ...op(EXTENSIONS[size]!, { dst, src: dst })];
}

function store(
  list: PatchList,
  at: number,
  field: ContextField,
  place: number,
  into: number,
  size: number,
): readonly number[] | undefined {
  const { via = [], bytes, mask, writable = false } = field;
  if (!writable || mask !== undefined || (bytes !== undefined && size < field.size)) return undefined;
  const [to, off, follow] = followed(via, AX, list.dst(at), list.off(at) - place);
  const code = list.code(at);
  const operands = { dst: to, off: off + field.at + (bytes === undefined ? into : 0) };
  const width = bytes ?? size;
  return isStore(code)
    ? [...follow, ...op(STORES[width]!, { ...operands, src: list.src(at) })]
    : [...follow, ...op(STORES_OF_NUMBERS[width]!, { ...operands, imm: list.imm(at) })];
}

/** Loads of the pointers on the way, through `temporary`; what to go on from, and what to add to offsets from there. */
function followed(
  via: readonly number[],
  temporary: number,
  context: number,
  base: number,
): readonly [register: number, off: number, words: readonly number[]] {
  if (via.length === 0) return [context, base, []];
  const words = via.flatMap((at, i) =>
    op("load64", { dst: temporary, src: i === 0 ? context : temporary, off: i === 0 ? base + at : at }),
  );
  return [temporary, 0, words];
}
