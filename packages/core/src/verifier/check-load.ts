// What a program, its type and its maps must be before any path is walked.
import { MAP_TYPES } from "../isa/maps.ts";
import type { Program } from "../program.ts";
import type { AttachTarget } from "../spec/kernel-types.ts";
import { mapType } from "../spec/map-types.ts";
import type { ProgramTypeSpec } from "../spec/program-types.ts";
import { isGplCompatible } from "./license.ts";
import { Errno, Refusal } from "./refusal.ts";

/** Program types that may sleep. */
const SLEEPABLE: ReadonlySet<string> = new Set(["tracing", "lsm", "kprobe", "struct_ops", "syscall"]);
const OLD_SLEEP = "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable";
const TRACING: ReadonlySet<string> = new Set([
  "kprobe",
  "tracepoint",
  "perf_event",
  "raw_tracepoint",
  "raw_tracepoint_writable",
]);

/** @throws {Refusal} */
export function checkLoad(program: Program, type: ProgramTypeSpec, modern: boolean): void {
  const refuse = (text: string): never => {
    throw new Refusal(Errno.EINVAL, [text]);
  };
  if (type.name === "syscall" && program.sleepable !== true) refuse("Syscall programs can only be sleepable");
  if (program.sleepable === true && !SLEEPABLE.has(type.name) && !(modern && type.name === "raw_tracepoint"))
    refuse(modern ? "Program of this type cannot be sleepable" : OLD_SLEEP);
  if (type.name === "lsm" && !isGplCompatible(program.license))
    refuse("LSM programs must have a GPL compatible license");
  if (!isGplCompatible(program.license) && callsKernel(program))
    refuse("cannot call kernel function from non-GPL compatible program");
  for (const map of program.maps) {
    const sleeps = mapType(map.type)?.sleepable !== false || (modern && map.type === MAP_TYPES.prog_array);
    const isNewer = map.type === MAP_TYPES.lpm_trie || map.type === MAP_TYPES.prog_array;
    if (program.sleepable === true && (!sleeps || (!modern && isNewer)))
      refuse("Sleepable programs can only use array, hash, ringbuf and local storage maps");
    if (!modern && map.fields?.timer !== undefined && TRACING.has(type.name))
      refuse("tracing progs cannot use bpf_timer yet");
    if (map.fields?.spin_lock === undefined) continue;
    if (type.name === "socket_filter") refuse("socket filter progs cannot use bpf_spin_lock yet");
    if (TRACING.has(type.name)) refuse("tracing progs cannot use bpf_spin_lock yet");
  }
}

const [CALL, PSEUDO_KFUNC] = [0x85, 2];

function callsKernel({ insns }: Program): boolean {
  for (let i = 0; i < insns.length; i += insns.width(i))
    if (insns.code(i) === CALL && insns.src(i) === PSEUDO_KFUNC) return true;
  return false;
}

/** Whether a program may be attached to its target. @throws {Refusal} */
export function checkTarget({ attachType, sleepable }: Program, target: AttachTarget, modern: boolean): void {
  const { name } = target;
  const isOpen = modern && target.systemCall === true;
  if (target.refusal !== undefined) throw new Refusal(Errno.EINVAL, [target.refusal]);
  if (sleepable === true && target.sleepable === false && !isOpen)
    throw new Refusal(Errno.EINVAL, [`${name} is not sleepable`]);
  if (attachType === "modify_return" && target.modifiable === false && !isOpen)
    throw new Refusal(Errno.EINVAL, [`${name}() is not modifiable`]);
}
