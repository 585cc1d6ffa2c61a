import { readFileSync } from "node:fs";
import { jit, verified } from "@bpfkit/core";
import { Lockstep } from "@bpfkit/kernel";
import { loadObject } from "@bpfkit/object";
import { x86_64 } from "@bpfkit/x86-64";

const object = loadObject(readFileSync("examples/firewall/firewall.bpf.o"));
const lockstep = new Lockstep({ engine: jit(x86_64), disassemble: x86_64.disassemble });
const firewall = lockstep.load(verified(object.programs[0]!));
const { subject, boundaries, difference } = firewall.run({ data: new Uint8Array(60) });
console.log(subject.returnValue, boundaries, difference?.listing ?? "equal");
