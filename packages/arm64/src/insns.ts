// The instruction table: rows read as the diagrams of the Arm Architecture Reference Manual (DDI 0487), section C6.2.
import type { BitOperands } from "@bpfkit/core";

/**
 * Every instruction the encoder, decoder and CPU know. `bits` is the manual's diagram, highest bit first, and `asm` its assembler text:
 * `xd`, `wt` are the registers in fields rd, rt; `rd` is X or W by `sf`; `|sp` says that number 31 is the stack pointer and not zero.
 * A part in braces is left out where its fields are 0. Distances from the instruction are `#4*simm26` and the like; `size` is 4 or 8 by `sf`.
 */
// biome-ignore format: one row per instruction, columns as in the manual
export const INSNS = {
  // C4.1.93 Data processing (immediate): PC-relative addressing
  adr:            { bits: "0 simm21[1:0] 10000 simm21[20:2] rd",               asm: "adr xd, #simm21" },
  adrp:           { bits: "1 simm21[1:0] 10000 simm21[20:2] rd",               asm: "adrp xd, #4096*simm21" },
  // Add/subtract (immediate)
  add_imm:        { bits: "sf 0 0 100010 sh imm12 rn rd",                      asm: "add rd|sp, rn|sp, #imm12{, lsl #12*sh}" },
  adds_imm:       { bits: "sf 0 1 100010 sh imm12 rn rd",                      asm: "adds rd, rn|sp, #imm12{, lsl #12*sh}" },
  sub_imm:        { bits: "sf 1 0 100010 sh imm12 rn rd",                      asm: "sub rd|sp, rn|sp, #imm12{, lsl #12*sh}" },
  subs_imm:       { bits: "sf 1 1 100010 sh imm12 rn rd",                      asm: "subs rd, rn|sp, #imm12{, lsl #12*sh}" },
  // Logical (immediate)
  and_imm:        { bits: "sf 00 100100 n immr imms rn rd",                    asm: "and rd|sp, rn, #bitmask" },
  orr_imm:        { bits: "sf 01 100100 n immr imms rn rd",                    asm: "orr rd|sp, rn, #bitmask" },
  eor_imm:        { bits: "sf 10 100100 n immr imms rn rd",                    asm: "eor rd|sp, rn, #bitmask" },
  ands_imm:       { bits: "sf 11 100100 n immr imms rn rd",                    asm: "ands rd, rn, #bitmask" },
  // Move wide (immediate)
  movn:           { bits: "sf 00 100101 hw imm16 rd",                          asm: "movn rd, #imm16{, lsl #16*hw}" },
  movz:           { bits: "sf 10 100101 hw imm16 rd",                          asm: "movz rd, #imm16{, lsl #16*hw}" },
  movk:           { bits: "sf 11 100101 hw imm16 rd",                          asm: "movk rd, #imm16{, lsl #16*hw}" },
  // Bitfield, extract
  sbfm:           { bits: "sf 00 100110 n immr imms rn rd",                    asm: "sbfm rd, rn, #immr, #imms" },
  bfm:            { bits: "sf 01 100110 n immr imms rn rd",                    asm: "bfm rd, rn, #immr, #imms" },
  ubfm:           { bits: "sf 10 100110 n immr imms rn rd",                    asm: "ubfm rd, rn, #immr, #imms" },
  extr:           { bits: "sf 00 100111 n 0 rm imms rn rd",                    asm: "extr rd, rn, rm, #imms" },

  // C4.1.94 Branches: conditional
  b_cond:         { bits: "0101010 0 simm19 0 cond",                           asm: "b.cond #4*simm19" },
  // Exceptions and undefined
  brk:            { bits: "11010100 001 imm16 000 00",                         asm: "brk #imm16" },
  udf:            { bits: "0000000000000000 imm16",                            asm: "udf #imm16" },
  // Hints
  hint:           { bits: "1101010100 0 00 011 0010 imm7 11111",               asm: "hint #imm7" },
  nop:            { bits: "1101010100 0 00 011 0010 0000000 11111",            asm: "nop" },
  yield:          { bits: "1101010100 0 00 011 0010 0000001 11111",            asm: "yield" },
  xpaclri:        { bits: "1101010100 0 00 011 0010 0000111 11111",            asm: "xpaclri" },
  paciaz:         { bits: "1101010100 0 00 011 0010 0011000 11111",            asm: "paciaz" },
  paciasp:        { bits: "1101010100 0 00 011 0010 0011001 11111",            asm: "paciasp" },
  autiaz:         { bits: "1101010100 0 00 011 0010 0011100 11111",            asm: "autiaz" },
  autiasp:        { bits: "1101010100 0 00 011 0010 0011101 11111",            asm: "autiasp" },
  bti:            { bits: "1101010100 0 00 011 0010 0100 target 0 11111",      asm: "bti target" },
  // Barriers
  dsb:            { bits: "1101010100 0 00 011 0011 domain 100 11111",         asm: "dsb domain" },
  dmb:            { bits: "1101010100 0 00 011 0011 domain 101 11111",         asm: "dmb domain" },
  isb:            { bits: "1101010100 0 00 011 0011 crm 110 11111",            asm: "isb crm" },
  sb:             { bits: "1101010100 0 00 011 0011 0000 111 11111",           asm: "sb" },
  // Unconditional branch (register)
  br:             { bits: "1101011 0 0 00 11111 0000 0 0 rn 00000",            asm: "br xn" },
  blr:            { bits: "1101011 0 0 01 11111 0000 0 0 rn 00000",            asm: "blr xn" },
  ret:            { bits: "1101011 0 0 10 11111 0000 0 0 rn 00000",            asm: "ret xn" },
  // Unconditional branch (immediate)
  b:              { bits: "0 00101 simm26",                                    asm: "b #4*simm26" },
  bl:             { bits: "1 00101 simm26",                                    asm: "bl #4*simm26" },
  // Compare and branch, test and branch
  cbz:            { bits: "sf 011010 0 simm19 rt",                             asm: "cbz rt, #4*simm19" },
  cbnz:           { bits: "sf 011010 1 simm19 rt",                             asm: "cbnz rt, #4*simm19" },
  tbz:            { bits: "bit[5] 011011 0 bit[4:0] simm14 rt",                asm: "tbz rt, #bit, #4*simm14" },
  tbnz:           { bits: "bit[5] 011011 1 bit[4:0] simm14 rt",                asm: "tbnz rt, #bit, #4*simm14" },

  // C4.1.95 Data processing (register): two sources
  udiv:           { bits: "sf 0 0 11010110 rm 00001 0 rn rd",                  asm: "udiv rd, rn, rm" },
  sdiv:           { bits: "sf 0 0 11010110 rm 00001 1 rn rd",                  asm: "sdiv rd, rn, rm" },
  lslv:           { bits: "sf 0 0 11010110 rm 0010 00 rn rd",                  asm: "lsl rd, rn, rm" },
  lsrv:           { bits: "sf 0 0 11010110 rm 0010 01 rn rd",                  asm: "lsr rd, rn, rm" },
  asrv:           { bits: "sf 0 0 11010110 rm 0010 10 rn rd",                  asm: "asr rd, rn, rm" },
  rorv:           { bits: "sf 0 0 11010110 rm 0010 11 rn rd",                  asm: "ror rd, rn, rm" },
  // One source
  rbit:           { bits: "sf 1 0 11010110 00000 0000 00 rn rd",               asm: "rbit rd, rn" },
  rev16:          { bits: "sf 1 0 11010110 00000 0000 01 rn rd",               asm: "rev16 rd, rn" },
  rev_w:          { bits: "0 1 0 11010110 00000 0000 10 rn rd",                asm: "rev wd, wn" },
  rev32:          { bits: "1 1 0 11010110 00000 0000 10 rn rd",                asm: "rev32 xd, xn" },
  rev_x:          { bits: "1 1 0 11010110 00000 0000 11 rn rd",                asm: "rev xd, xn" },
  clz:            { bits: "sf 1 0 11010110 00000 00010 0 rn rd",               asm: "clz rd, rn" },
  // Logical (shifted register)
  and_shift:      { bits: "sf 00 01010 shift 0 rm imm6 rn rd",                 asm: "and rd, rn, rm{, shift #imm6}" },
  bic_shift:      { bits: "sf 00 01010 shift 1 rm imm6 rn rd",                 asm: "bic rd, rn, rm{, shift #imm6}" },
  orr_shift:      { bits: "sf 01 01010 shift 0 rm imm6 rn rd",                 asm: "orr rd, rn, rm{, shift #imm6}" },
  orn_shift:      { bits: "sf 01 01010 shift 1 rm imm6 rn rd",                 asm: "orn rd, rn, rm{, shift #imm6}" },
  eor_shift:      { bits: "sf 10 01010 shift 0 rm imm6 rn rd",                 asm: "eor rd, rn, rm{, shift #imm6}" },
  eon_shift:      { bits: "sf 10 01010 shift 1 rm imm6 rn rd",                 asm: "eon rd, rn, rm{, shift #imm6}" },
  ands_shift:     { bits: "sf 11 01010 shift 0 rm imm6 rn rd",                 asm: "ands rd, rn, rm{, shift #imm6}" },
  bics_shift:     { bits: "sf 11 01010 shift 1 rm imm6 rn rd",                 asm: "bics rd, rn, rm{, shift #imm6}" },
  // Add/subtract (shifted register)
  add_shift:      { bits: "sf 0 0 01011 shift 0 rm imm6 rn rd",                asm: "add rd, rn, rm{, shift #imm6}" },
  adds_shift:     { bits: "sf 0 1 01011 shift 0 rm imm6 rn rd",                asm: "adds rd, rn, rm{, shift #imm6}" },
  sub_shift:      { bits: "sf 1 0 01011 shift 0 rm imm6 rn rd",                asm: "sub rd, rn, rm{, shift #imm6}" },
  subs_shift:     { bits: "sf 1 1 01011 shift 0 rm imm6 rn rd",                asm: "subs rd, rn, rm{, shift #imm6}" },
  // Add/subtract (extended register)
  add_ext:        { bits: "sf 0 0 01011 00 1 rm option imm3 rn rd",            asm: "add rd|sp, rn|sp, rm, option #imm3" },
  adds_ext:       { bits: "sf 0 1 01011 00 1 rm option imm3 rn rd",            asm: "adds rd, rn|sp, rm, option #imm3" },
  sub_ext:        { bits: "sf 1 0 01011 00 1 rm option imm3 rn rd",            asm: "sub rd|sp, rn|sp, rm, option #imm3" },
  subs_ext:       { bits: "sf 1 1 01011 00 1 rm option imm3 rn rd",            asm: "subs rd, rn|sp, rm, option #imm3" },
  // Conditional compare
  ccmn_reg:       { bits: "sf 0 1 11010010 rm cond 0 0 rn 0 nzcv",             asm: "ccmn rn, rm, #nzcv, cond" },
  ccmp_reg:       { bits: "sf 1 1 11010010 rm cond 0 0 rn 0 nzcv",             asm: "ccmp rn, rm, #nzcv, cond" },
  ccmn_imm:       { bits: "sf 0 1 11010010 imm5 cond 1 0 rn 0 nzcv",           asm: "ccmn rn, #imm5, #nzcv, cond" },
  ccmp_imm:       { bits: "sf 1 1 11010010 imm5 cond 1 0 rn 0 nzcv",           asm: "ccmp rn, #imm5, #nzcv, cond" },
  // Conditional select
  csel:           { bits: "sf 0 0 11010100 rm cond 0 0 rn rd",                 asm: "csel rd, rn, rm, cond" },
  csinc:          { bits: "sf 0 0 11010100 rm cond 0 1 rn rd",                 asm: "csinc rd, rn, rm, cond" },
  csinv:          { bits: "sf 1 0 11010100 rm cond 0 0 rn rd",                 asm: "csinv rd, rn, rm, cond" },
  csneg:          { bits: "sf 1 0 11010100 rm cond 0 1 rn rd",                 asm: "csneg rd, rn, rm, cond" },
  // Three sources
  madd:           { bits: "sf 00 11011 000 rm 0 ra rn rd",                     asm: "madd rd, rn, rm, ra" },
  msub:           { bits: "sf 00 11011 000 rm 1 ra rn rd",                     asm: "msub rd, rn, rm, ra" },
  smaddl:         { bits: "1 00 11011 0 01 rm 0 ra rn rd",                     asm: "smaddl xd, wn, wm, xa" },
  umaddl:         { bits: "1 00 11011 1 01 rm 0 ra rn rd",                     asm: "umaddl xd, wn, wm, xa" },
  smulh:          { bits: "1 00 11011 0 10 rm 0 11111 rn rd",                  asm: "smulh xd, xn, xm" },
  umulh:          { bits: "1 00 11011 1 10 rm 0 11111 rn rd",                  asm: "umulh xd, xn, xm" },

  // C4.1.96 Loads and stores: exclusive
  stxr:           { bits: "1 sf 001000 0 0 0 rs 0 11111 rn rt",                asm: "stxr ws, rt, [xn|sp]" },
  stlxr:          { bits: "1 sf 001000 0 0 0 rs 1 11111 rn rt",                asm: "stlxr ws, rt, [xn|sp]" },
  ldxr:           { bits: "1 sf 001000 0 1 0 11111 0 11111 rn rt",             asm: "ldxr rt, [xn|sp]" },
  ldaxr:          { bits: "1 sf 001000 0 1 0 11111 1 11111 rn rt",             asm: "ldaxr rt, [xn|sp]" },
  // Ordered
  stlrb:          { bits: "00 001000 1 0 0 11111 1 11111 rn rt",               asm: "stlrb wt, [xn|sp]" },
  stlrh:          { bits: "01 001000 1 0 0 11111 1 11111 rn rt",               asm: "stlrh wt, [xn|sp]" },
  stlr:           { bits: "1 sf 001000 1 0 0 11111 1 11111 rn rt",             asm: "stlr rt, [xn|sp]" },
  ldarb:          { bits: "00 001000 1 1 0 11111 1 11111 rn rt",               asm: "ldarb wt, [xn|sp]" },
  ldarh:          { bits: "01 001000 1 1 0 11111 1 11111 rn rt",               asm: "ldarh wt, [xn|sp]" },
  ldar:           { bits: "1 sf 001000 1 1 0 11111 1 11111 rn rt",             asm: "ldar rt, [xn|sp]" },
  // Compare and swap (FEAT_LSE)
  cas:            { bits: "1 sf 001000 1 a 1 rs l 11111 rn rt",                asm: "cas{a}{l} rs, rt, [xn|sp]" },
  // Atomic memory operations (FEAT_LSE)
  ldadd:          { bits: "1 sf 111 0 00 a l 1 rs 0 000 00 rn rt",             asm: "ldadd{a}{l} rs, rt, [xn|sp]" },
  ldclr:          { bits: "1 sf 111 0 00 a l 1 rs 0 001 00 rn rt",             asm: "ldclr{a}{l} rs, rt, [xn|sp]" },
  ldeor:          { bits: "1 sf 111 0 00 a l 1 rs 0 010 00 rn rt",             asm: "ldeor{a}{l} rs, rt, [xn|sp]" },
  ldset:          { bits: "1 sf 111 0 00 a l 1 rs 0 011 00 rn rt",             asm: "ldset{a}{l} rs, rt, [xn|sp]" },
  swp:            { bits: "1 sf 111 0 00 a l 1 rs 1 000 00 rn rt",             asm: "swp{a}{l} rs, rt, [xn|sp]" },
  // Load register (literal)
  ldr_lit:        { bits: "0 sf 011 0 00 simm19 rt",                           asm: "ldr rt, #4*simm19" },
  ldrsw_lit:      { bits: "10 011 0 00 simm19 rt",                             asm: "ldrsw xt, #4*simm19" },
  // Pairs: post-index, pre-index, signed offset
  stp_post:       { bits: "sf 0 101 0 001 0 simm7 rt2 rn rt",                  asm: "stp rt, rt2, [xn|sp], #size*simm7" },
  ldp_post:       { bits: "sf 0 101 0 001 1 simm7 rt2 rn rt",                  asm: "ldp rt, rt2, [xn|sp], #size*simm7" },
  stp_soff:       { bits: "sf 0 101 0 010 0 simm7 rt2 rn rt",                  asm: "stp rt, rt2, [xn|sp{, #size*simm7}]" },
  ldp_soff:       { bits: "sf 0 101 0 010 1 simm7 rt2 rn rt",                  asm: "ldp rt, rt2, [xn|sp{, #size*simm7}]" },
  stp_pre:        { bits: "sf 0 101 0 011 0 simm7 rt2 rn rt",                  asm: "stp rt, rt2, [xn|sp, #size*simm7]!" },
  ldp_pre:        { bits: "sf 0 101 0 011 1 simm7 rt2 rn rt",                  asm: "ldp rt, rt2, [xn|sp, #size*simm7]!" },
  // Unscaled immediate
  sturb:          { bits: "00 111 0 00 00 0 simm9 00 rn rt",                   asm: "sturb wt, [xn|sp{, #simm9}]" },
  ldurb:          { bits: "00 111 0 00 01 0 simm9 00 rn rt",                   asm: "ldurb wt, [xn|sp{, #simm9}]" },
  ldursb_x:       { bits: "00 111 0 00 10 0 simm9 00 rn rt",                   asm: "ldursb xt, [xn|sp{, #simm9}]" },
  ldursb_w:       { bits: "00 111 0 00 11 0 simm9 00 rn rt",                   asm: "ldursb wt, [xn|sp{, #simm9}]" },
  sturh:          { bits: "01 111 0 00 00 0 simm9 00 rn rt",                   asm: "sturh wt, [xn|sp{, #simm9}]" },
  ldurh:          { bits: "01 111 0 00 01 0 simm9 00 rn rt",                   asm: "ldurh wt, [xn|sp{, #simm9}]" },
  ldursh_x:       { bits: "01 111 0 00 10 0 simm9 00 rn rt",                   asm: "ldursh xt, [xn|sp{, #simm9}]" },
  ldursh_w:       { bits: "01 111 0 00 11 0 simm9 00 rn rt",                   asm: "ldursh wt, [xn|sp{, #simm9}]" },
  stur:           { bits: "1 sf 111 0 00 00 0 simm9 00 rn rt",                 asm: "stur rt, [xn|sp{, #simm9}]" },
  ldur:           { bits: "1 sf 111 0 00 01 0 simm9 00 rn rt",                 asm: "ldur rt, [xn|sp{, #simm9}]" },
  ldursw:         { bits: "10 111 0 00 10 0 simm9 00 rn rt",                   asm: "ldursw xt, [xn|sp{, #simm9}]" },
  // Immediate, post-index and pre-index
  str_post:       { bits: "1 sf 111 0 00 00 0 simm9 01 rn rt",                 asm: "str rt, [xn|sp], #simm9" },
  ldr_post:       { bits: "1 sf 111 0 00 01 0 simm9 01 rn rt",                 asm: "ldr rt, [xn|sp], #simm9" },
  str_pre:        { bits: "1 sf 111 0 00 00 0 simm9 11 rn rt",                 asm: "str rt, [xn|sp, #simm9]!" },
  ldr_pre:        { bits: "1 sf 111 0 00 01 0 simm9 11 rn rt",                 asm: "ldr rt, [xn|sp, #simm9]!" },
  // Register offset
  strb_reg:       { bits: "00 111 0 00 00 1 rm extend s 10 rn rt",             asm: "strb wt, [xn|sp, rm, extend s]" },
  ldrb_reg:       { bits: "00 111 0 00 01 1 rm extend s 10 rn rt",             asm: "ldrb wt, [xn|sp, rm, extend s]" },
  ldrsb_reg_x:    { bits: "00 111 0 00 10 1 rm extend s 10 rn rt",             asm: "ldrsb xt, [xn|sp, rm, extend s]" },
  ldrsb_reg_w:    { bits: "00 111 0 00 11 1 rm extend s 10 rn rt",             asm: "ldrsb wt, [xn|sp, rm, extend s]" },
  strh_reg:       { bits: "01 111 0 00 00 1 rm extend s 10 rn rt",             asm: "strh wt, [xn|sp, rm, extend s]" },
  ldrh_reg:       { bits: "01 111 0 00 01 1 rm extend s 10 rn rt",             asm: "ldrh wt, [xn|sp, rm, extend s]" },
  ldrsh_reg_x:    { bits: "01 111 0 00 10 1 rm extend s 10 rn rt",             asm: "ldrsh xt, [xn|sp, rm, extend s]" },
  ldrsh_reg_w:    { bits: "01 111 0 00 11 1 rm extend s 10 rn rt",             asm: "ldrsh wt, [xn|sp, rm, extend s]" },
  str_reg:        { bits: "1 sf 111 0 00 00 1 rm extend s 10 rn rt",           asm: "str rt, [xn|sp, rm, extend s]" },
  ldr_reg:        { bits: "1 sf 111 0 00 01 1 rm extend s 10 rn rt",           asm: "ldr rt, [xn|sp, rm, extend s]" },
  ldrsw_reg:      { bits: "10 111 0 00 10 1 rm extend s 10 rn rt",             asm: "ldrsw xt, [xn|sp, rm, extend s]" },
  // Unsigned immediate
  strb_uoff:      { bits: "00 111 0 01 00 imm12 rn rt",                        asm: "strb wt, [xn|sp{, #imm12}]" },
  ldrb_uoff:      { bits: "00 111 0 01 01 imm12 rn rt",                        asm: "ldrb wt, [xn|sp{, #imm12}]" },
  ldrsb_uoff_x:   { bits: "00 111 0 01 10 imm12 rn rt",                        asm: "ldrsb xt, [xn|sp{, #imm12}]" },
  ldrsb_uoff_w:   { bits: "00 111 0 01 11 imm12 rn rt",                        asm: "ldrsb wt, [xn|sp{, #imm12}]" },
  strh_uoff:      { bits: "01 111 0 01 00 imm12 rn rt",                        asm: "strh wt, [xn|sp{, #2*imm12}]" },
  ldrh_uoff:      { bits: "01 111 0 01 01 imm12 rn rt",                        asm: "ldrh wt, [xn|sp{, #2*imm12}]" },
  ldrsh_uoff_x:   { bits: "01 111 0 01 10 imm12 rn rt",                        asm: "ldrsh xt, [xn|sp{, #2*imm12}]" },
  ldrsh_uoff_w:   { bits: "01 111 0 01 11 imm12 rn rt",                        asm: "ldrsh wt, [xn|sp{, #2*imm12}]" },
  str_uoff:       { bits: "1 sf 111 0 01 00 imm12 rn rt",                      asm: "str rt, [xn|sp{, #size*imm12}]" },
  ldr_uoff:       { bits: "1 sf 111 0 01 01 imm12 rn rt",                      asm: "ldr rt, [xn|sp{, #size*imm12}]" },
  ldrsw_uoff:     { bits: "10 111 0 01 10 imm12 rn rt",                        asm: "ldrsw xt, [xn|sp{, #4*imm12}]" },
} as const;

/** Key of a row. */
export type Op = keyof typeof INSNS;

/** The operands of a row, by the names of its fields: numbers as they stand in the bits, signed where the name starts with `simm`. */
export type OperandsOf<K extends Op> = BitOperands<(typeof INSNS)[K]["bits"]>;
