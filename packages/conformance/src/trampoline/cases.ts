// What the laws of trampolines ask: every list of links, around functions of many types.
import type { LinkKind } from "@bpfkit/core";

export const LINK_KINDS: readonly LinkKind[] = ["fentry", "fmod_ret", "fexit", "fsession"];

/** Every ordered list of at most three links, the empty one and the shorter ones first: 1 + 4 + 16 + 64. */
export const LINK_LISTS: readonly (readonly LinkKind[])[] = listsUpTo(3);

/** The programs of a list can be 0, 1 and 2. */
export const MOST_LINKS = 3;

function listsUpTo(length: number): readonly (readonly LinkKind[])[] {
  if (length === 0) return [[]];
  const shorter = listsUpTo(length - 1);
  const longest = shorter.filter((list) => list.length === length - 1);
  return [...shorter, ...longest.flatMap((list) => LINK_KINDS.map((kind) => [...list, kind]))];
}

/**
 * Functions of 0 to 12 words, as `parseFuncModel` reads them: numbers of all sizes and signs in registers and on the stack, beside each other and
 * behind what does not fit; structs of one and two words in registers, on the stack, and where one register is left; results of all sizes.
 */
export const FUNCTION_MODELS: readonly string[] = [
  "void ()",
  "int (int)",
  "bool (char *, bool)",
  "u64 (u64, u8, s16)",
  "u32 (u64, struct{u64, u32}, u8)",
  "int (u16, s32, void *, struct 16)",
  "long (char *, size_t, s8, u32, struct{u32, u32})",
  "u64 (struct 16, struct 3, struct 16, u64)",
  "s16 (u64, u64, u64, u64, u64, u64)",
  "s16 (s8, u8, s16, u16, s32, u32)",
  "u64 (struct 16, struct 16, struct 16)",
  "int (u64, u64, u64, u64, u64, u64, int)",
  "int (u64, u64, u64, u64, u64, u64, struct{u32}, bool)",
  "int (u64, u64, u64, u64, u64, struct{u64, u64}, u32)",
  "u64 (u64, u64, u64, u64, struct 16, struct 16, u8)",
  "u8 (u64, u64, u64, u64, u64, u64, s8, u64, u16)",
  "int (u64, u64, u64, u64, u64, struct{u64, u64}, u32, u32, struct{u8}, s32)",
  "u64 (u64, u64, u64, u64, u64, u64, u64)",
  "u64 (u64, u64, u64, u64, u64, u64, u64, u64)",
  "u64 (u64, u64, u64, u64, u64, u64, u64, struct 16)",
  "int (u64, u64, u64, u64, u64, u64, u64, struct 12, s8)",
  "int (u64, u64, u64, u64, u64, u64, u64, struct 16, u64)",
  "u16 (u8, u8, u8, u8, u8, u8, u8, u8, u8)",
  "long (u64, u64, u64, u64, u64, u64, u64, u64, s8)",
  "s32 (u64, u64, u64, u64, u64, u64, u64, u64, u64)",
  "int (u64, u64, u64, u64, u64, u64, u64, u64, u8, s16, u32)",
  "u8 (u64, u64, u64, u64, u64, u64, u64, u64, struct 16, u64)",
  "s8 (s32, s32, s32, s32, s32, s32, s32, s32, s32, s32, s32)",
  "int (struct 16, struct 16, struct 16, u64, struct 12, u8, s32)",
  "void (struct 16, struct 16, struct 16, struct 16, struct 12, struct 9)",
  "void (struct 16, struct 16, struct 16, struct 16, struct 16, struct 3, u64)",
  "s64 (s8, s8, s8, s8, s8, s8, s8, s8, s8, s8, s8, s8)",
  "u64 (u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64)",
  "int (u64, u32, void *, int, short, u64, char, u64, u32, void *, int, u64)",
];
