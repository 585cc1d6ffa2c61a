// Functions of real kernels, what is known of their calls, and what makes a kernel call them.
import { assemble, parseFuncModel } from "@bpfkit/core";
import { caseOf, hex } from "./kernel.mjs";
import { TARGETS } from "./trampoline-targets.mjs";

/** An argument or result that differs from boot to boot: only where it is the same one again is looked at. */
const ANY = undefined;
/** One that says nothing: a register that the caller left as it was. */
const JUNK = null;

/**
 * A function: its model, what it is called with, word by word, and what it returns (a number, or of its arguments and memory). `bits` are those of words
 * that do not mean all that the model says, `like` numbers that could be those of an argument that differs,
 * `decides` that programs may decide its result.
 */
function fn(model, args, result, { bits: own = {}, like = {}, decides = false } = {}) {
  const parsed = parseFuncModel(model);
  const bits = parsed.args.flatMap(({ size }) => (size > 8 ? [64, 8 * (size - 8)] : [8 * size]));
  for (const [word, count] of Object.entries(own)) bits[word] = count;
  const signs = parsed.args.flatMap(({ size, signed }) => (size > 8 ? [false, false] : [signed]));
  return { model: parsed, bits, signs, args, like, decides, result };
}

const sum = (args) => args.reduce((total, value) => total + value, 0n);

/** The functions of `net/bpf/test_run.c`, which the kernel has for this. */
export const TEST_FUNCTIONS = {
  bpf_fentry_test1: fn("int (int)", [1n], ([a]) => a + 1n, { decides: true }),
  bpf_fentry_test2: fn("int (int, u64)", [2n, 3n], sum),
  bpf_fentry_test3: fn("int (char, int, u64)", [4n, 5n, 6n], sum),
  bpf_fentry_test4: fn("int (void *, char, int, u64)", [7n, 8n, 9n, 10n], sum),
  bpf_fentry_test5: fn("int (u64, void *, short, int, u64)", [11n, 12n, 13n, 14n, 15n], sum),
  bpf_fentry_test6: fn("int (u64, void *, short, int, void *, u64)", [16n, 17n, 18n, 19n, 20n, 21n], sum),
};

function modify([a, b, ...rest], memory) {
  memory.store(4, b, memory.load(4, b) + 1n);
  return sum([a, memory.load(4, b), ...rest]);
}

export const MODIFIED = {
  bpf_modify_return_test: fn("int (int, int *)", [1n, ANY], modify, { decides: true }),
  bpf_modify_return_test2: fn(
    "int (int, int *, short, int, void *, char, int)",
    [1n, ANY, 3n, 4n, 5n, 6n, 7n],
    modify,
    { decides: true },
  ),
};

const NOTHING = { ...assemble("r0 = 0\nexit"), name: "nothing" };
const tracing = (kind, name, rest) =>
  caseOf(NOTHING, { type: "tracing", flags: 0, expected_attach_type: ATTACH[kind], attach_btf: name, ...rest });
/** `expected_attach_type`. */
const ATTACH = { fentry: 24, fmod_ret: 26 };

const EFAULT = 14;
const ranWith = ([{ runs }]) => `errno ${runs[0].errno}, ${runs[0].retval}`;

/** What makes functions run: `cases` in a guest and what `seen` finds in their results, `calls` the same here. */
export const TESTS = {
  functions: () => TEST_FUNCTIONS,
  cases: () => [tracing("fentry", "bpf_fentry_test1", { runs: [{}] })],
  seen: ranWith,
  calls(call) {
    for (const [name, { args, result }] of Object.entries(TEST_FUNCTIONS)) {
      if (BigInt.asIntN(32, call(name, args)) !== result(args)) return `errno ${EFAULT}, 0`;
    }
    return "errno 0, 0";
  },
};

/** A test run of `fmod_ret`: the results' sum, and in the upper half how many of the functions had their effect. */
export const MODIFY = {
  functions: () => MODIFIED,
  cases: () => [tracing("fmod_ret", "bpf_modify_return_test", { runs: [{}] })],
  seen: ranWith,
  calls(call, memory, scratch) {
    let [total, effects] = [0n, 0n];
    for (const [name, { args }] of Object.entries(MODIFIED)) {
      memory.store(4, scratch, 2n);
      total += call(name, args.with(1, scratch));
      if (memory.load(4, scratch) !== 2n) effects++;
    }
    return `errno 0, ${(effects << 16n) | BigInt.asUintN(16, total)}`;
  },
};

/** A program, or what makes one, that the kernel looks at or runs. */
const program = (text, type = "syscall", rest = {}) =>
  caseOf({ ...assemble(text, { type, kfuncs: KFUNCS }), name: "trigger" }, rest);
const KFUNCS = ["bpf_iter_num_new", "bpf_iter_num_destroy", "bpf_task_from_pid", "bpf_task_release"];
const reloc = (insn, name) => ({ insn, name });

/**
 * Functions of the kernel itself, by version where they differ, each with what calls it once so that its arguments are known: a case, and what is
 * found in its result. Where other calls could come in between, links have a `guard`.
 */
function one(name, functions, { cases, seen = () => "", guard, ours = () => "" }) {
  return {
    name,
    guard,
    trigger: {
      functions: (version) => ({ [name]: functions[version] ?? functions.all }),
      cases: () => cases,
      seen,
      calls(call, _memory, _scratch, version) {
        const { args, model } = functions[version] ?? functions.all;
        const { size, signed } = model.result;
        const value = call(name, args);
        return ours((signed ? BigInt.asIntN : BigInt.asUintN)(8 * size, value));
      },
    },
  };
}

const verdict = ([result]) => result.verdict;
const returned = ([{ runs, log }]) => `${runs === undefined ? log : runs[0].retval | 0}`;
const BADF = 9;
const MAP_FREEZE = 22;
/** Freezes a map that is not there. */
const FREEZE = [
  program(
    `*(u32 *)(r10 - 48) = -1\n*(u32 *)(r10 - 44) = 0\n${[8, 16, 24, 32, 40].map((at) => `*(u64 *)(r10 - ${at}) = 0`).join("\n")}\nr1 = ${MAP_FREEZE}\nr2 = r10\nr2 += -48\nr3 = 48\ncall 166\nexit`,
    "syscall",
    { runs: [{ repeat: 0 }] },
  ),
];
const STORE = [program("*(u64 *)(r10 - 88) = 7\nr0 = 0\nexit", "socket_filter")];
const LARGE = 9 << 20;
const MAP_ARRAY = 2;
/** More than the guest's C library takes from its heap. */
const OUT = 40 << 20;
const loaded = (insns) => ({ cases: insns, seen: verdict, ours: () => "accept" });

export const KERNEL_FUNCTIONS = [
  one(
    "__sys_bpf",
    {
      7.2: fn("int (int, struct{u64,u64}, u32, struct{u64,u64}, u32)", [22n, ANY, 1n, 48n, 0n, 1n, 0n], -9n, {
        bits: { 2: 1, 5: 1 },
      }),
      6.12: fn("int (int, struct{u64,u64}, u32)", [22n, ANY, 1n, 48n], -9n, { bits: { 2: 1 } }),
    },
    { cases: FREEZE, seen: returned, ours: (value) => `${value}`, guard: { word: 0, value: MAP_FREEZE } },
  ),
  one(
    "bpf_strtol",
    { all: fn("u64 (u64, u64, u64, u64, u64)", [ANY, 4n, 10n, ANY, 0x1122334455667788n], 3n) },
    {
      cases: [
        program(
          "*(u32 *)(r10 - 4) = 0x0032312d\n*(u64 *)(r10 - 16) = 0\nr1 = r10\nr1 += -4\nr2 = 4\nr3 = 10\nr4 = r10\nr4 += -16\nr5 = 0x1122334455667788 ll\ncall 105\nexit",
          "syscall",
          { runs: [{ repeat: 0 }] },
        ),
      ],
      seen: returned,
      ours: (value) => `${value}`,
    },
  ),
  one(
    "bpf_iter_num_new",
    { all: fn("int (void *, int, int)", [ANY, -7n, 5n], 0n) },
    {
      cases: [
        program(
          "r1 = r10\nr1 += -8\nr2 = -7\nr3 = 5\ncall bpf_iter_num_new\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = 0\nexit",
          "syscall",
          { runs: [{ repeat: 0 }], relocs: [reloc(4, KFUNCS[0]), reloc(7, KFUNCS[1])] },
        ),
      ],
      seen: returned,
      ours: () => "0",
    },
  ),
  one(
    "bpf_task_from_pid",
    { all: fn("void * (int)", [-3n], 0n) },
    {
      cases: [
        program(
          "r1 = -3\ncall bpf_task_from_pid\nif r0 == 0 goto +3\nr1 = r0\ncall bpf_task_release\nr0 = 1\nexit",
          "syscall",
          { runs: [{ repeat: 0 }], relocs: [reloc(1, KFUNCS[2]), reloc(4, KFUNCS[3])] },
        ),
      ],
      seen: returned,
      ours: (value) => `${value}`,
    },
  ),
  one(
    "__udp4_lib_lookup",
    {
      7.2: fn(
        "void * (void *, u32, u16, u32, u16, int, int, void *)",
        [ANY, 0x04030201n, 0x3412n, 0x08070605n, 0x7856n, 1n, 0n, 0n],
        0n,
      ),
      6.12: fn(
        "void * (void *, u32, u16, u32, u16, int, int, void *, void *)",
        [ANY, 0x04030201n, 0x3412n, 0x08070605n, 0x7856n, 1n, 0n, ANY, 0n],
        0n,
      ),
    },
    {
      cases: [
        program(
          "r6 = r1\nr1 = 0x0807060504030201 ll\n*(u64 *)(r10 - 16) = r1\n*(u64 *)(r10 - 8) = 0x78563412\nr2 = r10\nr2 += -16\nr3 = 12\nr4 = -1\nr5 = 0\nr1 = r6\ncall 85\nif r0 == 0 goto +3\nr1 = r0\ncall 86\nr0 = 1\nexit",
          "sched_cls",
          { runs: [{ data: hex(new Uint8Array(64)) }] },
        ),
      ],
      seen: returned,
      ours: (value) => `${value}`,
    },
  ),
  one(
    "check_mem_access",
    {
      7.2: fn(
        "int (void *, int, void *, struct 4, int, int, int, int, bool, bool)",
        [ANY, 0n, ANY, 10n, -88n, 24n, 2n, -1n, 0n, 0n],
        0n,
      ),
      6.12: fn(
        "int (void *, int, u32, int, int, int, int, bool, bool)",
        [ANY, 0n, 10n, -88n, 24n, 2n, -1n, 0n, 0n],
        0n,
      ),
    },
    { ...loaded(STORE), guard: { 7.2: { word: 4, value: -88 }, 6.12: { word: 3, value: -88 } } },
  ),
  one(
    "tnum_is_aligned",
    { all: fn("bool (struct{u64,u64}, u64)", [-88n, 0n, 8n], 1n) },
    { ...loaded(STORE), guard: { word: 0, value: -88 } },
  ),
  one(
    "tnum_overlap",
    { all: fn("bool (struct{u64,u64}, struct{u64,u64})", [0n, 0xf0n, 0x33n, 0n], 0n) },
    {
      ...loaded([program("call 7\nr0 &= 0xf0\nif r0 == 0x33 goto +1\nr0 = 1\nr0 = 0\nexit")]),
      guard: { word: 1, value: 0xf0 },
    },
  ),
  one(
    "__vmalloc_node_range_noprof",
    {
      all: fn(
        "void * (u64, u64, u64, u64, u32, struct{u64}, u64, int, void *)",
        [ANY, 1n, ANY, ANY, ANY, ANY, 0n, -1n, ANY],
        ANY,
        { like: { 0: BigInt(LARGE) } },
      ),
    },
    { cases: [{ name: "map", maps: [{ type: MAP_ARRAY, value: LARGE }] }], guard: { word: 0, atLeast: LARGE } },
  ),
  one(
    "do_mmap",
    {
      all: fn(
        "u64 (void *, u64, u64, u64, u64, u64, u64, void *, void *)",
        [0n, 0n, BigInt(OUT + 4096), 3n, 0x22n, 0n, 0n, ANY, ANY],
        ANY,
      ),
    },
    {
      cases: [program("r0 = 0\nexit", "sched_cls", { runs: [{ data: hex(new Uint8Array(64)), out: OUT }] })],
      guard: { word: 2, value: OUT + 4096 },
    },
  ),
  one(
    "bpf_log_attr_init",
    {
      7.2: fn(
        "int (void *, u64, u32, u32, u32, struct{u64,u64}, void *, struct{u64,u64}, u32)",
        [ANY, ANY, 1n << 24n, 2n, ANY, ANY, 0n, ANY, JUNK, 0n, JUNK],
        0n,
        { bits: { 6: 1, 9: 1 } },
      ),
    },
    { ...loaded([program("r0 = 0\nexit", "socket_filter", { log_level: 2 })]), guard: { word: 3, value: 2 } },
  ),
  one(
    "get_kfunc_ptr_arg_type",
    {
      7.2: fn(
        "int (void *, void *, void *, void *, void *, void *, void *, void *, int, int, struct 4, void *)",
        [ANY, ANY, ANY, ANY, ANY, ANY, ANY, ANY, 0n, 3n, ANY, ANY],
        ANY,
        { like: { 1: 0xffff888100abc000n, 2: 0xffff888100abc000n } },
      ),
    },
    {
      ...loaded([
        program(
          "r1 = r10\nr1 += -8\nr2 = -7\nr3 = 5\ncall bpf_iter_num_new\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = 0\nexit",
          "syscall",
          { relocs: [reloc(4, KFUNCS[0]), reloc(7, KFUNCS[1])] },
        ),
      ]),
      guard: { word: 9, value: 3 },
    },
  ),
];

/** Functions whose results programs may decide, and what comes of that. */
export const DECIDED = [
  one(
    "security_bpf",
    {
      7.2: fn("int (int, void *, u32, bool)", [22n, ANY, 48n, 1n], 0n, { decides: true }),
      6.12: fn("int (int, void *, u32)", [22n, ANY, 48n], 0n, { decides: true }),
    },
    {
      cases: FREEZE,
      seen: returned,
      ours: (value) => `${value === 0n ? -BADF : value}`,
      guard: { word: 0, value: MAP_FREEZE },
    },
  ),
  one(
    "security_file_open",
    { all: fn("int (void *)", [ANY], 0n, { decides: true }) },
    {
      cases: [{ name: "read", readfile: "/proc/version" }],
      seen: ([{ file_errno }]) => `${file_errno ?? 0}`,
      ours: (value) => `${-value}`,
    },
  ),
];

/** A subprogram of a BPF program, which is run once. */
function subprog(target, name, described) {
  const { main } = TARGETS[target];
  return {
    name,
    trigger: {
      target,
      functions: () => ({ [name]: { ...described, target: { program: main.program.name, id: main.ids[name] } } }),
      cases: () => [],
      seen: () => "",
    },
  };
}

const SMALL_NUMBERS = [-5n, 0x1122334455667788n, -300n, -7n, 123456n];
export const SUBPROGS = [
  subprog("small numbers", "g", fn("int (int, u64, short, char, int)", SMALL_NUMBERS, 0n)),
  subprog("no types", "g", fn("u64 (u64, u64, u64, u64, u64)", SMALL_NUMBERS, 0n)),
  subprog("tail calls", "t", fn("int (void *)", [ANY], 0n)),
];
