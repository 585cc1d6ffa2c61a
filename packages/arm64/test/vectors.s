# Instructions at 0x1000 and their bytes, in the order of the table; llvm-objdump writes every line the same way, and llvm-mc reads it.

# Data processing (immediate): PC-relative addressing
adr xzr, 0xfeb ; 5f ff ff 70
adr x11, 0x1012 ; 8b 00 00 50
adr x3, 0x100b ; 43 00 00 70
adrp xzr, 0xffffffff27797000 ; bf bc 93 d0
adrp x8, 0xffffffffffff3000 ; 88 ff ff d0
adrp xzr, 0x18000 ; bf 00 00 f0

# Add/subtract (immediate)
add x18, x20, #0x39e, lsl #12 ; 92 7a 4e 91
add w30, w25, #0x0 ; 3e 03 00 11
add w27, w7, #0xe21 ; fb 84 38 11
adds x4, x5, #0x443, lsl #12 ; a4 0c 51 b1
adds w30, wsp, #0xc73, lsl #12 ; fe cf 71 31
cmn w7, #0xa95 ; ff 54 2a 31
sub w13, w16, #0x339 ; 0d e6 0c 51
sub wsp, w15, #0x58d ; ff 35 16 51
sub w22, w2, #0xbd0 ; 56 40 2f 51
subs x13, sp, #0x0, lsl #12 ; ed 03 40 f1
subs x3, x30, #0x0 ; c3 03 00 f1
subs w3, w17, #0x0 ; 23 02 00 71

# Logical (immediate)
and wsp, wzr, #0x1 ; ff 03 00 12
and w8, wzr, #0x1 ; e8 03 00 12
and w1, w23, #0x1 ; e1 02 00 12
and w12, wzr, #0x1 ; ec 03 00 12
and sp, x4, #0xfffffff80fffffff ; 9f e0 5d 92
orr x3, x12, #0x1ff80000000 ; 83 25 61 b2
orr w11, w9, #0x1 ; 2b 01 00 32
orr x27, x11, #0xffffffff3fffffff ; 7b f5 60 b2
orr wsp, w5, #0x1 ; bf 00 00 32
orr x8, x18, #0xffff80000007ffff ; 48 8e 51 b2
eor w8, w28, #0x1 ; 88 03 00 52
eor w8, w29, #0x1 ; a8 03 00 52
eor w15, w11, #0x1 ; 6f 01 00 52
eor sp, x7, #0x1ffffff00000 ; ff 60 6c d2
eor sp, x4, #0xc000000000007fff ; 9f 40 42 d2
tst w6, #0x1 ; df 00 00 72
ands x2, xzr, #0x1ffffffffffe0 ; e2 af 7b f2
ands w24, w23, #0x1 ; f8 02 00 72
ands w21, wzr, #0x1 ; f5 03 00 72
ands w16, w10, #0x1 ; 50 01 00 72

# Move wide (immediate)
mov x23, #-0xfe3a0001 ; 57 c7 bf 92
mov w9, #-0x4c3c ; 69 87 89 12
mov w17, #-0x3cba ; 31 97 87 12
mov wzr, #0x0 ; 1f 00 80 52
mov w17, #0xf27b ; 71 4f 9e 52
mov xzr, #0x378700000000 ; ff f0 c6 d2
movk w25, #0xf4f2, lsl #16 ; 59 9e be 72
movk w30, #0x1419 ; 3e 83 82 72
movk x24, #0x0, lsl #32 ; 18 00 c0 f2

# Bitfield, extract
sbfx w1, w2, #0, #1 ; 41 00 00 13
sbfiz x19, x14, #9, #49 ; d3 c1 77 93
sbfiz w23, wzr, #8, #23 ; f7 5b 18 13
sbfiz x7, x29, #45, #13 ; a7 33 53 93
sbfx xzr, x5, #39, #7 ; bf b4 67 93
bfc x21, #48, #7 ; f5 1b 50 b3
bfxil x21, xzr, #35, #23 ; f5 e7 63 b3
bfxil wzr, w20, #0, #1 ; 9f 02 00 33
bfxil w10, w19, #0, #1 ; 6a 02 00 33
bfc wzr, #0, #1 ; ff 03 00 33
ubfx x4, x15, #24, #27 ; e4 c9 58 d3
ubfx w25, w21, #0, #1 ; b9 02 00 53
ubfiz x29, x30, #23, #14 ; dd 37 69 d3
ubfx w15, w22, #0, #1 ; cf 02 00 53
ubfx w9, w12, #0, #1 ; 89 01 00 53
extr x28, x24, x8, #0x2e ; 1c bb c8 93
extr w29, w11, wzr, #0x14 ; 7d 51 9f 13
extr x25, x22, xzr, #0x36 ; d9 da df 93
extr w1, w20, w23, #0x0 ; 81 02 97 13
extr x5, x4, x16, #0x13 ; 85 4c d0 93

# Branches: conditional
b.gt 0xc9e5c ; ec 72 64 54
b.eq 0x1024 ; 20 01 00 54
b.mi 0xfffffffffff850bc ; e4 05 c2 54

# Exceptions and undefined
brk #0 ; 00 00 20 d4
brk #0x15e6 ; c0 bc 22 d4
brk #0xd559 ; 20 ab 3a d4
udf #0xbe11 ; 11 be 00 00
udf #0xf105 ; 05 f1 00 00
udf #0x0 ; 00 00 00 00

# Hints
hint #0x7b ; 7f 2f 03 d5
hint #0x41 ; 3f 28 03 d5
hint #0x5b ; 7f 2b 03 d5
nop ; 1f 20 03 d5
yield ; 3f 20 03 d5
xpaclri ; ff 20 03 d5
paciaz ; 1f 23 03 d5
paciasp ; 3f 23 03 d5
autiaz ; 9f 23 03 d5
autiasp ; bf 23 03 d5
bti ; 1f 24 03 d5
bti j ; 9f 24 03 d5
bti c ; 5f 24 03 d5

# Barriers
dsb oshld ; 9f 31 03 d5
ssbb ; 9f 30 03 d5
dsb ishst ; 9f 3a 03 d5
dmb ishld ; bf 39 03 d5
dmb #0 ; bf 30 03 d5
dmb ish ; bf 3b 03 d5
isb #13 ; df 3d 03 d5
isb ; df 3f 03 d5
isb #3 ; df 33 03 d5
sb ; ff 30 03 d5

# Unconditional branch (register)
br x5 ; a0 00 1f d6
br x12 ; 80 01 1f d6
br x1 ; 20 00 1f d6
blr x16 ; 00 02 3f d6
blr x26 ; 40 03 3f d6
blr x28 ; 80 03 3f d6
ret x24 ; 00 03 5f d6
ret x18 ; 40 02 5f d6
ret x3 ; 60 00 5f d6

# Unconditional branch (immediate)
b 0xff0 ; fc ff ff 17
b 0x16e77fc ; ff 99 5b 14
b 0xfb4 ; ed ff ff 17
bl 0xfd8 ; f6 ff ff 97
bl 0x1050 ; 14 00 00 94
bl 0x1008 ; 02 00 00 94

# Compare and branch, test and branch
cbz w7, 0xf90 ; 87 fc ff 34
cbz w30, 0xfffffffffffba968 ; 5e cb dc 34
cbz w5, 0x103c ; e5 01 00 34
cbnz x17, 0xfffffffffff3eb58 ; d1 da 9e b5
cbnz w24, 0xfe8 ; 58 ff ff 35
cbnz w0, 0xfffffffffffa35d8 ; c0 2e d1 35
tbz w20, #0x0, 0x8fec ; 74 ff 03 36
tbz wzr, #0x3, 0x1014 ; bf 00 18 36
tbz w24, #0x1b, 0x106c ; 78 03 d8 36
tbnz x13, #0x3e, 0x1038 ; cd 01 f0 b7
tbnz x1, #0x36, 0x1010 ; 81 00 b0 b7
tbnz x22, #0x27, 0x13cc ; 76 1e 38 b7

# Data processing (register): two sources
udiv w17, w15, w7 ; f1 09 c7 1a
udiv x13, xzr, xzr ; ed 0b df 9a
udiv w16, w5, w3 ; b0 08 c3 1a
sdiv wzr, w17, w20 ; 3f 0e d4 1a
sdiv wzr, w13, w9 ; bf 0d c9 1a
sdiv w18, w28, w17 ; 92 0f d1 1a
lsl x13, x21, xzr ; ad 22 df 9a
lsl wzr, w13, w24 ; bf 21 d8 1a
lsl w4, w5, w1 ; a4 20 c1 1a
lsr w26, w12, w29 ; 9a 25 dd 1a
lsr w22, wzr, w21 ; f6 27 d5 1a
lsr x14, x25, x5 ; 2e 27 c5 9a
asr w11, w27, w23 ; 6b 2b d7 1a
asr w17, wzr, w8 ; f1 2b c8 1a
asr x12, x13, x11 ; ac 29 cb 9a
ror w2, wzr, wzr ; e2 2f df 1a
ror w5, w7, wzr ; e5 2c df 1a
ror x14, x14, x29 ; ce 2d dd 9a

# One source
rbit w19, wzr ; f3 03 c0 5a
rbit xzr, x6 ; df 00 c0 da
rbit xzr, x19 ; 7f 02 c0 da
rev16 w25, wzr ; f9 07 c0 5a
rev16 w16, w12 ; 90 05 c0 5a
rev16 w16, w25 ; 30 07 c0 5a
rev w1, wzr ; e1 0b c0 5a
rev w9, w30 ; c9 0b c0 5a
rev wzr, wzr ; ff 0b c0 5a
rev32 x25, x14 ; d9 09 c0 da
rev32 x8, x25 ; 28 0b c0 da
rev32 x6, xzr ; e6 0b c0 da
rev x30, x24 ; 1e 0f c0 da
rev xzr, xzr ; ff 0f c0 da
rev x13, x16 ; 0d 0e c0 da
clz w0, w18 ; 40 12 c0 5a
clz w1, w24 ; 01 13 c0 5a
clz xzr, xzr ; ff 13 c0 da

# Logical (shifted register)
and xzr, xzr, x0, ror #27 ; ff 6f c0 8a
and wzr, w17, w17 ; 3f 02 11 0a
and x26, x5, x27, lsl #36 ; ba 90 1b 8a
bic wzr, w5, w26 ; bf 00 3a 0a
bic xzr, x1, x8, ror #31 ; 3f 7c e8 8a
bic xzr, x1, xzr, lsr #0 ; 3f 00 7f 8a
orr xzr, x11, xzr, lsr #29 ; 7f 75 5f aa
orr x3, x16, xzr, lsr #28 ; 03 72 5f aa
orr w26, w30, w19, lsr #13 ; da 37 53 2a
orn wzr, w26, w30 ; 5f 03 3e 2a
orn w28, w14, w14, ror #15 ; dc 3d ee 2a
orn wzr, w20, w11 ; 9f 02 2b 2a
eor x20, x24, x8, lsr #60 ; 14 f3 48 ca
eor wzr, w24, w28, ror #8 ; 1f 23 dc 4a
eor x30, xzr, xzr, asr #2 ; fe 0b 9f ca
eon w24, wzr, w4 ; f8 03 24 4a
eon x12, x0, xzr, lsr #6 ; 0c 18 7f ca
eon w24, wzr, w7 ; f8 03 27 4a
ands x22, x15, x26, asr #4 ; f6 11 9a ea
ands w1, w13, w2 ; a1 01 02 6a
ands w18, w4, wzr, lsr #22 ; 92 58 5f 6a
bics wzr, w6, w26, lsl #10 ; df 28 3a 6a
bics w19, wzr, w9 ; f3 03 29 6a
bics w30, w25, w14, asr #24 ; 3e 63 ae 6a

# Add/subtract (shifted register)
add w7, w30, w29, lsl #8 ; c7 23 1d 0b
add w8, w12, w10 ; 88 01 0a 0b
add wzr, w9, w29 ; 3f 01 1d 0b
adds x16, x8, x18, asr #21 ; 10 55 92 ab
cmn w20, w3 ; 9f 02 03 2b
adds w6, w16, wzr ; 06 02 1f 2b
neg x21, xzr, asr #22 ; f5 5b 9f cb
sub w11, w21, w1 ; ab 02 01 4b
neg wzr, w28 ; ff 03 1c 4b
subs w10, w19, wzr ; 6a 02 1f 6b
subs w21, w4, w0 ; 95 00 00 6b
subs x8, x9, x21, lsl #27 ; 28 6d 15 eb

# Add/subtract (extended register)
add w15, w26, w3, uxtw #4 ; 4f 53 23 0b
add w25, w17, w4, uxtb ; 39 02 24 0b
add w25, w23, wzr, uxtb ; f9 02 3f 0b
add x3, x0, w16, uxtb #4 ; 03 10 30 8b
add w22, w19, w9, uxtb ; 76 02 29 0b
adds w22, w2, w0, sxtx ; 56 e0 20 2b
cmn x8, w10, sxth #2 ; 1f a9 2a ab
adds w23, w22, wzr, uxtb ; d7 02 3f 2b
adds x4, x3, w10, sxtw #1 ; 64 c4 2a ab
adds w6, wsp, w10, uxtb ; e6 03 2a 2b
sub w27, w30, w8, uxtw #1 ; db 47 28 4b
sub sp, sp, wzr, sxth #4 ; ff b3 3f cb
sub w18, w25, w8, uxtb ; 32 03 28 4b
sub w9, wsp, w16, uxtb ; e9 03 30 4b
sub wsp, w27, w20, sxtw #4 ; 7f d3 34 4b
cmp w10, w3, uxtb ; 5f 01 23 6b
subs w19, w18, w9, uxtb ; 53 02 29 6b
cmp w3, w24, uxtb ; 7f 00 38 6b
subs w24, w8, w9, uxtb ; 18 01 29 6b
subs w18, w30, w23, uxth #4 ; d2 33 37 6b

# Conditional compare
ccmn w19, w1, #0x0, eq ; 60 02 41 3a
ccmn wzr, wzr, #0x0, eq ; e0 03 5f 3a
ccmn xzr, x28, #0xb, vc ; eb 73 5c ba
ccmn w11, w2, #0x0, eq ; 60 01 42 3a
ccmn w27, w18, #0x0, eq ; 60 03 52 3a
ccmp wzr, w11, #0xd, ge ; ed a3 4b 7a
ccmp w30, w27, #0x2, ne ; c2 13 5b 7a
ccmp x1, x7, #0xf, mi ; 2f 40 47 fa
ccmp wzr, w20, #0x3, hi ; e3 83 54 7a
ccmp w8, w30, #0x0, eq ; 00 01 5e 7a
ccmn wzr, #0x0, #0x0, eq ; e0 0b 40 3a
ccmn w17, #0x1e, #0x1, gt ; 21 ca 5e 3a
ccmn x3, #0x7, #0xb, lt ; 6b b8 47 ba
ccmp w8, #0x0, #0x0, eq ; 00 09 40 7a
ccmp x16, #0x0, #0xd, ls ; 0d 9a 40 fa
ccmp w1, #0x0, #0x0, eq ; 20 08 40 7a

# Conditional select
csel x27, x27, x20, vs ; 7b 63 94 9a
csel wzr, wzr, w28, ne ; ff 13 9c 1a
csel xzr, x18, x30, vc ; 5f 72 9e 9a
csinc wzr, wzr, w18, vc ; ff 77 92 1a
csinc x5, x15, xzr, le ; e5 d5 9f 9a
csinc xzr, xzr, x1, vc ; ff 77 81 9a
csinv w2, w29, w25, pl ; a2 53 99 5a
csinv x14, x2, xzr, gt ; 4e c0 9f da
csinv x15, x15, x30, hi ; ef 81 9e da
csneg wzr, w0, w9, le ; 1f d4 89 5a
csneg x11, x7, x28, le ; eb d4 9c da
csneg wzr, wzr, w23, vs ; ff 67 97 5a

# Three sources
madd w30, w27, w11, w0 ; 7e 03 0b 1b
madd w6, wzr, wzr, w16 ; e6 43 1f 1b
madd x0, x30, x11, x17 ; c0 47 0b 9b
msub wzr, w5, w8, w11 ; bf ac 08 1b
mneg xzr, x28, x15 ; 9f ff 0f 9b
msub x24, x3, x22, x8 ; 78 a0 16 9b
smull x27, wzr, wzr ; fb 7f 3f 9b
smaddl x19, w12, w20, x6 ; 93 19 34 9b
smaddl x23, w19, w24, x18 ; 77 4a 38 9b
umaddl x2, w30, w6, x6 ; c2 1b a6 9b
umull x11, w3, w15 ; 6b 7c af 9b
umaddl x27, w16, w30, x9 ; 1b 26 be 9b
smulh x28, x18, x16 ; 5c 7e 50 9b
smulh x30, x12, x6 ; 9e 7d 46 9b
smulh x24, x21, x10 ; b8 7e 4a 9b
umulh x15, x15, x7 ; ef 7d c7 9b
umulh x21, x14, x24 ; d5 7d d8 9b
umulh x26, x15, x2 ; fa 7d c2 9b

# Loads and stores: exclusive
stxr w27, wzr, [x9] ; 3f 7d 1b 88
stxr w9, x28, [x28] ; 9c 7f 09 c8
stxr w16, wzr, [x3] ; 7f 7c 10 88
stlxr w22, wzr, [sp] ; ff ff 16 88
stlxr w0, w7, [x15] ; e7 fd 00 88
stlxr w28, wzr, [sp] ; ff ff 1c 88
ldxr w20, [x4] ; 94 7c 5f 88
ldxr x21, [x30] ; d5 7f 5f c8
ldxr x6, [x28] ; 86 7f 5f c8
ldaxr w29, [x21] ; bd fe 5f 88
ldaxr xzr, [x17] ; 3f fe 5f c8
ldaxr w14, [x21] ; ae fe 5f 88

# Ordered
stlrb w5, [sp] ; e5 ff 9f 08
stlrb wzr, [x1] ; 3f fc 9f 08
stlrb wzr, [x21] ; bf fe 9f 08
stlrh wzr, [x10] ; 5f fd 9f 48
stlrh wzr, [sp] ; ff ff 9f 48
stlrh w19, [x20] ; 93 fe 9f 48
stlr wzr, [x16] ; 1f fe 9f 88
stlr w29, [sp] ; fd ff 9f 88
stlr w3, [x5] ; a3 fc 9f 88
ldarb w21, [x8] ; 15 fd df 08
ldarb wzr, [sp] ; ff ff df 08
ldarb w1, [x20] ; 81 fe df 08
ldarh w6, [x5] ; a6 fc df 48
ldarh w23, [x4] ; 97 fc df 48
ldarh w2, [x16] ; 02 fe df 48
ldar w19, [x23] ; f3 fe df 88
ldar w19, [x15] ; f3 fd df 88
ldar w23, [x6] ; d7 fc df 88

# Compare and swap (FEAT_LSE)
casl x13, xzr, [x27] ; 7f ff ad c8
casal xzr, x6, [sp] ; e6 ff ff c8
casa w13, w26, [x18] ; 5a 7e ed 88

# Atomic memory operations (FEAT_LSE)
ldaddal w17, w26, [sp] ; fa 03 f1 b8
ldadd wzr, w16, [x17] ; 30 02 3f b8
ldaddal x3, x23, [sp] ; f7 03 e3 f8
ldclr x28, x8, [x17] ; 28 12 3c f8
stclr w20, [x23] ; ff 12 34 b8
ldclr w24, w15, [x13] ; af 11 38 b8
ldeor w23, w28, [sp] ; fc 23 37 b8
ldeor w17, w27, [x27] ; 7b 23 31 b8
ldeorl wzr, w3, [x27] ; 63 23 7f b8
ldseta w22, w29, [x17] ; 3d 32 b6 b8
ldseta x7, x6, [x18] ; 46 32 a7 f8
stset w26, [x8] ; 1f 31 3a b8
swpal x2, x2, [sp] ; e2 83 e2 f8
swpa wzr, w5, [x17] ; 25 82 bf b8
swpal wzr, wzr, [x27] ; 7f 83 ff b8

# Load register (literal)
ldr wzr, 0x13c64 ; 3f 63 09 18
ldr w22, 0x11dcc ; 76 6e 08 18
ldr x21, 0x8eb30 ; 95 d9 46 58
ldrsw x25, 0x1040 ; 19 02 00 98
ldrsw x16, 0xff4 ; b0 ff ff 98
ldrsw x0, 0x704b8 ; c0 a5 37 98

# Pairs: post-index, pre-index, signed offset
stp w21, w8, [sp], #-0x6c ; f5 a3 b2 28
stp w22, w26, [sp], #0x14 ; f6 eb 82 28
stp w14, w0, [x26], #-0x64 ; 4e 83 b3 28
ldp xzr, x10, [x14], #-0x1f8 ; df a9 e0 a8
ldp w29, w5, [x11], #0x44 ; 7d 95 c8 28
ldp w19, w10, [x3], #-0x74 ; 73 a8 f1 28
stp w7, w23, [x4, #-0x80] ; 87 5c 30 29
stp wzr, w24, [x5, #0x60] ; bf 60 0c 29
stp w8, w17, [x2, #-0x38] ; 48 44 39 29
ldp wzr, w6, [x20, #-0x18] ; 9f 1a 7d 29
ldp w25, w23, [sp] ; f9 5f 40 29
ldp w21, w20, [x27, #0x8] ; 75 53 41 29
stp w3, w25, [x13, #0x38]! ; a3 65 87 29
stp w9, w8, [x5, #-0x54]! ; a9 a0 b5 29
stp w8, w29, [x28, #-0xdc]! ; 88 f7 a4 29
ldp w16, wzr, [x11, #-0x18]! ; 70 7d fd 29
ldp w27, w1, [x25, #-0x8]! ; 3b 07 ff 29
ldp w25, wzr, [x27, #-0x28]! ; 79 7f fb 29

# Unscaled immediate
sturb wzr, [x10, #0x7a] ; 5f a1 07 38
sturb wzr, [x16, #-0xf1] ; 1f f2 10 38
sturb w16, [x25, #-0xe6] ; 30 a3 11 38
ldurb w12, [sp, #0x68] ; ec 83 46 38
ldurb w17, [x5, #-0x11] ; b1 f0 5e 38
ldurb w10, [x14, #-0xe9] ; ca 71 51 38
ldursb x16, [x22, #0xe8] ; d0 82 8e 38
ldursb x9, [x21, #0x1a] ; a9 a2 81 38
ldursb x14, [sp, #-0x5b] ; ee 53 9a 38
ldursb w10, [sp, #0x6] ; ea 63 c0 38
ldursb w11, [x17, #0x80] ; 2b 02 c8 38
ldursb w2, [x26, #0x11] ; 42 13 c1 38
sturh w26, [x24, #-0x2] ; 1a e3 1f 78
sturh w30, [x4, #0x32] ; 9e 20 03 78
sturh w21, [x15, #0xae] ; f5 e1 0a 78
ldurh wzr, [x7, #-0x1a] ; ff 60 5e 78
ldurh w19, [x26, #-0x1c] ; 53 43 5e 78
ldurh w25, [x17, #-0xc] ; 39 42 5f 78
ldursh xzr, [x16, #0xa] ; 1f a2 80 78
ldursh x25, [x11, #-0x19] ; 79 71 9e 78
ldursh x17, [x19, #-0x8] ; 71 82 9f 78
ldursh w6, [sp, #0x1f] ; e6 f3 c1 78
ldursh w15, [x24, #0xe0] ; 0f 03 ce 78
ldursh wzr, [x26, #0x9] ; 5f 93 c0 78
stur w14, [sp, #0x4] ; ee 43 00 b8
stur w29, [x28, #0x2] ; 9d 23 00 b8
stur w27, [x28, #0x6] ; 9b 63 00 b8
ldur x30, [x13, #-0x18] ; be 81 5e f8
ldur x22, [x20, #0x9a] ; 96 a2 49 f8
ldur wzr, [x2, #-0x5] ; 5f b0 5f b8
ldursw xzr, [x6, #-0xfe] ; df 20 90 b8
ldursw xzr, [x12, #-0x85] ; 9f b1 97 b8
ldursw x9, [x15, #0x19] ; e9 91 81 b8

# Immediate, post-index and pre-index
str w28, [x27], #-0x1c ; 7c 47 1e b8
str x26, [x6], #-0xe ; da 24 1f f8
str w17, [x19], #0x49 ; 71 96 04 b8
ldr wzr, [x0], #0x8 ; 1f 84 40 b8
ldr x24, [x30], #-0x16 ; d8 a7 5e f8
ldr w3, [x20], #-0x1c ; 83 46 5e b8
str wzr, [x11, #0xb9]! ; 7f 9d 0b b8
str w22, [sp, #-0x12]! ; f6 ef 1e b8
str x6, [x26, #0xc2]! ; 46 2f 0c f8
ldr x9, [x7, #0x21]! ; e9 1c 42 f8
ldr x9, [x27, #-0x16]! ; 69 af 5e f8
ldr wzr, [x17, #0xe]! ; 3f ee 40 b8

# Register offset
strb wzr, [x2, x9, sxtx] ; 5f e8 29 38
strb w10, [x6, w12, uxtw #0] ; ca 58 2c 38
strb w23, [x25, w10, uxtw] ; 37 4b 2a 38
strb w29, [x18, x5, sxtx] ; 5d ea 25 38
strb w28, [x28, xzr] ; 9c 6b 3f 38
ldrb w30, [x11, w26, uxtw] ; 7e 49 7a 38
ldrb w5, [x15, wzr, sxtw #0] ; e5 d9 7f 38
ldrb w7, [x22, w17, uxtw #0] ; c7 5a 71 38
ldrb wzr, [x1, x9, sxtx #0] ; 3f f8 69 38
ldrb w5, [sp, xzr, lsl #0] ; e5 7b 7f 38
ldrsb x27, [x22, w22, sxtw #0] ; db da b6 38
ldrsb x22, [sp, w26, uxtw #0] ; f6 5b ba 38
ldrsb x29, [x15, w26, uxtw] ; fd 49 ba 38
ldrsb x5, [x20, x6] ; 85 6a a6 38
ldrsb x11, [x30, w30, sxtw] ; cb cb be 38
ldrsb w17, [x1, x24, sxtx] ; 31 e8 f8 38
ldrsb w23, [x18, w16, sxtw #0] ; 57 da f0 38
ldrsb w29, [x28, w16, uxtw #0] ; 9d 5b f0 38
ldrsb wzr, [x17, x9, sxtx] ; 3f ea e9 38
ldrsb w14, [x27, w9, sxtw #0] ; 6e db e9 38
strh w22, [x29, w8, sxtw] ; b6 cb 28 78
strh w11, [x12, w23, uxtw #1] ; 8b 59 37 78
strh w14, [x9, x4, lsl #1] ; 2e 79 24 78
strh wzr, [x30, wzr, sxtw #1] ; df db 3f 78
strh w29, [x18, wzr, uxtw #1] ; 5d 5a 3f 78
ldrh w12, [x24, x4, sxtx] ; 0c eb 64 78
ldrh w5, [x24, w17, sxtw] ; 05 cb 71 78
ldrh wzr, [sp, x29] ; ff 6b 7d 78
ldrh wzr, [x27, xzr, sxtx] ; 7f eb 7f 78
ldrh w28, [x14, x29, sxtx #1] ; dc f9 7d 78
ldrsh x27, [x22, w8, sxtw] ; db ca a8 78
ldrsh x27, [x8, x30] ; 1b 69 be 78
ldrsh xzr, [x14, w26, sxtw] ; df c9 ba 78
ldrsh x28, [sp, x6, lsl #1] ; fc 7b a6 78
ldrsh x13, [x23, w14, uxtw] ; ed 4a ae 78
ldrsh w2, [x12, w27, uxtw] ; 82 49 fb 78
ldrsh w0, [x27, xzr, sxtx] ; 60 eb ff 78
ldrsh wzr, [x24, w19, uxtw #1] ; 1f 5b f3 78
ldrsh w9, [x10, wzr, sxtw] ; 49 c9 ff 78
ldrsh wzr, [x21, x14, sxtx] ; bf ea ee 78
str w29, [x26, x21, lsl #2] ; 5d 7b 35 b8
str x1, [x27, x20, sxtx] ; 61 eb 34 f8
str w11, [x17, w27, uxtw] ; 2b 4a 3b b8
str xzr, [x29, x6] ; bf 6b 26 f8
str x22, [sp, x11, sxtx] ; f6 eb 2b f8
ldr w27, [sp, x2] ; fb 6b 62 b8
ldr w3, [x20, w24, uxtw #2] ; 83 5a 78 b8
ldr w8, [sp, w20, sxtw] ; e8 cb 74 b8
ldr xzr, [sp, wzr, uxtw] ; ff 4b 7f f8
ldr wzr, [x25, w12, uxtw #2] ; 3f 5b 6c b8
ldrsw xzr, [sp, w17, sxtw #2] ; ff db b1 b8
ldrsw x11, [x10, w29, sxtw #2] ; 4b d9 bd b8
ldrsw x4, [x16, w3, uxtw] ; 04 4a a3 b8
ldrsw x23, [x26, x8, lsl #2] ; 57 7b a8 b8
ldrsw x16, [sp, w16, sxtw] ; f0 cb b0 b8

# Unsigned immediate
strb wzr, [x22] ; df 02 00 39
strb w30, [sp, #0x92e] ; fe bb 24 39
strb w3, [x24] ; 03 03 00 39
ldrb wzr, [x11] ; 7f 01 40 39
ldrb wzr, [x15, #0xa48] ; ff 21 69 39
ldrb w19, [x25] ; 33 03 40 39
ldrsb x25, [x14] ; d9 01 80 39
ldrsb x6, [x3] ; 66 00 80 39
ldrsb xzr, [x9, #0x376] ; 3f d9 8d 39
ldrsb w7, [x18] ; 47 02 c0 39
ldrsb w25, [x8] ; 19 01 c0 39
ldrsb w13, [x0, #0x314] ; 0d 50 cc 39
strh w26, [x2] ; 5a 00 00 79
strh w5, [x30, #0x960] ; c5 c3 12 79
strh wzr, [x20] ; 9f 02 00 79
ldrh w4, [x11, #0xdce] ; 64 9d 5b 79
ldrh w3, [x1, #0x1d0a] ; 23 14 7a 79
ldrh w15, [sp, #0x1a62] ; ef c7 74 79
ldrsh x13, [x10, #0x18ce] ; 4d 9d b1 79
ldrsh x22, [x30, #0x19a0] ; d6 43 b3 79
ldrsh xzr, [x14, #0x1476] ; df ed a8 79
ldrsh w28, [x1] ; 3c 00 c0 79
ldrsh w27, [sp, #0x19fe] ; fb ff f3 79
ldrsh w2, [x12] ; 82 01 c0 79
str wzr, [x17, #0xf54] ; 3f 56 0f b9
str wzr, [x21, #0x54c] ; bf 4e 05 b9
str xzr, [x12] ; 9f 01 00 f9
ldr w3, [sp, #0x36dc] ; e3 df 76 b9
ldr w7, [x13] ; a7 01 40 b9
ldr w1, [x10, #0x163c] ; 41 3d 56 b9
ldrsw xzr, [x2] ; 5f 00 80 b9
ldrsw x15, [x8] ; 0f 01 80 b9
ldrsw x10, [x8, #0x27e4] ; 0a e5 a7 b9
