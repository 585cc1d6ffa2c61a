#!/bin/sh
# Rebuilds the objects beside it: clang 19, llvm-strip 19 and, for linked.o, bpftool 7. The objects are committed; no test runs this.
# What other tools say about some of them goes to ../golden.
set -e
cd "$(dirname "$0")"

compile() { # source, object, instruction set, more flags
  clang-19 -O2 -g -Wall -Wno-unused -fdebug-compilation-dir=. -target bpf -mcpu="$3" $4 -c "$1.c" -o "$2.o"
}
bare() { llvm-strip-19 -g "$1.o"; } # drops DWARF, keeps BTF

for name in sections subprogs order callbacks maps globals kfunc core types kconfig inner legacy slots signatures; do
  compile $name $name v3
  bare $name
done
for isa in v1 v3 v4; do
  compile isa isa-$isa $isa
  bare isa-$isa
done
compile xdp xdp v3 # keeps DWARF
compile xdp lineless v3
bare lineless
llvm-objcopy-19 --remove-section=.BTF.ext --remove-section=.rel.BTF.ext lineless.o
compile subprogs no-btf v3 -g0
compile xdp xdp-no-btf v3 -g0
bpftool gen object linked.o xdp.o callbacks.o

for name in callbacks globals order xdp; do
  bpftool gen skeleton -L $name.o | node libbpf.mjs >../golden/$name.libbpf.hex
done
for name in types linked kfunc; do
  bpftool btf dump file $name.o >../golden/$name.btf.txt
done
for name in xdp linked subprogs; do
  llvm-objdump-19 -d -l --no-show-raw-insn $name.o >../golden/$name.objdump.txt
done
for name in callbacks globals maps; do
  llvm-readelf-19 -W -S -s -r $name.o >../golden/$name.readelf.txt
done
