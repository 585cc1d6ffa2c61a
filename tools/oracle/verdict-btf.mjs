// Type information of a program's functions, as the kernel wants it beside callbacks and global functions.

const [INT, PTR, ARRAY, STRUCT, TYPEDEF, FUNC, FUNC_PROTO, DECL_TAG] = [1, 2, 3, 4, 8, 12, 13, 17];
const [STATIC, GLOBAL] = [0, 1];
/** How BTF names the context of each program type. */
const CONTEXTS = {
  xdp: "xdp_md",
  kprobe: "bpf_user_pt_regs_t",
  perf_event: "bpf_perf_event_data",
  raw_tracepoint: "bpf_raw_tracepoint_args",
};

class Btf {
  #types = [];
  #count = 0;
  #strings = "\0";
  #known = new Map();

  type(kind, { name = "", size = 0, vlen = 0, rest = [] }) {
    const key = JSON.stringify([kind, name, size, vlen, rest]);
    if (!this.#known.has(key)) {
      this.#types.push(this.#string(name), (kind << 24) | vlen, size, ...rest);
      this.#known.set(key, ++this.#count);
    }
    return this.#known.get(key);
  }

  int(name, bytes, signed = 1) {
    return this.type(INT, { name, size: bytes, rest: [(signed << 24) | (8 * bytes)] });
  }

  param(name, type) {
    return [this.#string(name), type];
  }

  member(name, type, offset) {
    return [this.#string(name), type, 8 * offset];
  }

  #string(text) {
    if (text === "") return 0;
    const at = this.#strings.indexOf(`\0${text}\0`);
    if (at >= 0) return at + 1;
    this.#strings += `${text}\0`;
    return this.#strings.length - text.length - 1;
  }

  toBytes() {
    const types = 4 * this.#types.length;
    const bytes = new Uint8Array(24 + types + this.#strings.length);
    const header = [0x1eb9f, 24, 0, types, types, this.#strings.length];
    new Uint32Array(bytes.buffer, 0, 6 + this.#types.length).set([...header, ...this.#types]);
    for (let i = 0; i < this.#strings.length; i++) bytes[24 + types + i] = this.#strings.charCodeAt(i);
    return bytes;
  }
}

/** The type of `int`, `long`, `ctx` or `mem N` (a pointer to N bytes), and the tag that the argument carries. */
function argument(btf, text, programType) {
  const [what, size, tag] = text.split(" ");
  if (what === "int") return { type: btf.int("int", 4) };
  if (what === "long") return { type: btf.int("long", 8) };
  if (what === "ctx") {
    const name = CONTEXTS[programType] ?? "__sk_buff";
    const context =
      programType === "kprobe"
        ? btf.type(TYPEDEF, { name, size: btf.type(STRUCT, { name: "pt_regs", size: 168 }) })
        : btf.type(STRUCT, { name, size: 4, vlen: 1, rest: btf.member("first", btf.int("int", 4), 0) });
    return { type: btf.type(PTR, { size: context }) };
  }
  if (what !== "mem") throw new Error(`no argument ${text}`);
  const int = btf.int("int", 4);
  const bytes = btf.type(ARRAY, { rest: [btf.int("char", 1), int, Number(size)] });
  return {
    type: btf.type(PTR, {
      size: btf.type(STRUCT, { name: `m${size}`, size: Number(size), vlen: 1, rest: btf.member("b", bytes, 0) }),
    }),
    tag: tag === undefined ? undefined : `arg:${tag}`,
  };
}

/** `btf` and `func_info` of a case for the harness, one function for each subprogram. */
export function functionTypes(subprogs, functions, programType) {
  const btf = new Btf();
  const infos = subprogs.map(({ name, start }, index) => {
    const { global = index === 0, args = [], returns = "int" } = functions[name] ?? {};
    const types = args.map((text) => argument(btf, text, programType));
    const result = returns === "void" ? 0 : argument(btf, returns, programType).type;
    const params = types.flatMap(({ type }, i) => btf.param(`a${i}`, type));
    const proto = btf.type(FUNC_PROTO, { size: result, vlen: types.length, rest: params });
    const func = btf.type(FUNC, { name, size: proto, vlen: global ? GLOBAL : STATIC });
    for (const [i, { tag }] of types.entries())
      if (tag !== undefined) btf.type(DECL_TAG, { name: tag, size: func, rest: [i] });
    return [start, func];
  });
  const info = new Uint8Array(Uint32Array.from(infos.flat()).buffer);
  return { btf: Buffer.from(btf.toBytes()).toString("hex"), func_info: Buffer.from(info).toString("hex") };
}

/** Size and layout of what the kernel manages inside of values. */
const FIELDS = {
  spin_lock: { name: "bpf_spin_lock", size: 4 },
  timer: { name: "bpf_timer", size: 16 },
};

/** Types of a map whose values hold such fields, by offset: the bytes and the ids of key and value. */
export function valueTypes(keySize, valueSize, fields) {
  const btf = new Btf();
  const key = btf.int("key", keySize, 0);
  const members = Object.entries(fields).flatMap(([kind, offset]) => {
    const { name, size } = FIELDS[kind];
    const word = btf.int(size === 4 ? "word" : "long word", size === 4 ? 4 : 8, 0);
    const words = Array.from({ length: size === 4 ? 1 : size / 8 }, (_, i) => btf.member(`w${i}`, word, 8 * i));
    const type = btf.type(STRUCT, { name, size, vlen: words.length, rest: words.flat() });
    return [btf.member(kind, type, offset)];
  });
  const value = btf.type(STRUCT, { name: "value", size: valueSize, vlen: members.length, rest: members.flat() });
  return { btf: btf.toBytes(), key, value };
}
