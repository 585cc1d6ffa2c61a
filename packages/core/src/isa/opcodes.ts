// The BPF instruction table: RFC 9669 and what Linux added since. A row is an instruction; everything that knows instructions reads it.

/** What a lowering is written per: one function handles all rows of a kind. */
export type InsnKind =
  | "alu"
  | "div"
  | "shift"
  | "neg"
  | "mov"
  | "movsx"
  | "addrSpaceCast"
  | "end"
  | "loadImm64"
  | "load"
  | "loadSx"
  | "store"
  | "storeImm"
  | "atomic"
  | "loadAcquire"
  | "storeRelease"
  | "packetLoad"
  | "jumpIf"
  | "jump"
  | "mayGoto"
  | "gotox"
  | "callHelper"
  | "tailCall"
  | "callSubprog"
  | "callKfunc"
  | "callx"
  | "exit";

/**
 * `code` and, where several instructions share an opcode byte, the value that `src`, `off` or `imm` must have. `isa` is the first
 * instruction set version (clang's `-mcpu=v1` … `v4`; 5: Linux 6.9 to 6.15; 6: Linux 6.19). In `text`, the kernel's and LLVM's
 * syntax, these letters stand for fields:
 *
 * ```
 *  rD wD rS wS  register, 64 or 32 bits      K   imm, signed          Q   64-bit immediate of a two-slot load
 *  O            off of a memory access       L   jump by off          H   high half of a two-slot load
 *  A B          imm >>> 16, imm & 0xffff     LL  jump or call by imm
 * ```
 */
// biome-ignore format: one row per instruction, columns as in RFC 9669
export const INSNS = {
  // Arithmetic, 64-bit (ALU64) and 32-bit (ALU): RFC 9669 section 4.1.
  add64_imm:          { code: 0x07,                 kind: "alu",            isa: 1, text: "rD += K" },
  add64_reg:          { code: 0x0f,                 kind: "alu",            isa: 1, text: "rD += rS" },
  add32_imm:          { code: 0x04,                 kind: "alu",            isa: 1, text: "wD += K" },
  add32_reg:          { code: 0x0c,                 kind: "alu",            isa: 1, text: "wD += wS" },
  sub64_imm:          { code: 0x17,                 kind: "alu",            isa: 1, text: "rD -= K" },
  sub64_reg:          { code: 0x1f,                 kind: "alu",            isa: 1, text: "rD -= rS" },
  sub32_imm:          { code: 0x14,                 kind: "alu",            isa: 1, text: "wD -= K" },
  sub32_reg:          { code: 0x1c,                 kind: "alu",            isa: 1, text: "wD -= wS" },
  mul64_imm:          { code: 0x27,                 kind: "alu",            isa: 1, text: "rD *= K" },
  mul64_reg:          { code: 0x2f,                 kind: "alu",            isa: 1, text: "rD *= rS" },
  mul32_imm:          { code: 0x24,                 kind: "alu",            isa: 1, text: "wD *= K" },
  mul32_reg:          { code: 0x2c,                 kind: "alu",            isa: 1, text: "wD *= wS" },
  or64_imm:           { code: 0x47,                 kind: "alu",            isa: 1, text: "rD |= K" },
  or64_reg:           { code: 0x4f,                 kind: "alu",            isa: 1, text: "rD |= rS" },
  or32_imm:           { code: 0x44,                 kind: "alu",            isa: 1, text: "wD |= K" },
  or32_reg:           { code: 0x4c,                 kind: "alu",            isa: 1, text: "wD |= wS" },
  and64_imm:          { code: 0x57,                 kind: "alu",            isa: 1, text: "rD &= K" },
  and64_reg:          { code: 0x5f,                 kind: "alu",            isa: 1, text: "rD &= rS" },
  and32_imm:          { code: 0x54,                 kind: "alu",            isa: 1, text: "wD &= K" },
  and32_reg:          { code: 0x5c,                 kind: "alu",            isa: 1, text: "wD &= wS" },
  xor64_imm:          { code: 0xa7,                 kind: "alu",            isa: 1, text: "rD ^= K" },
  xor64_reg:          { code: 0xaf,                 kind: "alu",            isa: 1, text: "rD ^= rS" },
  xor32_imm:          { code: 0xa4,                 kind: "alu",            isa: 1, text: "wD ^= K" },
  xor32_reg:          { code: 0xac,                 kind: "alu",            isa: 1, text: "wD ^= wS" },
  div64_imm:          { code: 0x37, off: 0,         kind: "div",            isa: 1, text: "rD /= K" },
  div64_reg:          { code: 0x3f, off: 0,         kind: "div",            isa: 1, text: "rD /= rS" },
  div32_imm:          { code: 0x34, off: 0,         kind: "div",            isa: 1, text: "wD /= K" },
  div32_reg:          { code: 0x3c, off: 0,         kind: "div",            isa: 1, text: "wD /= wS" },
  sdiv64_imm:         { code: 0x37, off: 1,         kind: "div",            isa: 4, text: "rD s/= K" },
  sdiv64_reg:         { code: 0x3f, off: 1,         kind: "div",            isa: 4, text: "rD s/= rS" },
  sdiv32_imm:         { code: 0x34, off: 1,         kind: "div",            isa: 4, text: "wD s/= K" },
  sdiv32_reg:         { code: 0x3c, off: 1,         kind: "div",            isa: 4, text: "wD s/= wS" },
  mod64_imm:          { code: 0x97, off: 0,         kind: "div",            isa: 1, text: "rD %= K" },
  mod64_reg:          { code: 0x9f, off: 0,         kind: "div",            isa: 1, text: "rD %= rS" },
  mod32_imm:          { code: 0x94, off: 0,         kind: "div",            isa: 1, text: "wD %= K" },
  mod32_reg:          { code: 0x9c, off: 0,         kind: "div",            isa: 1, text: "wD %= wS" },
  smod64_imm:         { code: 0x97, off: 1,         kind: "div",            isa: 4, text: "rD s%= K" },
  smod64_reg:         { code: 0x9f, off: 1,         kind: "div",            isa: 4, text: "rD s%= rS" },
  smod32_imm:         { code: 0x94, off: 1,         kind: "div",            isa: 4, text: "wD s%= K" },
  smod32_reg:         { code: 0x9c, off: 1,         kind: "div",            isa: 4, text: "wD s%= wS" },
  lsh64_imm:          { code: 0x67,                 kind: "shift",          isa: 1, text: "rD <<= K" },
  lsh64_reg:          { code: 0x6f,                 kind: "shift",          isa: 1, text: "rD <<= rS" },
  lsh32_imm:          { code: 0x64,                 kind: "shift",          isa: 1, text: "wD <<= K" },
  lsh32_reg:          { code: 0x6c,                 kind: "shift",          isa: 1, text: "wD <<= wS" },
  rsh64_imm:          { code: 0x77,                 kind: "shift",          isa: 1, text: "rD >>= K" },
  rsh64_reg:          { code: 0x7f,                 kind: "shift",          isa: 1, text: "rD >>= rS" },
  rsh32_imm:          { code: 0x74,                 kind: "shift",          isa: 1, text: "wD >>= K" },
  rsh32_reg:          { code: 0x7c,                 kind: "shift",          isa: 1, text: "wD >>= wS" },
  arsh64_imm:         { code: 0xc7,                 kind: "shift",          isa: 1, text: "rD s>>= K" },
  arsh64_reg:         { code: 0xcf,                 kind: "shift",          isa: 1, text: "rD s>>= rS" },
  arsh32_imm:         { code: 0xc4,                 kind: "shift",          isa: 1, text: "wD s>>= K" },
  arsh32_reg:         { code: 0xcc,                 kind: "shift",          isa: 1, text: "wD s>>= wS" },
  neg64:              { code: 0x87,                 kind: "neg",            isa: 1, text: "rD = -rD" },
  neg32:              { code: 0x84,                 kind: "neg",            isa: 1, text: "wD = -wD" },

  // Moves: RFC 9669 section 4.1; address space casts: Linux 6.9.
  mov64_imm:          { code: 0xb7,                 kind: "mov",            isa: 1, text: "rD = K" },
  mov64_reg:          { code: 0xbf, off: 0,         kind: "mov",            isa: 1, text: "rD = rS" },
  mov32_imm:          { code: 0xb4,                 kind: "mov",            isa: 1, text: "wD = K" },
  mov32_reg:          { code: 0xbc, off: 0,         kind: "mov",            isa: 1, text: "wD = wS" },
  movsx64_8:          { code: 0xbf, off: 8,         kind: "movsx",          isa: 4, text: "rD = (s8)rS" },
  movsx64_16:         { code: 0xbf, off: 16,        kind: "movsx",          isa: 4, text: "rD = (s16)rS" },
  movsx64_32:         { code: 0xbf, off: 32,        kind: "movsx",          isa: 4, text: "rD = (s32)rS" },
  movsx32_8:          { code: 0xbc, off: 8,         kind: "movsx",          isa: 4, text: "wD = (s8)wS" },
  movsx32_16:         { code: 0xbc, off: 16,        kind: "movsx",          isa: 4, text: "wD = (s16)wS" },
  addr_space_cast:    { code: 0xbf, off: 1,         kind: "addrSpaceCast",  isa: 5, text: "rD = addr_space_cast(rS, A, B)" },

  // Byte swaps: RFC 9669 section 4.2.
  le16:               { code: 0xd4, imm: 16,        kind: "end",            isa: 1, text: "rD = le16 rD" },
  le32:               { code: 0xd4, imm: 32,        kind: "end",            isa: 1, text: "rD = le32 rD" },
  le64:               { code: 0xd4, imm: 64,        kind: "end",            isa: 1, text: "rD = le64 rD" },
  be16:               { code: 0xdc, imm: 16,        kind: "end",            isa: 1, text: "rD = be16 rD" },
  be32:               { code: 0xdc, imm: 32,        kind: "end",            isa: 1, text: "rD = be32 rD" },
  be64:               { code: 0xdc, imm: 64,        kind: "end",            isa: 1, text: "rD = be64 rD" },
  bswap16:            { code: 0xd7, imm: 16,        kind: "end",            isa: 4, text: "rD = bswap16 rD" },
  bswap32:            { code: 0xd7, imm: 32,        kind: "end",            isa: 4, text: "rD = bswap32 rD" },
  bswap64:            { code: 0xd7, imm: 64,        kind: "end",            isa: 4, text: "rD = bswap64 rD" },

  // 64-bit immediates: RFC 9669 section 5.4.
  lddw:               { code: 0x18, src: 0,         kind: "loadImm64",      isa: 1, text: "rD = Q ll" },
  lddw_map_fd:        { code: 0x18, src: 1,         kind: "loadImm64",      isa: 1, text: "rD = map[fd:K]" },
  lddw_map_value:     { code: 0x18, src: 2,         kind: "loadImm64",      isa: 1, text: "rD = map[fd:K][0]+H" },
  lddw_btf_id:        { code: 0x18, src: 3,         kind: "loadImm64",      isa: 1, text: "rD = btf[id:K]" },
  lddw_subprog:       { code: 0x18, src: 4,         kind: "loadImm64",      isa: 1, text: "rD = subprog[LL]" },
  lddw_map_idx:       { code: 0x18, src: 5,         kind: "loadImm64",      isa: 1, text: "rD = map[idx:K]" },
  lddw_map_idx_value: { code: 0x18, src: 6,         kind: "loadImm64",      isa: 1, text: "rD = map[idx:K][0]+H" },

  // Loads and stores: RFC 9669 sections 5.1 and 5.2.
  load8:              { code: 0x71,                 kind: "load",           isa: 1, text: "rD = *(u8 *)(rS + O)" },
  load16:             { code: 0x69,                 kind: "load",           isa: 1, text: "rD = *(u16 *)(rS + O)" },
  load32:             { code: 0x61,                 kind: "load",           isa: 1, text: "rD = *(u32 *)(rS + O)" },
  load64:             { code: 0x79,                 kind: "load",           isa: 1, text: "rD = *(u64 *)(rS + O)" },
  loadsx8:            { code: 0x91,                 kind: "loadSx",         isa: 4, text: "rD = *(s8 *)(rS + O)" },
  loadsx16:           { code: 0x89,                 kind: "loadSx",         isa: 4, text: "rD = *(s16 *)(rS + O)" },
  loadsx32:           { code: 0x81,                 kind: "loadSx",         isa: 4, text: "rD = *(s32 *)(rS + O)" },
  store8_reg:         { code: 0x73,                 kind: "store",          isa: 1, text: "*(u8 *)(rD + O) = rS" },
  store16_reg:        { code: 0x6b,                 kind: "store",          isa: 1, text: "*(u16 *)(rD + O) = rS" },
  store32_reg:        { code: 0x63,                 kind: "store",          isa: 1, text: "*(u32 *)(rD + O) = rS" },
  store64_reg:        { code: 0x7b,                 kind: "store",          isa: 1, text: "*(u64 *)(rD + O) = rS" },
  store8_imm:         { code: 0x72,                 kind: "storeImm",       isa: 1, text: "*(u8 *)(rD + O) = K" },
  store16_imm:        { code: 0x6a,                 kind: "storeImm",       isa: 1, text: "*(u16 *)(rD + O) = K" },
  store32_imm:        { code: 0x62,                 kind: "storeImm",       isa: 1, text: "*(u32 *)(rD + O) = K" },
  store64_imm:        { code: 0x7a,                 kind: "storeImm",       isa: 1, text: "*(u64 *)(rD + O) = K" },

  // Atomics: RFC 9669 section 5.3; load-acquire and store-release: Linux 6.15.
  atomic_add32:       { code: 0xc3, imm: 0,         kind: "atomic",         isa: 1, text: "lock *(u32 *)(rD + O) += wS" },
  atomic_fetch_add32: { code: 0xc3, imm: 1,         kind: "atomic",         isa: 3, text: "wS = atomic_fetch_add((u32 *)(rD + O), wS)" },
  atomic_add64:       { code: 0xdb, imm: 0,         kind: "atomic",         isa: 1, text: "lock *(u64 *)(rD + O) += rS" },
  atomic_fetch_add64: { code: 0xdb, imm: 1,         kind: "atomic",         isa: 3, text: "rS = atomic_fetch_add((u64 *)(rD + O), rS)" },
  atomic_or32:        { code: 0xc3, imm: 64,        kind: "atomic",         isa: 3, text: "lock *(u32 *)(rD + O) |= wS" },
  atomic_fetch_or32:  { code: 0xc3, imm: 0x41,      kind: "atomic",         isa: 3, text: "wS = atomic_fetch_or((u32 *)(rD + O), wS)" },
  atomic_or64:        { code: 0xdb, imm: 64,        kind: "atomic",         isa: 3, text: "lock *(u64 *)(rD + O) |= rS" },
  atomic_fetch_or64:  { code: 0xdb, imm: 0x41,      kind: "atomic",         isa: 3, text: "rS = atomic_fetch_or((u64 *)(rD + O), rS)" },
  atomic_and32:       { code: 0xc3, imm: 0x50,      kind: "atomic",         isa: 3, text: "lock *(u32 *)(rD + O) &= wS" },
  atomic_fetch_and32: { code: 0xc3, imm: 0x51,      kind: "atomic",         isa: 3, text: "wS = atomic_fetch_and((u32 *)(rD + O), wS)" },
  atomic_and64:       { code: 0xdb, imm: 0x50,      kind: "atomic",         isa: 3, text: "lock *(u64 *)(rD + O) &= rS" },
  atomic_fetch_and64: { code: 0xdb, imm: 0x51,      kind: "atomic",         isa: 3, text: "rS = atomic_fetch_and((u64 *)(rD + O), rS)" },
  atomic_xor32:       { code: 0xc3, imm: 0xa0,      kind: "atomic",         isa: 3, text: "lock *(u32 *)(rD + O) ^= wS" },
  atomic_fetch_xor32: { code: 0xc3, imm: 0xa1,      kind: "atomic",         isa: 3, text: "wS = atomic_fetch_xor((u32 *)(rD + O), wS)" },
  atomic_xor64:       { code: 0xdb, imm: 0xa0,      kind: "atomic",         isa: 3, text: "lock *(u64 *)(rD + O) ^= rS" },
  atomic_fetch_xor64: { code: 0xdb, imm: 0xa1,      kind: "atomic",         isa: 3, text: "rS = atomic_fetch_xor((u64 *)(rD + O), rS)" },
  xchg32:             { code: 0xc3, imm: 0xe1,      kind: "atomic",         isa: 3, text: "wS = xchg32_32(rD + O, wS)" },
  xchg64:             { code: 0xdb, imm: 0xe1,      kind: "atomic",         isa: 3, text: "rS = xchg_64(rD + O, rS)" },
  cmpxchg32:          { code: 0xc3, imm: 0xf1,      kind: "atomic",         isa: 3, text: "w0 = cmpxchg32_32(rD + O, w0, wS)" },
  cmpxchg64:          { code: 0xdb, imm: 0xf1,      kind: "atomic",         isa: 3, text: "r0 = cmpxchg_64(rD + O, r0, rS)" },
  load_acquire8:      { code: 0xd3, imm: 0x100,     kind: "loadAcquire",    isa: 5, text: "wD = load_acquire((u8 *)(rS + O))" },
  load_acquire16:     { code: 0xcb, imm: 0x100,     kind: "loadAcquire",    isa: 5, text: "wD = load_acquire((u16 *)(rS + O))" },
  load_acquire32:     { code: 0xc3, imm: 0x100,     kind: "loadAcquire",    isa: 5, text: "wD = load_acquire((u32 *)(rS + O))" },
  load_acquire64:     { code: 0xdb, imm: 0x100,     kind: "loadAcquire",    isa: 5, text: "rD = load_acquire((u64 *)(rS + O))" },
  store_release8:     { code: 0xd3, imm: 0x110,     kind: "storeRelease",   isa: 5, text: "store_release((u8 *)(rD + O), wS)" },
  store_release16:    { code: 0xcb, imm: 0x110,     kind: "storeRelease",   isa: 5, text: "store_release((u16 *)(rD + O), wS)" },
  store_release32:    { code: 0xc3, imm: 0x110,     kind: "storeRelease",   isa: 5, text: "store_release((u32 *)(rD + O), wS)" },
  store_release64:    { code: 0xdb, imm: 0x110,     kind: "storeRelease",   isa: 5, text: "store_release((u64 *)(rD + O), rS)" },

  // Legacy packet loads: RFC 9669 section 5.5.
  ld_abs8:            { code: 0x30,                 kind: "packetLoad",     isa: 1, text: "r0 = *(u8 *)skb[K]" },
  ld_abs16:           { code: 0x28,                 kind: "packetLoad",     isa: 1, text: "r0 = *(u16 *)skb[K]" },
  ld_abs32:           { code: 0x20,                 kind: "packetLoad",     isa: 1, text: "r0 = *(u32 *)skb[K]" },
  ld_ind8:            { code: 0x50,                 kind: "packetLoad",     isa: 1, text: "r0 = *(u8 *)skb[rS + K]" },
  ld_ind16:           { code: 0x48,                 kind: "packetLoad",     isa: 1, text: "r0 = *(u16 *)skb[rS + K]" },
  ld_ind32:           { code: 0x40,                 kind: "packetLoad",     isa: 1, text: "r0 = *(u32 *)skb[rS + K]" },

  // Jumps: RFC 9669 section 4.3; may_goto: Linux 6.9; gotox and callx: Linux 6.19.
  jeq64_imm:          { code: 0x15,                 kind: "jumpIf",         isa: 1, text: "if rD == K goto L" },
  jeq64_reg:          { code: 0x1d,                 kind: "jumpIf",         isa: 1, text: "if rD == rS goto L" },
  jeq32_imm:          { code: 0x16,                 kind: "jumpIf",         isa: 3, text: "if wD == K goto L" },
  jeq32_reg:          { code: 0x1e,                 kind: "jumpIf",         isa: 3, text: "if wD == wS goto L" },
  jgt64_imm:          { code: 0x25,                 kind: "jumpIf",         isa: 1, text: "if rD > K goto L" },
  jgt64_reg:          { code: 0x2d,                 kind: "jumpIf",         isa: 1, text: "if rD > rS goto L" },
  jgt32_imm:          { code: 0x26,                 kind: "jumpIf",         isa: 3, text: "if wD > K goto L" },
  jgt32_reg:          { code: 0x2e,                 kind: "jumpIf",         isa: 3, text: "if wD > wS goto L" },
  jge64_imm:          { code: 0x35,                 kind: "jumpIf",         isa: 1, text: "if rD >= K goto L" },
  jge64_reg:          { code: 0x3d,                 kind: "jumpIf",         isa: 1, text: "if rD >= rS goto L" },
  jge32_imm:          { code: 0x36,                 kind: "jumpIf",         isa: 3, text: "if wD >= K goto L" },
  jge32_reg:          { code: 0x3e,                 kind: "jumpIf",         isa: 3, text: "if wD >= wS goto L" },
  jset64_imm:         { code: 0x45,                 kind: "jumpIf",         isa: 1, text: "if rD & K goto L" },
  jset64_reg:         { code: 0x4d,                 kind: "jumpIf",         isa: 1, text: "if rD & rS goto L" },
  jset32_imm:         { code: 0x46,                 kind: "jumpIf",         isa: 3, text: "if wD & K goto L" },
  jset32_reg:         { code: 0x4e,                 kind: "jumpIf",         isa: 3, text: "if wD & wS goto L" },
  jne64_imm:          { code: 0x55,                 kind: "jumpIf",         isa: 1, text: "if rD != K goto L" },
  jne64_reg:          { code: 0x5d,                 kind: "jumpIf",         isa: 1, text: "if rD != rS goto L" },
  jne32_imm:          { code: 0x56,                 kind: "jumpIf",         isa: 3, text: "if wD != K goto L" },
  jne32_reg:          { code: 0x5e,                 kind: "jumpIf",         isa: 3, text: "if wD != wS goto L" },
  jsgt64_imm:         { code: 0x65,                 kind: "jumpIf",         isa: 1, text: "if rD s> K goto L" },
  jsgt64_reg:         { code: 0x6d,                 kind: "jumpIf",         isa: 1, text: "if rD s> rS goto L" },
  jsgt32_imm:         { code: 0x66,                 kind: "jumpIf",         isa: 3, text: "if wD s> K goto L" },
  jsgt32_reg:         { code: 0x6e,                 kind: "jumpIf",         isa: 3, text: "if wD s> wS goto L" },
  jsge64_imm:         { code: 0x75,                 kind: "jumpIf",         isa: 1, text: "if rD s>= K goto L" },
  jsge64_reg:         { code: 0x7d,                 kind: "jumpIf",         isa: 1, text: "if rD s>= rS goto L" },
  jsge32_imm:         { code: 0x76,                 kind: "jumpIf",         isa: 3, text: "if wD s>= K goto L" },
  jsge32_reg:         { code: 0x7e,                 kind: "jumpIf",         isa: 3, text: "if wD s>= wS goto L" },
  jlt64_imm:          { code: 0xa5,                 kind: "jumpIf",         isa: 2, text: "if rD < K goto L" },
  jlt64_reg:          { code: 0xad,                 kind: "jumpIf",         isa: 2, text: "if rD < rS goto L" },
  jlt32_imm:          { code: 0xa6,                 kind: "jumpIf",         isa: 3, text: "if wD < K goto L" },
  jlt32_reg:          { code: 0xae,                 kind: "jumpIf",         isa: 3, text: "if wD < wS goto L" },
  jle64_imm:          { code: 0xb5,                 kind: "jumpIf",         isa: 2, text: "if rD <= K goto L" },
  jle64_reg:          { code: 0xbd,                 kind: "jumpIf",         isa: 2, text: "if rD <= rS goto L" },
  jle32_imm:          { code: 0xb6,                 kind: "jumpIf",         isa: 3, text: "if wD <= K goto L" },
  jle32_reg:          { code: 0xbe,                 kind: "jumpIf",         isa: 3, text: "if wD <= wS goto L" },
  jslt64_imm:         { code: 0xc5,                 kind: "jumpIf",         isa: 2, text: "if rD s< K goto L" },
  jslt64_reg:         { code: 0xcd,                 kind: "jumpIf",         isa: 2, text: "if rD s< rS goto L" },
  jslt32_imm:         { code: 0xc6,                 kind: "jumpIf",         isa: 3, text: "if wD s< K goto L" },
  jslt32_reg:         { code: 0xce,                 kind: "jumpIf",         isa: 3, text: "if wD s< wS goto L" },
  jsle64_imm:         { code: 0xd5,                 kind: "jumpIf",         isa: 2, text: "if rD s<= K goto L" },
  jsle64_reg:         { code: 0xdd,                 kind: "jumpIf",         isa: 2, text: "if rD s<= rS goto L" },
  jsle32_imm:         { code: 0xd6,                 kind: "jumpIf",         isa: 3, text: "if wD s<= K goto L" },
  jsle32_reg:         { code: 0xde,                 kind: "jumpIf",         isa: 3, text: "if wD s<= wS goto L" },
  ja:                 { code: 0x05,                 kind: "jump",           isa: 1, text: "goto L" },
  gotol:              { code: 0x06,                 kind: "jump",           isa: 4, text: "gotol LL" },
  may_goto:           { code: 0xe5, src: 0,         kind: "mayGoto",        isa: 5, text: "may_goto L" },
  gotox:              { code: 0x0d,                 kind: "gotox",          isa: 6, text: "gotox rD" },
  call_helper:        { code: 0x85, src: 0,         kind: "callHelper",     isa: 1, text: "call K" },
  tail_call:          { code: 0x85, src: 0, imm: 12, kind: "tailCall",       isa: 1, text: "call 12" },
  call_subprog:       { code: 0x85, src: 1,         kind: "callSubprog",    isa: 1, text: "call LL" },
  call_kfunc:         { code: 0x85, src: 2,         kind: "callKfunc",      isa: 1, text: "call kfunc[K]" },
  callx:              { code: 0x8d,                 kind: "callx",          isa: 6, text: "callx rD" },
  exit:               { code: 0x95,                 kind: "exit",           isa: 1, text: "exit" },
} as const;

/** Name of an instruction: a key of {@link INSNS}. */
export type Op = keyof typeof INSNS;

/** A row of {@link INSNS} with its optional columns. */
export interface InsnRow {
  readonly code: number;
  readonly src?: number;
  readonly off?: number;
  readonly imm?: number;
  readonly kind: InsnKind;
  readonly isa: number;
  readonly text: string;
}
