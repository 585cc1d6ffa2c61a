# Instructions at 0x1000 and their bytes, in the order of the table; llvm-objdump writes every line so, and llvm-mc reads it so.

# RV32I
lui t1, 0xfffff ; 37 f3 ff ff
lui t4, 0xd5555 ; b7 5e 55 d5
lui t0, 0xe181d ; b7 d2 81 e1
auipc t1, 0x0 ; 17 03 00 00
auipc s8, 0x7ffff ; 17 fc ff 7f
auipc s8, 0x648c ; 17 cc 48 06
j 0xffe ; 6f f0 ff ff
jal 0x100ffe ; ef f0 ff 7f
jal t0, 0x1010 ; ef 02 00 01
jal t6, 0xfffffffffff01000 ; ef 0f 00 80
jal a7, 0xcccfc ; ef b8 dc 4f
ret ; 67 80 00 00
jr 0xc(t3) ; 67 00 ce 00
jr t1 ; 67 00 03 00
jalr t1 ; e7 00 03 00
jalr -0x800(t1) ; e7 00 03 80
jalr t0, t1 ; e7 02 03 00
jalr s10, -0x800(s11) ; 67 8d 0d 80
jalr s4, 0x4b2(t0) ; 67 8a 22 4b
beqz s1, 0x0 ; 63 80 04 80
beq s7, s1, 0xaaa ; e3 85 9b aa
beq a4, s3, 0xae2 ; e3 01 37 af
bnez t1, 0x1ffe ; e3 1f 03 7e
bne t6, s10, 0xaaa ; e3 95 af ab
bne s8, s1, 0x11b2 ; 63 19 9c 1a
bltz t1, 0x1008 ; 63 44 03 00
bgtz t1, 0x1008 ; 63 44 60 00
blt s4, a3, 0xaaa ; e3 45 da aa
blt a6, t5, 0x8e6 ; e3 43 e8 8f
blez t1, 0x1008 ; 63 54 60 00
bgez t1, 0x1008 ; 63 54 03 00
bge t1, s2, 0x0 ; 63 50 23 81
bge t4, s4, 0x99a ; e3 dd 4e 99
bltu s11, s1, 0x1ffe ; e3 ef 9d 7e
bltu a5, s8, 0x67a ; 63 ed 87 e7
bgeu s10, s10, 0x1ffe ; e3 7f ad 7f
bgeu s11, s10, 0xb48 ; e3 f4 ad b5
lb s1, -0x800(s3) ; 83 84 09 80
lb t1, -0x7d7(s8) ; 03 03 9c 82
lh t2, 0x7ff(a1) ; 83 93 f5 7f
lh s1, 0xf9(s3) ; 83 94 99 0f
lw s0, 0x7ff(t1) ; 03 24 f3 7f
lw t1, 0x60c(s6) ; 03 23 cb 60
lbu a6, 0x7ff(t3) ; 03 48 fe 7f
lbu t0, 0x4e2(s6) ; 83 42 2b 4e
lhu t5, 0x7ff(a1) ; 03 df f5 7f
lhu t0, 0x440(a2) ; 83 52 06 44
sb t0, 0x7ff(t4) ; a3 8f 5e 7e
sb s11, -0x9(s7) ; a3 8b bb ff
sh a0, -0x800(t6) ; 23 90 af 80
sh a5, 0x69d(t0) ; a3 9e f2 68
sw t6, -0x2ab(t0) ; a3 aa f2 d5
sw s11, -0x6af(t1) ; a3 28 b3 95
nop ; 13 00 00 00
li a6, 0x21 ; 13 08 10 02
mv a0, a1 ; 13 85 05 00
addi s0, s5, -0x2ab ; 13 84 5a d5
addi s10, s10, -0x286 ; 13 0d ad d7
slti s2, t2, -0x800 ; 13 a9 03 80
slti t1, a4, 0x87 ; 13 23 77 08
seqz a0, a1 ; 13 b5 15 00
sltiu t1, t0, 0x7ff ; 13 b3 f2 7f
sltiu s11, t2, -0x250 ; 93 bd 03 db
not a0, a1 ; 13 c5 f5 ff
xori a0, t0, 0x7ff ; 13 c5 f2 7f
xori a5, a1, 0x5b2 ; 93 c7 25 5b
ori a7, a7, -0x800 ; 93 e8 08 80
ori t1, t2, -0x76a ; 13 e3 63 89
andi t1, t1, -0x2ab ; 13 73 53 d5
andi s8, a0, 0x169 ; 13 7c 95 16
add a2, s2, s0 ; 33 06 89 00
add s0, a5, s1 ; 33 84 97 00
neg a5, a5 ; b3 07 f0 40
sub a4, a3, t4 ; 33 87 d6 41
sub s10, s1, t0 ; 33 8d 54 40
sll a0, t6, s0 ; 33 95 8f 00
sll s10, s1, s3 ; 33 9d 34 01
sltz a0, a1 ; 33 a5 05 00
sgtz a0, a1 ; 33 25 b0 00
slt a0, t1, s6 ; 33 25 63 01
slt a2, a7, t5 ; 33 a6 e8 01
snez a0, a1 ; 33 35 b0 00
sltu t2, a7, s0 ; b3 b3 88 00
sltu t5, s6, s11 ; 33 3f bb 01
xor a2, s6, a7 ; 33 46 1b 01
xor t1, s0, a0 ; 33 43 a4 00
srl a2, t0, a3 ; 33 d6 d2 00
srl t0, t6, s3 ; b3 d2 3f 01
sra a3, s1, t2 ; b3 d6 74 40
sra t2, t1, s1 ; b3 53 93 40
or t1, t2, t4 ; 33 e3 d3 01
or a0, s7, s4 ; 33 e5 4b 01
and s1, t2, a6 ; b3 f4 03 01
and s5, s5, t2 ; b3 fa 7a 00
fence ; 0f 00 f0 0f
fence rw, rw ; 0f 00 30 03
fence r, rw ; 0f 00 30 02
fence rw, w ; 0f 00 10 03
fence irw, r ; 0f 00 20 0b
fence iw, ow ; 0f 00 50 09
fence.tso ; 0f 00 30 83
ecall ; 73 00 00 00
ebreak ; 73 00 10 00

# RV64I
lwu s0, 0x7ff(s0) ; 03 64 f4 7f
lwu t3, -0x7d7(a0) ; 03 6e 95 82
ld a7, 0x7ff(s9) ; 83 b8 fc 7f
ld a4, 0x26(a1) ; 03 b7 65 02
sd s0, 0x7ff(s8) ; a3 3f 8c 7e
sd s6, 0x10(a1) ; 23 b8 65 01
slli s1, t1, 0x0 ; 93 14 03 00
slli s8, a5, 0x16 ; 13 9c 67 01
srli s0, s2, 0x3f ; 13 54 f9 03
srli t1, t1, 0x2f ; 13 53 f3 02
srai t6, s3, 0x15 ; 93 df 59 41
srai a1, t5, 0x1b ; 93 55 bf 41
sext.w a0, a5 ; 1b 85 07 00
addiw a1, s8, -0x2ab ; 9b 05 5c d5
addiw t1, t2, -0x621 ; 1b 83 f3 9d
slliw s7, s9, 0x0 ; 9b 9b 0c 00
slliw t5, a5, 0xc ; 1b 9f c7 00
srliw s8, s3, 0x1f ; 1b dc f9 01
srliw t2, s2, 0x18 ; 9b 53 89 01
sraiw t2, a5, 0x1f ; 9b d3 f7 41
sraiw a0, s11, 0x2 ; 1b d5 2d 40
addw t2, s10, s6 ; bb 03 6d 01
addw s3, s0, a7 ; bb 09 14 01
negw a5, a5 ; bb 07 f0 40
subw s1, a3, s9 ; bb 84 96 41
subw t1, s10, s4 ; 3b 03 4d 41
sllw a7, t1, s3 ; bb 18 33 01
sllw a6, t4, s0 ; 3b 98 8e 00
srlw s1, a2, t2 ; bb 54 76 00
srlw a0, s0, s11 ; 3b 55 b4 01
sraw a4, a5, t6 ; 3b d7 f7 41
sraw s2, s0, t0 ; 3b 59 54 40

# Zifencei
fence.i ; 0f 10 00 00

# Zicsr: the one that the assembler writes for code never to be reached
unimp ; 73 10 00 c0

# RV32M and RV64M
mul a1, s1, a5 ; b3 85 f4 02
mul a5, a4, a5 ; b3 07 f7 02
mulh s5, a1, a7 ; b3 9a 15 03
mulh a7, t2, a5 ; b3 98 f3 02
mulhsu s1, a2, s1 ; b3 24 96 02
mulhsu a3, s4, t1 ; b3 26 6a 02
mulhu t5, s5, t2 ; 33 bf 7a 02
mulhu s0, t2, s11 ; 33 b4 b3 03
div a2, t4, a4 ; 33 c6 ee 02
div s11, a3, s11 ; b3 cd b6 03
divu t2, s0, s1 ; b3 53 94 02
divu s0, t0, t5 ; 33 d4 e2 03
rem s10, a4, s6 ; 33 6d 67 03
rem s2, a6, s1 ; 33 69 98 02
remu s8, a3, t6 ; 33 fc f6 03
remu t2, s6, s2 ; b3 73 2b 03
mulw t2, s7, s8 ; bb 83 8b 03
mulw s1, s5, s9 ; bb 84 9a 03
divw s9, a2, s11 ; bb 4c b6 03
divw t2, s9, a5 ; bb c3 fc 02
divuw a0, a7, a2 ; 3b d5 c8 02
divuw s8, s5, s3 ; 3b dc 3a 03
remw t4, s7, s6 ; bb ee 6b 03
remw t3, s1, a2 ; 3b ee c4 02
remuw t3, s4, a1 ; 3b 7e ba 02
remuw s8, s0, s1 ; 3b 7c 94 02

# RV32A and RV64A, without minimum and maximum
lr.w.aqrl t2, (s11) ; af a3 0d 16
lr.w.rl s7, (a2) ; af 2b 06 12
sc.w t2, t0, (t1) ; af 23 53 18
sc.w.aqrl s0, s0, (a2) ; 2f 24 86 1e
amoswap.w.rl s1, a1, (a1) ; af a4 b5 0a
amoswap.w.rl s6, s4, (t1) ; 2f 2b 43 0b
amoadd.w.aqrl s8, s7, (t6) ; 2f ac 7f 07
amoadd.w.aq t1, a2, (s2) ; 2f 23 c9 04
amoxor.w.rl a6, a4, (t3) ; 2f 28 ee 22
amoxor.w.aq t5, t0, (a1) ; 2f af 55 24
amoand.w.aqrl t0, t3, (a3) ; af a2 c6 67
amoand.w.rl a2, s0, (s6) ; 2f 26 8b 62
amoor.w t1, s7, (t2) ; 2f a3 73 41
amoor.w.aqrl s6, t2, (t1) ; 2f 2b 73 46
lr.d.aq s4, (s11) ; 2f ba 0d 14
lr.d.aq t1, (s11) ; 2f b3 0d 14
sc.d.aq a4, a0, (s4) ; 2f 37 aa 1c
sc.d.rl s4, t2, (s5) ; 2f ba 7a 1a
amoswap.d.aqrl t4, t6, (t0) ; af be f2 0f
amoswap.d.aq a1, t5, (s5) ; af b5 ea 0d
amoadd.d.aq t3, t0, (t0) ; 2f be 52 04
amoadd.d a3, t2, (t0) ; af b6 72 00
amoxor.d s1, a4, (s8) ; af 34 ec 20
amoxor.d.rl t1, s4, (t2) ; 2f b3 43 23
amoand.d.aq s1, s10, (t0) ; af b4 a2 65
amoand.d.aq s10, t4, (a7) ; 2f bd d8 65
amoor.d.aqrl s0, a2, (s0) ; 2f 34 c4 46
amoor.d.aqrl a6, a4, (s1) ; 2f b8 e4 46

# Zacas
amocas.w.aqrl t3, s2, (a0) ; 2f 2e 25 2f
amocas.w s1, t1, (a7) ; af a4 68 28
amocas.d.aq t1, t0, (t3) ; 2f 33 5e 2c
amocas.d.aq t6, s5, (s3) ; af bf 59 2d

# Zba
sh1add s4, s6, a4 ; 33 2a eb 20
sh1add s0, t4, s8 ; 33 a4 8e 21
sh2add t2, s5, a1 ; b3 c3 ba 20
sh2add t5, t1, s2 ; 33 4f 23 21
sh3add t4, t4, s3 ; b3 ee 3e 21
sh3add a7, s1, t3 ; b3 e8 c4 21
zext.w a5, a5 ; bb 87 07 08
add.uw s2, s7, s0 ; 3b 89 8b 08
add.uw s6, s1, s4 ; 3b 8b 44 09
sh1add.uw s0, a7, s5 ; 3b a4 58 21
sh1add.uw a3, s11, t1 ; bb a6 6d 20
sh2add.uw a2, t1, a5 ; 3b 46 f3 20
sh2add.uw t5, s0, s3 ; 3b 4f 34 21
sh3add.uw a4, s0, a4 ; 3b 67 e4 20
sh3add.uw s7, a2, t6 ; bb 6b f6 21
slli.uw a2, a3, 0x15 ; 1b 96 56 09
slli.uw a5, s0, 0x5 ; 9b 17 54 08

# Zbb
andn t2, t4, s6 ; b3 f3 6e 41
andn t0, s3, a3 ; b3 f2 d9 40
orn a0, a6, t3 ; 33 65 c8 41
orn t0, a6, t0 ; b3 62 58 40
xnor a0, t1, s1 ; 33 45 93 40
xnor a5, s1, s1 ; b3 c7 94 40
max t0, s1, s2 ; b3 e2 24 0b
max s1, s2, s1 ; b3 64 99 0a
maxu a5, s11, a7 ; b3 f7 1d 0b
maxu a4, t0, s11 ; 33 f7 b2 0b
min s0, t1, s3 ; 33 44 33 0b
min s0, t1, s1 ; 33 44 93 0a
minu a5, s5, s4 ; b3 d7 4a 0b
minu s9, t0, a0 ; b3 dc a2 0a
sext.b t5, s7 ; 13 9f 4b 60
sext.b t5, a4 ; 13 1f 47 60
sext.h t1, t0 ; 13 93 52 60
sext.h a1, t1 ; 93 15 53 60
zext.h a0, t2 ; 3b c5 03 08
zext.h s1, a7 ; bb c4 08 08
rol s6, s4, s5 ; 33 1b 5a 61
rol s1, t1, t6 ; b3 14 f3 61
ror t6, s6, t5 ; b3 5f eb 61
ror s5, a7, s3 ; b3 da 38 61
rori s6, s10, 0x3f ; 13 5b fd 63
rori t0, t2, 0x5 ; 93 d2 53 60
rolw t5, a3, s5 ; 3b 9f 56 61
rolw s6, s7, t3 ; 3b 9b cb 61
rorw s0, s0, t0 ; 3b 54 54 60
rorw a7, a7, t2 ; bb d8 78 60
roriw s8, s1, 0xa ; 1b dc a4 60
roriw s0, t3, 0x1e ; 1b 54 ee 61
rev8 s7, t5 ; 93 5b 8f 6b
rev8 t5, s8 ; 13 5f 8c 6b

# C, quadrant 0
unimp ; 00 00
addi a3, sp, 0x3fc ; f4 1f
addi a0, sp, 0x178 ; a8 1a
lw a5, 0x28(s0) ; 1c 54
lw a5, 0x54(a4) ; 7c 4b
ld a3, 0x0(a0) ; 14 61
ld a4, 0xd0(s0) ; 78 68
sw s1, 0x7c(a0) ; 64 dd
sw a5, 0x10(s0) ; 1c c8
sd a1, 0xf8(s1) ; ec fc
sd s0, 0x40(s1) ; a0 e0

# C, quadrant 1
nop ; 01 00
c.nop 0x1f ; 7d 00
c.nop -0x1a ; 19 10
c.addi a0, 0x0 ; 01 05
addi t1, t1, -0x20 ; 01 13
addi s8, s8, -0xb ; 55 1c
sext.w t1, t1 ; 01 23
addiw a4, a4, -0x20 ; 01 37
addiw t1, t1, 0x4 ; 11 23
c.li zero, 0x1 ; 05 40
li t1, 0x1f ; 7d 43
li s9, -0x17 ; a5 5c
addi sp, sp, -0xb0 ; 71 71
addi sp, sp, 0x160 ; 35 61
lui s9, 0x1f ; fd 6c
lui t2, 0x9 ; a5 63
srli a3, a3, 0x3f ; fd 92
srli s0, s0, 0x3e ; 79 90
c.srai64 a3 ; 81 86
srai a0, a0, 0x25 ; 15 95
andi a0, a0, -0x20 ; 01 99
andi a2, a2, -0x1a ; 19 9a
sub a2, a2, a2 ; 11 8e
sub a0, a0, a5 ; 1d 8d
xor s0, s0, a0 ; 29 8c
or a1, a1, a2 ; d1 8d
or s1, s1, a4 ; d9 8c
and a2, a2, a1 ; 6d 8e
and a3, a3, a0 ; e9 8e
subw a2, a2, a5 ; 1d 9e
subw a1, a1, a5 ; 9d 9d
addw a0, a0, a5 ; 3d 9d
addw a1, a1, a2 ; b1 9d
j 0x17fe ; fd af
j 0x1686 ; 59 a5
beqz a0, 0xf00 ; 01 d1
beqz a3, 0xf84 ; d1 d2
bnez s0, 0x10fe ; 7d ec
bnez a0, 0xf06 ; 19 f1

# C, quadrant 2
c.slli64 a0 ; 02 05
c.slli zero, 0x1 ; 06 00
c.slli64 s7 ; 82 0b
slli t3, t3, 0xc ; 32 0e
lw t1, 0x0(sp) ; 02 43
lw s3, 0x8(sp) ; a2 49
ld t1, 0x1f8(sp) ; 7e 73
ld a4, 0x78(sp) ; 66 77
ret ; 82 80
jr a0 ; 02 85
jr t5 ; 02 8f
c.mv zero, a0 ; 2a 80
mv s11, s5 ; d6 8d
mv t3, s7 ; 5e 8e
ebreak ; 02 90
jalr a3 ; 82 96
jalr a7 ; 82 98
add s8, s8, s8 ; 62 9c
add a4, a4, a0 ; 2a 97
sw a0, 0x0(sp) ; 2a c0
sw t2, 0x14(sp) ; 1e ca
sd s4, 0x1f8(sp) ; d2 ff
sd a6, 0xd8(sp) ; c2 ed
