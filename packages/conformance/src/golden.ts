// The programs whose listings every backend keeps as golden files, by file name: the same questions asked of each architecture.
import {
  assemble,
  type Backend,
  type CompileOptions,
  formatListing,
  MAP_TYPES,
  type MapSpec,
  notesOf,
  trust,
} from "@bpfkit/core";

/** A program to compile and list. */
export interface GoldenCase {
  /** What it shows. */
  readonly title: string;
  readonly program: string;
}

/** The map that programs can name. */
const TABLE: MapSpec = {
  name: "table",
  type: MAP_TYPES.prog_array,
  keySize: 4,
  valueSize: 4,
  maxEntries: 4,
  flags: 0,
};

/** By file name, without `.lst`. */
export const GOLDEN_CASES: Readonly<Record<string, GoldenCase>> = {
  "prologue-leaf": { title: "prologue · leaf program", program: "r0 = 0\nexit" },
  "prologue-saved-registers": {
    title: "prologue · stack and all saved registers",
    program: `
      r6 = 6
      r7 = 7
      r8 = 8
      r9 = 9
      *(u64 *)(r10 - 64) = r9
      r0 = *(u64 *)(r10 - 64)
      r0 += r6
      r0 += r7
      r0 += r8
      exit`,
  },
  "epilogue-two-exits": {
    title: "epilogue · two exits",
    program: `
      r6 = r1
      r0 = 0
      if r6 == 0 goto other
      exit
    other:
      r0 = 1
      exit`,
  },
  "bpf2bpf-call": {
    title: "call · subprogram",
    program: `
      r1 = 10
      r2 = 32
      call f1
      r0 += 3
      exit
    f1:
      r6 = r1
      r7 = r2
      *(u64 *)(r10 - 8) = r6
      r1 = r7
      call f2
      r0 += r6
      exit
    f2:
      r0 = r1
      exit`,
  },
  "helper-call": { title: "call · helper", program: "call 8\nr0 += 1\nexit" },
  callback: {
    title: "call · helper with a callback",
    program: `
      r1 = 8
      r2 = each ll
      r3 = 0
      r4 = 0
      call 181
      r0 = 3
      exit
    each:
      r0 = 0
      exit`,
  },
  "alu-reg": {
    title: "arithmetic · registers",
    program: `
      r0 += r1
      w0 += w1
      r2 -= r3
      w2 -= w3
      r4 *= r5
      w4 *= w5
      r6 |= r7
      w6 |= w7
      r8 &= r9
      w8 &= w9
      r0 ^= r6
      w0 ^= w6
      r1 = -r1
      w1 = -w1
      exit`,
  },
  "alu-imm": {
    title: "arithmetic · immediates",
    program: `
      r0 += 1
      w0 += 127
      r0 += 128
      w0 += -129
      r1 -= -128
      w1 -= 1000
      r2 *= 3
      w2 *= 1000
      r6 |= 15
      w6 |= 4096
      r7 &= -16
      w7 &= 65535
      r8 ^= 1
      w8 ^= 2147483647
      exit`,
  },
  mov: {
    title: "move · registers, immediates, sign extension",
    program: `
      r0 = r1
      w0 = w1
      r2 = r2
      w2 = w2
      r3 = 0
      w3 = 0
      r4 = 1
      r4 = -1
      w4 = -1
      r5 = (s8)r6
      r5 = (s16)r6
      r5 = (s32)r6
      w5 = (s8)w6
      w5 = (s16)w6
      exit`,
  },
  shift: {
    title: "shift",
    program: `
      r0 <<= 0
      r0 <<= 1
      r0 <<= 63
      w0 >>= 1
      w0 >>= 31
      r1 s>>= 7
      w1 s>>= 7
      r2 <<= r3
      w2 <<= w3
      r5 >>= r6
      w5 >>= w6
      r7 s>>= r4
      w7 s>>= w4
      r4 <<= r8
      w4 s>>= w4
      exit`,
  },
  end: {
    title: "byte swap",
    program: `
      r0 = le16 r0
      r0 = le32 r0
      r0 = le64 r0
      r1 = be16 r1
      r1 = be32 r1
      r1 = be64 r1
      r6 = bswap16 r6
      r6 = bswap32 r6
      r6 = bswap64 r6
      exit`,
  },
  "div-reg": {
    title: "division · by a register, guarded",
    program: `
      r0 /= r6
      w0 /= w6
      r0 %= r6
      w0 %= w6
      r3 s/= r6
      w3 s/= w6
      r3 s%= r6
      w3 s%= w6
      r6 /= r3
      w6 %= w0
      r0 s/= r0
      exit`,
  },
  "div-imm": {
    title: "division · by a constant",
    program: `
      r0 /= 5
      w0 %= 5
      r3 s/= -7
      w6 s%= 7
      r6 /= -1
      r6 s/= -1
      w6 s%= -1
      r7 /= 0
      r7 %= 0
      w7 %= 0
      exit`,
  },
  "load-imm64": {
    title: "64-bit immediates",
    program: `
      r0 = 0 ll
      r1 = 0xffffffff ll
      r2 = -1 ll
      r6 = 0x1122334455667788 ll
      exit`,
  },
  load: {
    title: "loads",
    program: `
      r0 = *(u8 *)(r1 + 0)
      r0 = *(u16 *)(r1 + 2)
      r0 = *(u32 *)(r1 + 127)
      r0 = *(u64 *)(r1 + 128)
      r2 = *(s8 *)(r6 - 1)
      r2 = *(s16 *)(r6 - 128)
      r2 = *(s32 *)(r6 - 129)
      r7 = *(u64 *)(r10 - 8)
      w7 = load_acquire((u8 *)(r1 + 0))
      w7 = load_acquire((u16 *)(r1 + 0))
      w7 = load_acquire((u32 *)(r1 + 0))
      r7 = load_acquire((u64 *)(r1 + 0))
      exit`,
  },
  store: {
    title: "stores",
    program: `
      *(u8 *)(r1 + 0) = r1
      *(u8 *)(r1 + 0) = r0
      *(u16 *)(r1 + 2) = r2
      *(u32 *)(r6 + 127) = r3
      *(u64 *)(r6 + 128) = r7
      *(u8 *)(r10 - 1) = 255
      *(u16 *)(r10 - 4) = 4660
      *(u32 *)(r10 - 8) = -1
      *(u64 *)(r10 - 16) = -1
      store_release((u8 *)(r1 + 0), w2)
      store_release((u64 *)(r1 + 0), r2)
      exit`,
  },
  "atomic-64": {
    title: "atomic operations · 64 bits",
    program: `
      lock *(u64 *)(r10 - 8) += r2
      lock *(u64 *)(r10 - 8) |= r2
      lock *(u64 *)(r10 - 8) &= r2
      lock *(u64 *)(r10 - 8) ^= r2
      r2 = atomic_fetch_add((u64 *)(r10 - 8), r2)
      r2 = atomic_fetch_or((u64 *)(r10 - 8), r2)
      r2 = atomic_fetch_and((u64 *)(r10 - 8), r2)
      r0 = atomic_fetch_xor((u64 *)(r10 - 8), r0)
      r2 = xchg_64(r10 - 8, r2)
      r0 = cmpxchg_64(r10 - 8, r0, r2)
      exit`,
  },
  "atomic-32": {
    title: "atomic operations · 32 bits",
    program: `
      lock *(u32 *)(r10 - 4) += w2
      lock *(u32 *)(r10 - 4) |= w2
      lock *(u32 *)(r10 - 4) &= w2
      lock *(u32 *)(r10 - 4) ^= w2
      w2 = atomic_fetch_add((u32 *)(r10 - 4), w2)
      w2 = atomic_fetch_or((u32 *)(r10 - 4), w2)
      w2 = xchg32_32(r10 - 4, w2)
      w0 = cmpxchg32_32(r10 - 4, w0, w2)
      exit`,
  },
  "jump-conditions": {
    title: "jumps · conditions",
    program: `
      if r0 == r1 goto end
      if w0 == w1 goto end
      if r0 > r6 goto end
      if r0 >= 0 goto end
      if r0 & r6 goto end
      if w0 & 255 goto end
      if r0 != 5 goto end
      if r6 s> -1 goto end
      if w6 s>= 1000 goto end
      if r6 < 128 goto end
      if w6 <= w7 goto end
      if r6 s< r7 goto end
      if w6 s<= 0 goto end
      goto +0
      goto end
      r0 = 1
    end:
      exit`,
  },
  "jump-distances": {
    title: "jumps · back, far, to itself",
    program: `
    again:
      r0 += 1
      if r0 < 10 goto again
      if r1 == 0 goto far
      if r1 == 1 goto near
    ${"  *(u32 *)(r10 - 200) = 305419896\n".repeat(13)}
    near:
      r0 += 2
    far:
      if r1 != 7 goto out
    forever:
      goto forever
    out:
      exit`,
  },
  "may-goto": {
    title: "may_goto · counter in the frame",
    program: `
      *(u64 *)(r10 - 8) = r1
      r0 = 0
    again:
      r0 += 1
      may_goto out
      goto again
    out:
      exit`,
  },
  "tail-call": {
    title: "tail call · slot from a register, out of a frame with stack and saved registers",
    program: `
      r6 = r1
      r7 = 7
      *(u64 *)(r10 - 8) = r7
      r3 = *(u32 *)(r6 + 0)
      r2 = map[table]
      call tail_call
      r0 = r7
      exit`,
  },
  "tail-call-known-slot": {
    title: "tail call · array and slot known, out of a frame with stack and saved registers",
    program: `
      r6 = r1
      r7 = 7
      *(u64 *)(r10 - 8) = r7
      r2 = map[table]
      r3 = 1
      call tail_call
      r0 = r7
      exit`,
  },
  "tail-call-subprogram": {
    title: "tail call · in a subprogram, below a main program and between two that make none",
    program: `
      r6 = r1
      call middle
      r0 += 1
      exit
    middle:
      r6 = r1
      call leaf
      r1 = r6
      call last
      exit
    leaf:
      r0 = 0
      exit
    last:
      r3 = *(u32 *)(r1 + 0)
      r2 = map[table]
      call tail_call
      r0 = 0
      exit`,
  },
  "tail-call-helper": {
    title: "tail call · a helper before",
    program: `
      r6 = r1
      call 8
      r1 = r6
      r2 = map[table]
      r3 = r0
      call tail_call
      r0 = 0
      exit`,
  },
  "packet-load": {
    title: "packet loads · calls that can end the frame",
    program: `
      r6 = r1
      r0 = *(u8 *)skb[23]
      r7 = r0
      r0 = *(u32 *)skb[r7 + 14]
      exit`,
  },
};

/** The text of a golden file. */
export function goldenListing(backend: Backend, name: string, options: CompileOptions = {}): string {
  const { title, program } = GOLDEN_CASES[name]!;
  const assembled = assemble(program, { maps: program.includes(`map[${TABLE.name}]`) ? [TABLE] : [] });
  const image = backend.compile(trust(assembled), options);
  const listing = formatListing(backend.disassemble(image.code), notesOf(image, assembled));
  return `# ${backend.arch} · ${title} · layout ${image.layout}\n${listing}\n`;
}
