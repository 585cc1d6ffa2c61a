# Instructions at 0x1000 and their bytes, in the order of the table; llvm-mc reads every line the same way.

# ADD
add ebx, r8d ; 44 01 c3
add [rip+0x1000], eax ; 01 05 00 10 00 00
add ebx, r15d ; 41 03 df
add r14d, [rax-8] ; 44 03 70 f8
add ebx, 0x7f ; 83 c3 7f
add dword ptr [rdx+0x130], -0x80 ; 83 82 30 01 00 00 80
add esp, -2 ; 81 c4 fe ff ff ff
add dword ptr [rdx-8], 0x80 ; 81 42 f8 80 00 00 00
add eax, -2 ; 05 fe ff ff ff
add r15, r12 ; 4d 01 e7
add [rip+0x1000], r15 ; 4c 01 3d 00 10 00 00
add r12, rbx ; 4c 03 e3
add r8, [r12] ; 4d 03 04 24
add rdi, 0x7f ; 48 83 c7 7f
add qword ptr [r14+0x130], 0x7f ; 49 83 86 30 01 00 00 7f
add rsp, 0x80 ; 48 81 c4 80 00 00 00
add qword ptr [0x12345678], 0x80 ; 48 81 04 25 78 56 34 12 80 00 00 00
add rax, 0x80 ; 48 05 80 00 00 00

# OR
or r8d, r11d ; 45 09 d8
or [rip+0x1000], r14d ; 44 09 35 00 10 00 00
or r11d, edi ; 44 0b df
or r15d, [0x12345678] ; 44 0b 3c 25 78 56 34 12
or r14d, -1 ; 41 83 ce ff
or dword ptr [rdx+r15*4+0x40], 1 ; 42 83 4c ba 40 01
or r14d, -2 ; 41 81 ce fe ff ff ff
or dword ptr [r8], 0x12345678 ; 41 81 08 78 56 34 12
or eax, -2 ; 0d fe ff ff ff
or rdi, r15 ; 4c 09 ff
or [0x12345678], r9 ; 4c 09 0c 25 78 56 34 12
or r9, r13 ; 4d 0b cd
or rax, [rsp-8] ; 48 0b 44 24 f8
or r15, 0x7f ; 49 83 cf 7f
or qword ptr [r9*8+0x2000], 0x7f ; 4a 83 0c cd 00 20 00 00 7f
or r8, -2 ; 49 81 c8 fe ff ff ff
or qword ptr [rcx*8+0x2000], 0x80 ; 48 81 0c cd 00 20 00 00 80 00 00 00
or rax, -2 ; 48 0d fe ff ff ff

# AND
and r9d, r8d ; 45 21 c1
and [rip+0x1000], edi ; 21 3d 00 10 00 00
and r11d, ecx ; 44 23 d9
and ebp, [r12] ; 41 23 2c 24
and ebx, 1 ; 83 e3 01
and dword ptr [rip+0x1000], 1 ; 83 25 00 10 00 00 01
and r8d, 0x12345678 ; 41 81 e0 78 56 34 12
and dword ptr [r8], -2 ; 41 81 20 fe ff ff ff
and eax, 0x80 ; 25 80 00 00 00
and r10, r11 ; 4d 21 da
and [0x12345678], rsp ; 48 21 24 25 78 56 34 12
and rax, rbx ; 48 23 c3
and rbx, [r9*8+0x2000] ; 4a 23 1c cd 00 20 00 00
and r10, -0x80 ; 49 83 e2 80
and qword ptr [rip+0x1000], 0x7f ; 48 83 25 00 10 00 00 7f
and r12, 0x80 ; 49 81 e4 80 00 00 00
and qword ptr [r10+0x130], 0x80 ; 49 81 a2 30 01 00 00 80 00 00 00
and rax, -2 ; 48 25 fe ff ff ff

# SUB
sub ebp, esi ; 29 f5
sub [r12], r9d ; 45 29 0c 24
sub esp, r10d ; 41 2b e2
sub r10d, [r12] ; 45 2b 14 24
sub esp, 0x7f ; 83 ec 7f
sub dword ptr [rip+0x1000], -0x80 ; 83 2d 00 10 00 00 80
sub edx, 0x80 ; 81 ea 80 00 00 00
sub dword ptr [r10-8], 0x12345678 ; 41 81 6a f8 78 56 34 12
sub eax, 0x80 ; 2d 80 00 00 00
sub rcx, rcx ; 48 29 c9
sub [0x12345678], r11 ; 4c 29 1c 25 78 56 34 12
sub rdx, rbx ; 48 2b d3
sub r10, [r8] ; 4d 2b 10
sub rbx, 0x7f ; 48 83 eb 7f
sub qword ptr [rbp+r14*8+0x40], 1 ; 4a 83 6c f5 40 01
sub r15, -2 ; 49 81 ef fe ff ff ff
sub qword ptr [rsp+0x130], 0x12345678 ; 48 81 ac 24 30 01 00 00 78 56 34 12
sub rax, 0x12345678 ; 48 2d 78 56 34 12

# XOR
xor esp, r15d ; 44 31 fc
xor [rdi+0x130], eax ; 31 87 30 01 00 00
xor ebx, r14d ; 41 33 de
xor edi, [rbp-8] ; 33 7d f8
xor edi, 1 ; 83 f7 01
xor dword ptr [rip+0x1000], -0x80 ; 83 35 00 10 00 00 80
xor ebx, 0x12345678 ; 81 f3 78 56 34 12
xor dword ptr [0x12345678], 0x12345678 ; 81 34 25 78 56 34 12 78 56 34 12
xor eax, 0x12345678 ; 35 78 56 34 12
xor r9, rbx ; 49 31 d9
xor [rcx*8+0x2000], r10 ; 4c 31 14 cd 00 20 00 00
xor rsp, rax ; 48 33 e0
xor r10, [r9*8+0x2000] ; 4e 33 14 cd 00 20 00 00
xor r13, 0x7f ; 49 83 f5 7f
xor qword ptr [rcx*8+0x2000], -1 ; 48 83 34 cd 00 20 00 00 ff
xor r12, -2 ; 49 81 f4 fe ff ff ff
xor qword ptr [0x12345678], 0x12345678 ; 48 81 34 25 78 56 34 12 78 56 34 12
xor rax, -2 ; 48 35 fe ff ff ff

# CMP
cmp ecx, ebp ; 39 e9
cmp [r10+rax+0x40], esi ; 41 39 74 02 40
cmp r9d, r9d ; 45 3b c9
cmp r14d, [r9*8+0x2000] ; 46 3b 34 cd 00 20 00 00
cmp r14d, -1 ; 41 83 fe ff
cmp dword ptr [rdi], -0x80 ; 83 3f 80
cmp edx, 0x12345678 ; 81 fa 78 56 34 12
cmp dword ptr [rcx*8+0x2000], 0x12345678 ; 81 3c cd 00 20 00 00 78 56 34 12
cmp eax, 0x80 ; 3d 80 00 00 00
cmp r9, r13 ; 4d 39 e9
cmp [0x12345678], r12 ; 4c 39 24 25 78 56 34 12
cmp rdx, r12 ; 49 3b d4
cmp r13, [0x12345678] ; 4c 3b 2c 25 78 56 34 12
cmp r12, 0x7f ; 49 83 fc 7f
cmp qword ptr [0x12345678], 0x7f ; 48 83 3c 25 78 56 34 12 7f
cmp rsp, 0x80 ; 48 81 fc 80 00 00 00
cmp qword ptr [rsp+rbp+0x40], 0x80 ; 48 81 7c 2c 40 80 00 00 00
cmp rax, -2 ; 48 3d fe ff ff ff
cmp r11b, -0x80 ; 41 80 fb 80
cmp byte ptr [0x12345678], -0x80 ; 80 3c 25 78 56 34 12 80

# TEST
test cl, cl ; 84 c9
test [rdi+r12+0x40], dl ; 42 84 54 27 40
test r12b, 1 ; 41 f6 c4 01
test byte ptr [r8], -1 ; 41 f6 00 ff
test r12d, r8d ; 45 85 c4
test [rbp-8], r13d ; 44 85 6d f8
test esp, 0x12345678 ; f7 c4 78 56 34 12
test dword ptr [rip+0x1000], 0x12345678 ; f7 05 00 10 00 00 78 56 34 12
test eax, 0x12345678 ; a9 78 56 34 12
test rsp, r11 ; 4c 85 dc
test [rip+0x1000], r14 ; 4c 85 35 00 10 00 00
test rcx, 0x12345678 ; 48 f7 c1 78 56 34 12
test qword ptr [rax], 0x80 ; 48 f7 00 80 00 00 00
test rax, -2 ; 48 a9 fe ff ff ff

# NEG, NOT
neg r12d ; 41 f7 dc
neg dword ptr [r9*8+0x2000] ; 42 f7 1c cd 00 20 00 00
not ebx ; f7 d3
not dword ptr [rsp+0x130] ; f7 94 24 30 01 00 00
neg r15 ; 49 f7 df
neg qword ptr [rip+0x1000] ; 48 f7 1d 00 10 00 00
not r9 ; 49 f7 d1
not qword ptr [r9*8+0x2000] ; 4a f7 14 cd 00 20 00 00

# MUL, IMUL
mul edi ; f7 e7
mul dword ptr [rsp-8] ; f7 64 24 f8
imul ebp ; f7 ed
imul dword ptr [rsi+r11+0x40] ; 42 f7 6c 1e 40
imul ecx, esi ; 0f af ce
imul r14d, [rip+0x1000] ; 44 0f af 35 00 10 00 00
imul r12d, r9d, 1 ; 45 6b e1 01
imul esi, [rip+0x1000], 1 ; 6b 35 00 10 00 00 01
imul ebp, esi, 0x80 ; 69 ee 80 00 00 00
imul r9d, [0x12345678], 0x80 ; 44 69 0c 25 78 56 34 12 80 00 00 00
mul r11 ; 49 f7 e3
mul qword ptr [rsi+r14+0x40] ; 4a f7 64 36 40
imul r11 ; 49 f7 eb
imul qword ptr [rdx+0x130] ; 48 f7 aa 30 01 00 00
imul r8, r11 ; 4d 0f af c3
imul rdi, [rcx+rax*2+0x40] ; 48 0f af 7c 41 40
imul r12, rdx, -0x80 ; 4c 6b e2 80
imul r11, [r12], 1 ; 4d 6b 1c 24 01
imul r10, r10, -2 ; 4d 69 d2 fe ff ff ff
imul r15, [r8-8], 0x12345678 ; 4d 69 78 f8 78 56 34 12

# DIV, IDIV
div esp ; f7 f4
div dword ptr [rip+0x1000] ; f7 35 00 10 00 00
idiv edi ; f7 ff
idiv dword ptr [r10-8] ; 41 f7 7a f8
div r10 ; 49 f7 f2
div qword ptr [rdi+0x130] ; 48 f7 b7 30 01 00 00
idiv rax ; 48 f7 f8
idiv qword ptr [r9*8+0x2000] ; 4a f7 3c cd 00 20 00 00

# CWD/CDQ/CQO
cdq ; 99
cqo ; 48 99

# RCL/RCR/ROL/ROR
rol si, 3 ; 66 c1 c6 03
rol word ptr [r10+0x130], 0x1f ; 66 41 c1 82 30 01 00 00 1f
rol r12d, 1 ; 41 d1 c4
rol dword ptr [r12], 1 ; 41 d1 04 24
rol ebx, 0x1f ; c1 c3 1f
rol dword ptr [rcx*8+0x2000], 3 ; c1 04 cd 00 20 00 00 03
rol ebp, cl ; d3 c5
rol dword ptr [rip+0x1000], cl ; d3 05 00 10 00 00
rol rsp, 1 ; 48 d1 c4
rol qword ptr [rcx*8+0x2000], 1 ; 48 d1 04 cd 00 20 00 00
rol r10, 0x3f ; 49 c1 c2 3f
rol qword ptr [r9*8+0x2000], 3 ; 4a c1 04 cd 00 20 00 00 03
rol rsp, cl ; 48 d3 c4
rol qword ptr [r12], cl ; 49 d3 04 24
ror r10w, 3 ; 66 41 c1 ca 03
ror word ptr [rdx-8], 0x1f ; 66 c1 4a f8 1f
ror r14d, 1 ; 41 d1 ce
ror dword ptr [rip+0x1000], 1 ; d1 0d 00 10 00 00
ror ecx, 0x1f ; c1 c9 1f
ror dword ptr [r8], 0x3f ; 41 c1 08 3f
ror esi, cl ; d3 ce
ror dword ptr [rip+0x1000], cl ; d3 0d 00 10 00 00
ror r9, 1 ; 49 d1 c9
ror qword ptr [0x12345678], 1 ; 48 d1 0c 25 78 56 34 12
ror rsp, 0x1f ; 48 c1 cc 1f
ror qword ptr [rip+0x1000], 0x1f ; 48 c1 0d 00 10 00 00 1f
ror r10, cl ; 49 d3 ca
ror qword ptr [r9*8+0x2000], cl ; 4a d3 0c cd 00 20 00 00

# SAL/SAR/SHL/SHR
shl r12d, 1 ; 41 d1 e4
shl dword ptr [rcx*8+0x2000], 1 ; d1 24 cd 00 20 00 00
shl edi, 0x3f ; c1 e7 3f
shl dword ptr [r12], 0x3f ; 41 c1 24 24 3f
shl ecx, cl ; d3 e1
shl dword ptr [rip+0x1000], cl ; d3 25 00 10 00 00
shl r15, 1 ; 49 d1 e7
shl qword ptr [rdx-8], 1 ; 48 d1 62 f8
shl rbx, 3 ; 48 c1 e3 03
shl qword ptr [rip+0x1000], 3 ; 48 c1 25 00 10 00 00 03
shl rsp, cl ; 48 d3 e4
shl qword ptr [r10+rbx*4+0x40], cl ; 49 d3 64 9a 40
shr edi, 1 ; d1 ef
shr dword ptr [rcx*8+0x2000], 1 ; d1 2c cd 00 20 00 00
shr edi, 3 ; c1 ef 03
shr dword ptr [rip+0x1000], 0x1f ; c1 2d 00 10 00 00 1f
shr r15d, cl ; 41 d3 ef
shr dword ptr [rip+0x1000], cl ; d3 2d 00 10 00 00
shr r13, 1 ; 49 d1 ed
shr qword ptr [rip+0x1000], 1 ; 48 d1 2d 00 10 00 00
shr r11, 3 ; 49 c1 eb 03
shr qword ptr [rcx*8+0x2000], 3 ; 48 c1 2c cd 00 20 00 00 03
shr rcx, cl ; 48 d3 e9
shr qword ptr [r12], cl ; 49 d3 2c 24
sar r12d, 1 ; 41 d1 fc
sar dword ptr [rdx+0x130], 1 ; d1 ba 30 01 00 00
sar ebx, 3 ; c1 fb 03
sar dword ptr [rcx-8], 0x1f ; c1 79 f8 1f
sar r11d, cl ; 41 d3 fb
sar dword ptr [r9-8], cl ; 41 d3 79 f8
sar r8, 1 ; 49 d1 f8
sar qword ptr [r12], 1 ; 49 d1 3c 24
sar r14, 3 ; 49 c1 fe 03
sar qword ptr [r12], 3 ; 49 c1 3c 24 03
sar rsi, cl ; 48 d3 fe
sar qword ptr [rip+0x1000], cl ; 48 d3 3d 00 10 00 00

# SARX/SHLX/SHRX, RORX (BMI2)
sarx eax, r14d, eax ; c4 c2 7a f7 c6
sarx ebx, [rcx*8+0x2000], esi ; c4 e2 4a f7 1c cd 00 20 00 00
sarx r8, rcx, rsi ; c4 62 ca f7 c1
sarx rbx, [rbx+r15*4+0x40], r11 ; c4 a2 a2 f7 5c bb 40
shlx ecx, eax, ebp ; c4 e2 51 f7 c8
shlx esi, [r13+0x130], esp ; c4 c2 59 f7 b5 30 01 00 00
shlx r10, r15, rdi ; c4 42 c1 f7 d7
shlx rbp, [0x12345678], rsp ; c4 e2 d9 f7 2c 25 78 56 34 12
shrx r11d, r11d, r12d ; c4 42 1b f7 db
shrx edi, [rsi+rbx*4+0x40], ecx ; c4 e2 73 f7 7c 9e 40
shrx r12, rdx, rdi ; c4 62 c3 f7 e2
shrx r15, [0x12345678], rsp ; c4 62 db f7 3c 25 78 56 34 12
rorx esi, r15d, 0x1f ; c4 c3 7b f0 f7 1f
rorx r10d, [r13-8], 0x3f ; c4 43 7b f0 55 f8 3f
rorx rax, rsp, 0x1f ; c4 e3 fb f0 c4 1f
rorx r11, [rip+0x1000], 0x1f ; c4 63 fb f0 1d 00 10 00 00 1f

# BSWAP
bswap r10d ; 41 0f ca
bswap r11 ; 49 0f cb

# MOV
mov r12b, r9b ; 45 88 cc
mov [rcx-8], bpl ; 40 88 69 f8
mov dx, r8w ; 66 44 89 c2
mov [r12], r12w ; 66 45 89 24 24
mov r9d, r8d ; 45 89 c1
mov [rip+0x1000], eax ; 89 05 00 10 00 00
mov r14, rdi ; 49 89 fe
mov [r8], rsi ; 49 89 30
mov r9b, r8b ; 45 8a c8
mov r11b, [rbx+0x130] ; 44 8a 9b 30 01 00 00
mov bx, bx ; 66 8b db
mov bx, [rsi-8] ; 66 8b 5e f8
mov r8d, r11d ; 45 8b c3
mov r12d, [rip+0x1000] ; 44 8b 25 00 10 00 00
mov r10, r10 ; 4d 8b d2
mov r10, [r14-8] ; 4d 8b 56 f8
mov ecx, 0x80 ; b9 80 00 00 00
mov rdi, 0x123456789abcdef0 ; 48 bf f0 de bc 9a 78 56 34 12
mov bl, 0x7f ; c6 c3 7f
mov byte ptr [r10+rbp*4+0x40], -1 ; 41 c6 44 aa 40 ff
mov r12w, 0x1234 ; 66 41 c7 c4 34 12
mov word ptr [rcx*8+0x2000], 0x1234 ; 66 c7 04 cd 00 20 00 00 34 12
mov r10d, -2 ; 41 c7 c2 fe ff ff ff
mov dword ptr [0x12345678], 0x80 ; c7 04 25 78 56 34 12 80 00 00 00
mov r9, -2 ; 49 c7 c1 fe ff ff ff
mov qword ptr [0x12345678], 0x12345678 ; 48 c7 04 25 78 56 34 12 78 56 34 12

# MOVZX, MOVSX/MOVSXD
movzx edi, r10b ; 41 0f b6 fa
movzx r10d, byte ptr [0x12345678] ; 44 0f b6 14 25 78 56 34 12
movzx r15d, dx ; 44 0f b7 fa
movzx edx, word ptr [r13+rdi*8+0x40] ; 41 0f b7 54 fd 40
movzx r10, r15b ; 4d 0f b6 d7
movzx r8, byte ptr [rip+0x1000] ; 4c 0f b6 05 00 10 00 00
movzx rdx, dx ; 48 0f b7 d2
movzx rdi, word ptr [rbx+0x130] ; 48 0f b7 bb 30 01 00 00
movsx esp, r10b ; 41 0f be e2
movsx r11d, byte ptr [rcx*8+0x2000] ; 44 0f be 1c cd 00 20 00 00
movsx edx, dx ; 0f bf d2
movsx r8d, word ptr [r9*8+0x2000] ; 46 0f bf 04 cd 00 20 00 00
movsx rdi, r15b ; 49 0f be ff
movsx rdx, byte ptr [r15-8] ; 49 0f be 57 f8
movsx rdx, di ; 48 0f bf d7
movsx r11, word ptr [rcx*8+0x2000] ; 4c 0f bf 1c cd 00 20 00 00
movsxd r14, esi ; 4c 63 f6
movsxd r13, dword ptr [rip+0x1000] ; 4c 63 2d 00 10 00 00

# LEA
lea r11d, [r8+0x130] ; 45 8d 98 30 01 00 00
lea rdx, [rsi-8] ; 48 8d 56 f8

# XCHG, XADD, CMPXCHG; LOCK
xchg r14d, ecx ; 41 87 ce
xchg [r14+0x130], r12d ; 45 87 a6 30 01 00 00
xchg rdi, rbp ; 48 87 ef
xchg [rax], rsi ; 48 87 30
lock add [r10-8], r9d ; f0 45 01 4a f8
lock add [r15+r13*4+0x40], rdi ; f0 4b 01 7c af 40
lock or [0x12345678], esi ; f0 09 34 25 78 56 34 12
lock or [0x12345678], rbp ; f0 48 09 2c 25 78 56 34 12
lock and [0x12345678], esp ; f0 21 24 25 78 56 34 12
lock and [r15+rbp+0x40], rdi ; f0 49 21 7c 2f 40
lock xor [0x12345678], r12d ; f0 44 31 24 25 78 56 34 12
lock xor [0x12345678], rcx ; f0 48 31 0c 25 78 56 34 12
lock xadd [r13+0x130], eax ; f0 41 0f c1 85 30 01 00 00
lock xadd [0x12345678], rbp ; f0 48 0f c1 2c 25 78 56 34 12
lock cmpxchg [r12+0x130], r9d ; f0 45 0f b1 8c 24 30 01 00 00
lock cmpxchg [r10+rdi*4+0x40], r13 ; f0 4d 0f b1 6c ba 40

# PUSH, POP, LEAVE
push r15 ; 41 57
push r14 ; 41 ff f6
push qword ptr [r9*8+0x2000] ; 42 ff 34 cd 00 20 00 00
push -1 ; 6a ff
push -2 ; 68 fe ff ff ff
pop rbp ; 5d
pop rcx ; 8f c1
pop qword ptr [0x12345678] ; 8f 04 25 78 56 34 12
leave ; c9

# CALL, JMP, RET
call 0xe05 ; e8 00 fe ff ff
call rax ; ff d0
call qword ptr [rbx-8] ; ff 53 f8
jmp 0x1066 ; eb 64
jmp 0x2005 ; e9 00 10 00 00
jmp rdi ; ff e7
jmp qword ptr [rip+0x1000] ; ff 25 00 10 00 00
ret ; c3

# Jcc
jo 0x1007 ; 70 05
jno 0x1007 ; 71 05
jb 0x1000 ; 72 fe
jae 0x1000 ; 73 fe
je 0x1000 ; 74 fe
jne 0x1066 ; 75 64
jbe 0x1000 ; 76 fe
ja 0x1066 ; 77 64
js 0x1066 ; 78 64
jns 0x1066 ; 79 64
jp 0x1000 ; 7a fe
jnp 0x1007 ; 7b 05
jl 0x1007 ; 7c 05
jge 0x1007 ; 7d 05
jle 0x1007 ; 7e 05
jg 0x1007 ; 7f 05
jo 0xe06 ; 0f 80 00 fe ff ff
jno 0x2006 ; 0f 81 00 10 00 00
jb 0xe06 ; 0f 82 00 fe ff ff
jae 0xe06 ; 0f 83 00 fe ff ff
je 0x2006 ; 0f 84 00 10 00 00
jne 0x2006 ; 0f 85 00 10 00 00
jbe 0xe06 ; 0f 86 00 fe ff ff
ja 0x2006 ; 0f 87 00 10 00 00
js 0xe06 ; 0f 88 00 fe ff ff
jns 0xe06 ; 0f 89 00 fe ff ff
jp 0x2006 ; 0f 8a 00 10 00 00
jnp 0xe06 ; 0f 8b 00 fe ff ff
jl 0x2006 ; 0f 8c 00 10 00 00
jge 0x2006 ; 0f 8d 00 10 00 00
jle 0xe06 ; 0f 8e 00 fe ff ff
jg 0x2006 ; 0f 8f 00 10 00 00

# SETcc
seto dl ; 0f 90 c2
seto byte ptr [rcx*8+0x2000] ; 0f 90 04 cd 00 20 00 00
setno dil ; 40 0f 91 c7
setno byte ptr [rsp+0x130] ; 0f 91 84 24 30 01 00 00
setb bpl ; 40 0f 92 c5
setb byte ptr [rax+r14*2+0x40] ; 42 0f 92 44 70 40
setae r15b ; 41 0f 93 c7
setae byte ptr [r8-8] ; 41 0f 93 40 f8
sete r11b ; 41 0f 94 c3
sete byte ptr [rdi] ; 0f 94 07
setne r8b ; 41 0f 95 c0
setne byte ptr [r14+0x130] ; 41 0f 95 86 30 01 00 00
setbe cl ; 0f 96 c1
setbe byte ptr [rdi+r12+0x40] ; 42 0f 96 44 27 40
seta r9b ; 41 0f 97 c1
seta byte ptr [r9*8+0x2000] ; 42 0f 97 04 cd 00 20 00 00
sets r12b ; 41 0f 98 c4
sets byte ptr [0x12345678] ; 0f 98 04 25 78 56 34 12
setns bpl ; 40 0f 99 c5
setns byte ptr [r8-8] ; 41 0f 99 40 f8
setp r12b ; 41 0f 9a c4
setp byte ptr [r8+0x130] ; 41 0f 9a 80 30 01 00 00
setnp sil ; 40 0f 9b c6
setnp byte ptr [rdi] ; 0f 9b 07
setl r9b ; 41 0f 9c c1
setl byte ptr [0x12345678] ; 0f 9c 04 25 78 56 34 12
setge spl ; 40 0f 9d c4
setge byte ptr [r9+rdx*8+0x40] ; 41 0f 9d 44 d1 40
setle r11b ; 41 0f 9e c3
setle byte ptr [rdx+0x130] ; 0f 9e 82 30 01 00 00
setg dl ; 0f 9f c2
setg byte ptr [r12+r15+0x40] ; 43 0f 9f 44 3c 40

# CMOVcc
cmovo r11d, edx ; 44 0f 40 da
cmovo r12d, [rcx*8+0x2000] ; 44 0f 40 24 cd 00 20 00 00
cmovno edx, r13d ; 41 0f 41 d5
cmovno esp, [r9*8+0x2000] ; 42 0f 41 24 cd 00 20 00 00
cmovb r12d, r13d ; 45 0f 42 e5
cmovb r15d, [rdx-8] ; 44 0f 42 7a f8
cmovae edx, r12d ; 41 0f 43 d4
cmovae edi, [r9*8+0x2000] ; 42 0f 43 3c cd 00 20 00 00
cmove esp, ecx ; 0f 44 e1
cmove r11d, [rdx+0x130] ; 44 0f 44 9a 30 01 00 00
cmovne r13d, r15d ; 45 0f 45 ef
cmovne r14d, [r14+r14*2+0x40] ; 47 0f 45 74 76 40
cmovbe r12d, edx ; 44 0f 46 e2
cmovbe edx, [rip+0x1000] ; 0f 46 15 00 10 00 00
cmova eax, r14d ; 41 0f 47 c6
cmova esi, [rax+r9*8+0x40] ; 42 0f 47 74 c8 40
cmovs edx, r13d ; 41 0f 48 d5
cmovs eax, [rip+0x1000] ; 0f 48 05 00 10 00 00
cmovns r14d, esi ; 44 0f 49 f6
cmovns r9d, [rdi-8] ; 44 0f 49 4f f8
cmovp r11d, edi ; 44 0f 4a df
cmovp esi, [r15-8] ; 41 0f 4a 77 f8
cmovnp r14d, esi ; 44 0f 4b f6
cmovnp r13d, [0x12345678] ; 44 0f 4b 2c 25 78 56 34 12
cmovl r8d, r12d ; 45 0f 4c c4
cmovl r8d, [rcx*8+0x2000] ; 44 0f 4c 04 cd 00 20 00 00
cmovge eax, r14d ; 41 0f 4d c6
cmovge ecx, [r8] ; 41 0f 4d 08
cmovle eax, esp ; 0f 4e c4
cmovle r11d, [rcx*8+0x2000] ; 44 0f 4e 1c cd 00 20 00 00
cmovg ebx, r14d ; 41 0f 4f de
cmovg ebp, [rip+0x1000] ; 0f 4f 2d 00 10 00 00
cmovo r9, r8 ; 4d 0f 40 c8
cmovo r12, [r9*8+0x2000] ; 4e 0f 40 24 cd 00 20 00 00
cmovno rsp, r10 ; 49 0f 41 e2
cmovno r9, [rsi+0x130] ; 4c 0f 41 8e 30 01 00 00
cmovb r13, rax ; 4c 0f 42 e8
cmovb r15, [r14+r12*2+0x40] ; 4f 0f 42 7c 66 40
cmovae rdx, rcx ; 48 0f 43 d1
cmovae rcx, [rax] ; 48 0f 43 08
cmove r11, r12 ; 4d 0f 44 dc
cmove rbx, [r9*8+0x2000] ; 4a 0f 44 1c cd 00 20 00 00
cmovne r13, r10 ; 4d 0f 45 ea
cmovne rbp, [r9*8+0x2000] ; 4a 0f 45 2c cd 00 20 00 00
cmovbe rdi, rsp ; 48 0f 46 fc
cmovbe r10, [r8-8] ; 4d 0f 46 50 f8
cmova rcx, r10 ; 49 0f 47 ca
cmova rsp, [r12-8] ; 49 0f 47 64 24 f8
cmovs r14, rdi ; 4c 0f 48 f7
cmovs r10, [r11+0x130] ; 4d 0f 48 93 30 01 00 00
cmovns rax, rbp ; 48 0f 49 c5
cmovns r12, [r9+0x130] ; 4d 0f 49 a1 30 01 00 00
cmovp rbx, rbx ; 48 0f 4a db
cmovp r15, [rdx-8] ; 4c 0f 4a 7a f8
cmovnp r13, r9 ; 4d 0f 4b e9
cmovnp r9, [rip+0x1000] ; 4c 0f 4b 0d 00 10 00 00
cmovl r13, r10 ; 4d 0f 4c ea
cmovl rsp, [r8] ; 49 0f 4c 20
cmovge rdx, r12 ; 49 0f 4d d4
cmovge rdx, [0x12345678] ; 48 0f 4d 14 25 78 56 34 12
cmovle rdx, rcx ; 48 0f 4e d1
cmovle rbp, [rcx*8+0x2000] ; 48 0f 4e 2c cd 00 20 00 00
cmovg rdx, r13 ; 49 0f 4f d5
cmovg r15, [r9*8+0x2000] ; 4e 0f 4f 3c cd 00 20 00 00

# NOP, INT3, UD2, ENDBR64, LFENCE, MFENCE, SFENCE, PAUSE
nop ; 90
nop r13w ; 66 41 0f 1f c5
nop word ptr [rsp+0x130] ; 66 0f 1f 84 24 30 01 00 00
nop r10d ; 41 0f 1f c2
nop dword ptr [rdx-8] ; 0f 1f 42 f8
int3 ; cc
ud2 ; 0f 0b
endbr64 ; f3 0f 1e fa
lfence ; 0f ae e8
mfence ; 0f ae f0
sfence ; 0f ae f8
pause ; f3 90

# As Linux 7.2 emits them: forms that are not the shortest, and no-ops of every length
xor rax, rax ; 48 31 c0
mov rbp, rsp ; 48 89 e5
sub rsp, 0x40 ; 48 81 ec 40 00 00 00
cmp rax, 0x21 ; 48 83 f8 21
mov rax, rsp ; 48 89 e0
mov rax, [rbp-0x18] ; 48 8b 85 e8 ff ff ff
cmp qword ptr [rax], 0x21 ; 48 83 38 21
mov rcx, [rsi+rdx*8+0x130] ; 48 8b 8c d6 30 01 00 00
add qword ptr [rax], 1 ; 48 83 00 01
add rsp, 8 ; 48 81 c4 08 00 00 00
mov edx, edx ; 89 d2
cmp [rsi+0x4c], edx ; 39 56 4c
mov r11, 5 ; 49 c7 c3 05 00 00 00
shl rax, 0 ; 48 c1 e0 00
nop ; 90
nop dword ptr [rax] ; 0f 1f 00
nop dword ptr [rax] ; 0f 1f 40 00
nop dword ptr [rax+rax] ; 0f 1f 44 00 00
nop word ptr [rax+rax] ; 66 0f 1f 44 00 00
nop dword ptr [rax] ; 0f 1f 80 00 00 00 00
nop dword ptr [rax+rax] ; 0f 1f 84 00 00 00 00 00
