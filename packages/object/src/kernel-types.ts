// A kernel's structures, and what programs are attached to, as the verifier wants them: from BTF.
import {
  type AttachTarget,
  BpfError,
  type KernelMember,
  type KernelStruct,
  type KernelType,
  type KernelTypes,
  type Program,
} from "@bpfkit/core";
import {
  BOOL_HOOKS,
  DISABLED_HOOKS,
  MODIFIABLE,
  NO_HOOKS,
  NULLABLE,
  SLEEPABLE,
  SLEEPABLE_HOOKS,
  SYSTEM_CALL,
  UNTRUSTED_HOOKS,
} from "./attach-facts.ts";
import type { Btf } from "./btf.ts";

/** What is counted for a structure that was asked for, and for each of its members. */
const COSTS = { struct: 128, member: 96 } as const;
const TAGS: ReadonlySet<string> = new Set(["user", "percpu", "rcu"]);
const HOOK = "bpf_lsm_";
/** Greatest error number that a function returns. */
const MAX_ERRNO = 4095;

/**
 * The structures and unions of BTF by name; those without a name, and those that share one with an earlier one, by `#` and their id. Each is
 * read when it is first asked for.
 */
export function kernelTypes(btf: Btf): KernelTypes {
  const known = new Map<string, KernelStruct | undefined>();
  return {
    struct(key) {
      let found = known.get(key);
      if (found === undefined && !known.has(key)) {
        const id = key.startsWith("#") ? Number(key.slice(1)) : structNamed(btf, key);
        found = id === undefined ? undefined : readStruct(btf, id);
        known.set(key, found);
      }
      return found;
    },
  };
}

function structNamed(btf: Btf, name: string): number | undefined {
  return btf.find(name, "struct") ?? btf.find(name, "union");
}

/** What {@link KernelTypes} calls a structure. */
function keyOf(btf: Btf, id: number): string {
  const name = btf.name(id);
  return name !== "" && structNamed(btf, name) === id ? name : `#${id}`;
}

function readStruct(btf: Btf, id: number): KernelStruct | undefined {
  const type = btf.type(id);
  if (type.kind !== "struct" && type.kind !== "union") return undefined;
  btf.reserve(COSTS.struct + COSTS.member * type.members.length, "structures of BTF");
  const members = type.members.map(({ name, type: of, bitOffset, bitSize }): KernelMember => {
    const bits = bitSize === 0 ? {} : { bits: bitSize };
    return { name, bit: bitOffset, ...bits, type: readType(btf, of) };
  });
  return { name: type.name, ...(type.kind === "union" ? { union: true } : {}), size: type.size, members };
}

function readType(btf: Btf, of: number): KernelType {
  const id = btf.resolve(of);
  const kind = btf.kind(id);
  switch (kind) {
    case "struct":
    case "union":
      return { kind: "struct", struct: keyOf(btf, id) };
    case "ptr":
      return readPointer(btf, btf.target(id));
    case "array": {
      const type = btf.type(id);
      return type.kind === "array"
        ? { kind: "array", count: type.length, of: readType(btf, type.element) }
        : { kind: "address" };
    }
    case "int":
    case "enum":
    case "enum64":
    case "float":
      return { kind: "number", size: btf.size(id), signed: btf.isSigned(id) };
    default:
      return { kind: "address" };
  }
}

function readPointer(btf: Btf, target: number): KernelType {
  const id = btf.resolve(target);
  const kind = btf.kind(id);
  if (kind !== "struct" && kind !== "union") return { kind: "address" };
  const tag = btf.kind(target) === "type_tag" && TAGS.has(btf.name(target)) ? btf.name(target) : undefined;
  return {
    kind: "pointer",
    to: keyOf(btf, id),
    ...(tag === undefined ? {} : { tag: tag as "user" | "percpu" | "rcu" }),
  };
}

/**
 * What a program of a tracing, security or struct_ops type is attached to, from a kernel's BTF. Undefined for programs of other types, and for
 * those that name no target. Targets are named as in sections: `do_exit`, `file_open` of a security hook (with or without `bpf_lsm_`),
 * `sched_switch` of a raw tracepoint, `task` of an iterator (with or without `bpf_iter_`), `tcp_congestion_ops.ssthresh`.
 *
 * BTF does not tell which functions may be modified or sleep, which arguments of tracepoints can be null, and what hooks return: that comes from
 * lists of names. A function that is not in them is taken to be neither modifiable nor to sleep.
 *
 * @throws {BpfError} `unknown-symbol` where BTF has no such target
 */
export function attachTarget(
  btf: Btf,
  program: Pick<Program, "type" | "attachType"> & { readonly target?: string },
): AttachTarget | undefined {
  const { type, attachType, target } = program;
  if (target === undefined || attachType?.endsWith("_multi") === true) return undefined;
  if (type === "struct_ops") return memberTarget(btf, target);
  if (type === "lsm") return hookTarget(btf, target.startsWith(HOOK) ? target.slice(HOOK.length) : target);
  if (type !== "tracing") return undefined;
  if (attachType === "trace_raw_tp") return tracepointTarget(btf, target);
  if (attachType === "trace_iter")
    return iteratorTarget(btf, target.startsWith("bpf_iter_") ? target : `bpf_iter_${target}`);
  const name = target;
  return {
    ...prototypeOf(btf, name, btf.target(found(btf, name, "func"))),
    modifiable: name.startsWith("security_") || MODIFIABLE.has(name),
    sleepable: SLEEPABLE.has(name),
    ...(SYSTEM_CALL.test(name) ? { systemCall: true } : {}),
  };
}

function found(btf: Btf, name: string, kind: "func" | "typedef" | "struct"): number {
  const id = btf.find(name, kind);
  if (id === undefined) throw new BpfError("unknown-symbol", `no ${kind} ${name} in the kernel's BTF`);
  return id;
}

/** Arguments and result of a prototype; `skip` leaves the first ones out. */
function prototypeOf(btf: Btf, name: string, id: number, skip: number = 0): AttachTarget {
  const proto = btf.type(id);
  if (proto.kind !== "func_proto") throw new BpfError("malformed", `${name} has no prototype`);
  const args = proto.params.slice(skip).map((param): KernelType => {
    const type = readType(btf, param.type);
    return type.kind === "pointer" && param.name.endsWith("__nullable") ? { ...type, nullable: true } : type;
  });
  return { name, args, ...(proto.returns === 0 ? {} : { result: readType(btf, proto.returns) }) };
}

function hookTarget(btf: Btf, hook: string): AttachTarget {
  const name = `${HOOK}${hook}`;
  const id = btf.find(name, "func");
  if (id === undefined) {
    const other = found(btf, hook, "func");
    return { name: hook, args: [], refusal: `attach_btf_id ${other} points to wrong type name ${hook}` };
  }
  const target = prototypeOf(btf, name, btf.target(id));
  const wrong = NO_HOOKS.has(hook) ? "wrong type name" : DISABLED_HOOKS.has(hook) ? "disabled hook" : undefined;
  const returns = BOOL_HOOKS.has(hook) ? { min: 0, max: 1 } : { min: -MAX_ERRNO, max: 0 };
  return {
    ...target,
    sleepable: SLEEPABLE_HOOKS.has(hook),
    ...(target.result === undefined ? {} : { returns }),
    ...(UNTRUSTED_HOOKS.has(hook) ? { untrusted: true } : {}),
    ...(wrong === undefined ? {} : { refusal: `attach_btf_id ${id} points to ${wrong} ${name}` }),
  };
}

/** Of the type of a tracepoint's probe, whose first argument is the probe's own. */
function tracepointTarget(btf: Btf, name: string): AttachTarget {
  const typedef = btf.resolve(found(btf, `btf_trace_${name}`, "typedef"));
  const target = prototypeOf(btf, name, btf.resolve(btf.target(typedef)), 1);
  const nullable = NULLABLE[name] ?? [];
  return { ...target, args: target.args.map((arg, i) => (nullable.includes(i) ? orNull(arg) : arg)) };
}

const orNull = (type: KernelType): KernelType => (type.kind === "pointer" ? { ...type, nullable: true } : type);

/** At the end of an iteration there is no element: what follows the first argument is null then, keys and values are memory of a map. */
function iteratorTarget(btf: Btf, name: string): AttachTarget {
  const func = btf.type(found(btf, name, "func"));
  const target = prototypeOf(btf, name, func.kind === "func" ? func.type : 0);
  const proto = btf.type(func.kind === "func" ? func.type : 0);
  const params = proto.kind === "func_proto" ? proto.params : [];
  const ofMap = params.some((param) => param.name === "map") && params.length > 2;
  const args = target.args.map((arg, i): KernelType => {
    const param = params[i]!.name;
    if (arg.kind === "address" && ofMap) return { kind: "buffer", readOnly: param === "key", nullable: true };
    return i === 0 || (ofMap && param === "map") ? arg : orNull(arg);
  });
  return { ...target, args };
}

/** A member of a structure of functions; what its stub calls an argument counts, too. */
function memberTarget(btf: Btf, text: string): AttachTarget | undefined {
  const [ops = "", member] = text.split(".");
  if (member === undefined) return undefined;
  const type = btf.type(found(btf, ops, "struct"));
  const of = type.kind === "struct" ? type.members.find(({ name }) => name === member) : undefined;
  const pointer = of === undefined ? 0 : btf.resolve(of.type);
  const proto = pointer !== 0 && btf.kind(pointer) === "ptr" ? btf.resolve(btf.target(pointer)) : 0;
  if (btf.kind(proto) !== "func_proto") throw new BpfError("unknown-symbol", `no function ${text} in the kernel's BTF`);
  const target = prototypeOf(btf, member, proto);
  const stub = btf.find(`${ops}__${member}`, "func");
  const stubbed = stub === undefined ? undefined : prototypeOf(btf, member, btf.target(stub));
  const isTcp = ops === "tcp_congestion_ops";
  return {
    ...target,
    args: target.args.map((arg, i) => {
      if (arg.kind !== "pointer") return arg;
      const given = stubbed?.args[i];
      const nullable = given?.kind === "pointer" && given.nullable === true ? { nullable: true } : {};
      // Congestion control works on sockets that are TCP's.
      return { ...arg, ...nullable, ...(isTcp && arg.to === "sock" ? { to: "tcp_sock" } : {}) };
    }),
  };
}
