// Trampolines of a real kernel beside ours: bytes and instructions for functions of many models, with addresses left out.
import { parseFuncModel } from "@bpfkit/core";
import { askKernel, guestOf } from "./kernel.mjs";

/** Kernel functions that can be traced, with their models: structs by their size. */
const TRACED = {
  bpf_fentry_test1: "int (int)",
  bpf_fentry_test2: "int (int, u64)",
  bpf_fentry_test3: "int (char, int, u64)",
  bpf_fentry_test4: "int (void *, char, int, u64)",
  bpf_fentry_test5: "int (u64, void *, short, int, u64)",
  bpf_fentry_test6: "int (u64, void *, short, int, void *, u64)",
  bpf_modify_return_test2: "int (int, int *, short, int, void *, char, int)",
  from_kuid: "u32 (void *, struct 4)",
  sk_setsockopt: "int (void *, int, int, struct 16, u32)",
  do_sock_setsockopt: "int (void *, bool, int, int, struct 16, int)",
  tnum_overlap: "bool (struct 16, struct 16)",
  __sys_bpf: "int (int, struct 16, u32, struct 16, u32)",
  __vmalloc_node_range_noprof: "void * (u64, u64, u64, u64, u32, struct 8, u64, int, void *)",
  check_mem_access: "int (void *, int, void *, struct 4, int, int, int, int, bool, bool)",
  bpf_log_attr_init: "int (void *, u64, u32, u32, u32, struct 16, void *, struct 16, u32)",
  get_kfunc_ptr_arg_type:
    "int (void *, void *, void *, void *, void *, void *, void *, void *, int, int, struct 4, void *)",
  ip_append_data: "int (void *, void *, void *, void *, int, int, void *, void *, u32)",
  ip_make_skb: "void * (void *, void *, void *, void *, int, int, void *, void *, void *, u32)",
};

/** Functions whose result programs may decide. */
const DECIDED = {
  bpf_modify_return_test: "int (int, int *)",
  bpf_modify_return_test2: TRACED.bpf_modify_return_test2,
  security_file_open: "int (void *)",
  security_kernel_read_file: "int (void *, int, bool)",
  security_socket_create: "int (int, int, int, int)",
  security_sb_mount: "int (void *, void *, void *, u64, void *)",
  security_inode_setxattr: "int (void *, void *, void *, void *, u64, int)",
};

/** `expected_attach_type` of each kind of link. */
const ATTACH = { fentry: 24, fexit: 25, fmod_ret: 26, fsession: 58 };
/** The harness' words: attach, attach with its cookie, leave it attached. */
const [ONCE, WITH_COOKIE, STAY] = [1, 3, 17];
const COOKIE = 0x1122334455667788n;

const MOV_R0_0 = [0xb7, 0, 0, 0, 0];
const EXIT = [0x95, 0, 0, 0, 0];
const CALL_FUNC_IP = [0x85, 0, 0, 0, 173];
/** A session has a word of its own only where its program asks for it, by this kfunc. */
const CALL_KFUNC = [0x85, 0, 2, 0, 0];
const SESSION_WORD = [{ insn: 0, name: "bpf_session_cookie" }];

/** What is looked at: a function with links, the last of which is attached when the image is read. */
const SUBJECTS = [
  ...Object.keys(TRACED).flatMap((name) => [one(name, "fentry"), one(name, "fexit")]),
  ...Object.keys(DECIDED).map((name) => one(name, "fmod_ret")),
  one("bpf_fentry_test1", "fsession"),
  one("bpf_fentry_test6", "fsession"),
  { ...one("bpf_fentry_test1", "fentry"), title: "its address", funcIp: true },
  { ...one("bpf_fentry_test1", "fexit"), title: "its address", funcIp: true },
  { ...one("bpf_fentry_test1", "fentry"), title: "a cookie", cookie: COOKIE },
  { name: "bpf_fentry_test2", links: ["fentry", "fentry", "fexit"] },
  { name: "bpf_fentry_test3", links: ["fexit", "fexit", "fsession"] },
  { name: "bpf_modify_return_test", links: ["fentry", "fmod_ret", "fexit"] },
  { name: "bpf_modify_return_test", links: ["fmod_ret", "fmod_ret", "fexit"] },
  { name: "bpf_modify_return_test2", links: ["fmod_ret", "fexit"] },
  { name: "bpf_modify_return_test2", links: ["fsession", "fmod_ret"] },
  { name: "bpf_fentry_test2", links: ["fsession", "fsession"] },
  one("get_kfunc_ptr_arg_type", "fsession"),
];

function one(name, kind) {
  return { name, links: [kind] };
}

const titleOf = ({ name, links, title }) => `${name}, ${links.join("+")}${title === undefined ? "" : `, ${title}`}`;

/** The cases of a subject; the last but one, or the only one, brings the image. */
function casesOf(subject) {
  const { name, links, funcIp, cookie } = subject;
  const first = (kind) => (kind === "fsession" ? [CALL_KFUNC] : funcIp ? [CALL_FUNC_IP] : []);
  const isOne = links.length === 1;
  const attach = cookie !== undefined ? WITH_COOKIE : isOne ? ONCE : STAY;
  const cases = links.map((kind, i) => ({
    name: `${titleOf(subject)} #${i}`,
    type: "tracing",
    license: "GPL",
    expected_attach_type: ATTACH[kind],
    attach_btf: name,
    attach,
    insns: [...first(kind), MOV_R0_0, EXIT],
    relocs: kind === "fsession" ? SESSION_WORD : [],
  }));
  return isOne ? cases : [...cases, { name: "detach", drop_links: 1 }];
}

/** By architecture: the last instruction of a kernel's image, and one instruction or a run of them without addresses. */
const TEXT = {
  "x86-64": {
    isEnd: (lines, i) => lines[i].text === "ret" && lines[i + 1]?.bytes[0] === 0xcc,
    /** Nops that only fill up are left out; a site has five bytes. */
    tokens(lines) {
      return lines.flatMap(({ bytes, text }) => {
        const isFill = (text.startsWith("nop") && bytes.length !== 5) || /^\.byte 0x(66|2e)$/.test(text);
        if (isFill) return [];
        if (text.startsWith("call 0x")) return ["call"];
        if (bytes.length === 10 && text.startsWith("mov rdi")) return ["mov rdi, ADDRESS"];
        // where the kernel's text is, addresses are sign-extended
        if (/^mov rax, (0x?0?|-0x[0-9a-f]{8})$/.test(text) && bytes.length >= 7) return ["mov rax, ADDRESS"];
        return [relative(text)];
      });
    },
  },
  arm64: {
    isEnd: (lines, i) => /^ret x(9|10)$/.test(lines[i].text) && /^mov x30, x9$/.test(lines[i - 1]?.text ?? ""),
    tokens(lines) {
      const tokens = [];
      for (let i = 0; i < lines.length; i++) {
        const { text } = lines[i];
        const [, register] = /^mov (x0|x10|x19), #/.exec(text) ?? [];
        const length = register === undefined ? 0 : run(lines, i + 1, (next) => next.startsWith(`movk ${register}, `));
        const isMark = register === "x10" && length < 2; // func_meta at exit
        if (text.startsWith("bl ")) tokens.push("bl");
        else if (length > 0 && !isMark) {
          tokens.push(`mov ${register}, ADDRESS`);
          i += length;
        } else tokens.push(relative(text));
      }
      return tokens;
    },
  },
  /** The kernel makes addresses of any length, and calls what is near by one instruction; ours have one form. */
  riscv64: {
    isEnd: (lines, i) => /^(ret|jr t0)$/.test(lines[i].text),
    tokens(lines) {
      const tokens = [];
      for (let i = 0; i < lines.length; i++) {
        const { text } = lines[i];
        const [, register] = /^(?:li|lui|auipc) (a0|t1), /.exec(text) ?? [];
        const own = new RegExp(`^(addi|addiw|slli|mv|sext\\.w) ${register}, ${register}\\b`);
        const length = register === undefined ? 0 : run(lines, i + 1, (next) => own.test(next));
        if (text.startsWith("auipc t1") && /^jalr .*t1/.test(lines[i + 1]?.text ?? "")) {
          tokens.push("call");
          i++;
        } else if (/^jal( ra,)? /.test(text)) tokens.push("call");
        else if (register === "a0" || (register === "t1" && text.startsWith("auipc"))) {
          tokens.push(`${register} = ADDRESS`);
          i += length;
        } else tokens.push(relative(text));
      }
      return tokens;
    },
  },
};

/** How many lines from `at` on are as wanted. */
function run(lines, at, wanted) {
  let length = 0;
  while (lines[at + length] !== undefined && wanted(lines[at + length].text)) length++;
  return length;
}

/** Targets of branches inside as distances, whose length is not compared: what lies between may differ, and is seen there. */
const relative = (text) => text.replace(/^((?:j[a-z]+|b[a-z.]*|cbn?z|adr) (?:[a-z0-9]+, )*)-?0x[0-9a-f]+$/, "$1→");

/** `{ bytes, tokens }` of the code up to its end. */
function read(backend, code, isWhole) {
  const { isEnd, tokens } = TEXT[backend.arch];
  const lines = [...backend.disassemble(code)];
  const end = isWhole ? lines.length - 1 : lines.findIndex((_, i) => isEnd(lines, i));
  if (end < 0) return undefined;
  const used = lines.slice(0, end + 1);
  return { bytes: used.at(-1).offset + used.at(-1).bytes.length, tokens: tokens(used) };
}

/** What has to be left out of `theirs` and put in from `ours` to make one the other: a longest common subsequence decides. */
function differ(theirs, ours) {
  const [n, m] = [theirs.length, ours.length];
  const longest = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--) {
    for (let k = m - 1; k >= 0; k--) {
      const [down, right] = [longest[i + 1][k], longest[i][k + 1]];
      longest[i][k] = theirs[i] === ours[k] ? longest[i + 1][k + 1] + 1 : Math.max(down, right);
    }
  }
  const changes = [];
  for (let [i, k] = [0, 0]; i < n || k < m; ) {
    if (i < n && k < m && theirs[i] === ours[k]) [i, k] = [i + 1, k + 1];
    else if (k === m || (i < n && longest[i + 1][k] >= longest[i][k + 1])) changes.push(`kernel  ${theirs[i++]}`);
    else changes.push(`bpfkit  ${ours[k++]}`);
  }
  return changes;
}

/** `{ title, ours, theirs, changes }[]`, sizes in bytes; `refused` says what the kernel did instead of making an image. */
export function compareImages(backend) {
  const all = SUBJECTS.map((subject) => ({ subject, cases: casesOf(subject) }));
  const { kernel, results } = askKernel(
    guestOf(backend.arch),
    all.flatMap(({ cases }) => cases),
  );
  let at = 0;
  const rows = all.map(({ subject, cases }) => {
    const { name, links, funcIp, cookie } = subject;
    const attached = results.slice(at, at + links.length);
    const result = attached.at(-1);
    at += cases.length;
    // images that were left a moment ago still lie before it
    const image = result.images?.findLast(({ kind }) => kind === "trampoline");
    const theirs = image && read(backend, Buffer.from(image.hex, "hex"), false);
    const spec = {
      model: parseFuncModel(TRACED[name] ?? DECIDED[name]),
      links: links.map((kind) => ({ kind, cookie })),
      original: "known",
      funcIp,
    };
    const ours = read(backend, backend.emitTrampoline(spec).code, true);
    const title = titleOf(subject);
    if (theirs === undefined || attached.some(({ attach_errno }) => attach_errno !== 0)) {
      const refused = attached
        .map(({ verdict, attach_errno }) => `${verdict}, attached with ${attach_errno}`)
        .join("; ");
      return { title, ours: ours.bytes, refused };
    }
    return { title, ours: ours.bytes, theirs: theirs.bytes, changes: differ(theirs.tokens, ours.tokens) };
  });
  return { kernel, rows };
}

/** Most that ours may be of the kernel's, all together. */
const SHARE = 1.05;

/**
 * Compares all trampolines on the kernel of an architecture.
 *
 * @returns {{ differences: string[], summary: string }}
 */
export function compareTrampolines(backend) {
  const { kernel, rows } = compareImages(backend);
  const differences = [];
  const kinds = new Map();
  let [mine, its, same] = [0, 0, 0];
  console.log("  bytes (ours/kernel):");
  for (const { title, ours, theirs, changes, refused } of rows) {
    console.log(`    ${title.padEnd(56)} ${ours}/${theirs ?? refused}`);
    if (theirs === undefined) {
      differences.push(`${title}: no image of the kernel's (${refused})`);
      continue;
    }
    mine += ours;
    its += theirs;
    if (changes.length === 0) same++;
    for (const change of changes) kinds.set(change, (kinds.get(change) ?? 0) + 1);
  }
  console.log("  instructions of one side alone, addresses left out:");
  for (const [change, count] of [...kinds].sort(([, a], [, b]) => b - a))
    console.log(`    ${String(count).padStart(4)} × ${change}`);
  const share = mine / its;
  if (!(share <= SHARE)) differences.push(`${mine} bytes in all, the kernel's ${its}: more than ${SHARE} ×`);
  return {
    differences,
    summary: `${rows.length} trampolines of ${kernel}: ${mine}/${its} bytes, ${share.toFixed(3)} ×; ${same} with the kernel's instructions`,
  };
}
