// Programs near the border of what a verifier accepts, from a seed: plausible pieces, now and then with a small mistake in a bound, an
// offset, a check or an order. Of the same seed always the same text.
import { randomOf } from "./random.mjs";

const VALUE = 64;
const MAPS = {
  array: { name: "array", type: 2, keySize: 4, valueSize: VALUE, maxEntries: 1, flags: 0 },
  hash: { name: "hash", type: 1, keySize: 4, valueSize: VALUE, maxEntries: 4, flags: 0 },
  ring: { name: "ring", type: 27, keySize: 0, valueSize: 0, maxEntries: 4096, flags: 0 },
};
const TYPES = {
  socket_filter: { context: [0, 4, 8, 16, 36, 48, 52, 64, 68, 76] },
  sched_cls: { context: [0, 8, 16, 32, 44, 48, 60, 68, 72, 96], packet: [76, 80], sockets: true },
  xdp: { context: [12, 16, 20], packet: [0, 4] },
};
/** r6 holds the context; r0 to r5 do not outlive a call. */
const CONTEXT = 6;
const NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 9];
const KEPT = [7, 8, 9];
const COMPARISONS = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"];
const OPERATORS = ["+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "s>>=", "s/=", "s%="];
const EDGES = [
  0, 1, 2, 7, 8, 15, 16, 31, 32, 56, 62, 63, 64, 65, 127, 255, 256, -1, -2, -8, -64, 0x7fffffff, -0x80000000,
];

/** A case without answers, in the form of the cases' reader; `assemble` makes the program. */
export function generateCase(seed, assemble) {
  const generator = new Generator(seed);
  const { type, asm } = generator.make();
  const named = Object.values(MAPS).filter(({ name }) => asm.includes(`map[${name}]`));
  const name = `seed ${seed}`;
  const program = assemble(asm, { name: name.replace(" ", "_"), type, maps: named });
  return { subject: "generated", name, type, license: "GPL", functions: {}, kfuncs: [], asm, program, expected: {} };
}

class Generator {
  #lines = [];
  /** What each register holds: `number`, `value`, `value?`, `packet`, `end`, `stack`, `socket?`; nothing where it is not known. */
  #holds = new Map();
  /** Depths of 8-byte words of the stack that have been written, and what they hold. */
  #slots = new Map();
  #labels = 0;
  #depth = 0;
  #tail = [];

  constructor(seed) {
    this.random = randomOf(seed * 7919);
    this.type = this.random.pick(Object.keys(TYPES));
    /** Percent of places where something is a little wrong. */
    this.risk = this.random.pick([0, 1, 3, 8]);
  }

  make() {
    this.#put("r6 = r1");
    const pieces = 2 + this.random.below(7);
    for (let i = 0; i < pieces; i++) this.#piece();
    if (this.random.chance(70)) this.#use();
    this.#put("out:", "r0 = 0", "exit", ...this.#tail);
    return { type: this.type, asm: `${this.#lines.join("\n")}\n` };
  }

  #put(...lines) {
    this.#lines.push(...lines);
  }

  #label() {
    return `l${this.#labels++}`;
  }

  #wrong() {
    return this.random.chance(this.risk);
  }

  #find(kind, registers = NUMBERS) {
    const found = registers.filter((register) => this.#holds.get(register) === kind);
    return found.length > 0 ? this.random.pick(found) : undefined;
  }

  /** A register that may be written; sometimes one that is needed again. */
  #target(registers = NUMBERS) {
    const free = registers.filter((register) => !this.#holds.has(register));
    return free.length > 0 && this.random.chance(70) ? this.random.pick(free) : this.random.pick(registers);
  }

  #set(register, kind) {
    if (kind === undefined) this.#holds.delete(register);
    else this.#holds.set(register, kind);
  }

  #call(name) {
    this.#put(`call ${name}`);
    for (let register = 0; register <= 5; register++) this.#set(register, undefined);
  }

  #number() {
    const known = this.#find("number");
    if (known !== undefined && this.random.chance(80)) return known;
    const register = this.#target();
    const { pick, below } = this.random;
    const value = this.#find("value");
    if (value !== undefined && this.random.chance(50)) {
      const size = pick(["u8", "u16", "u32", "u64", "s8", "s16", "s32"]);
      this.#put(`r${register} = *(${size} *)(r${value} + ${8 * below(7)})`);
    } else if (this.random.chance(70)) {
      this.#put(`r${register} = *(u32 *)(r${CONTEXT} + ${pick(this.#readable())})`);
    } else this.#put(`r${register} = ${pick(EDGES)}`);
    this.#set(register, "number");
    return register;
  }

  /** Fields of the context that are numbers. */
  #readable() {
    const { context } = TYPES[this.type];
    return this.#wrong() ? context : context.slice(0, this.type === "xdp" ? 2 : 6);
  }

  #value() {
    const known = this.#find("value");
    if (known !== undefined && this.random.chance(75)) return known;
    const register = this.#target(this.random.chance(60) ? KEPT : NUMBERS);
    if (this.random.chance(65)) {
      this.#put(`r${register} = map[array][0]+${this.random.chance(80) ? 0 : 8 * this.random.below(8)}`);
      this.#set(register, "value");
      return register;
    }
    this.#put("*(u32 *)(r10 - 4) = 0", "r2 = r10", "r2 += -4", "r1 = map[hash]");
    this.#slots.set(8, undefined);
    this.#call("bpf_map_lookup_elem");
    if (this.random.chance(60)) {
      if (!this.#wrong()) this.#put("if r0 == 0 goto out");
      this.#put(`r${register} = r0`);
    } else {
      this.#put(`r${register} = r0`);
      if (!this.#wrong()) this.#put(`if r${this.random.chance(50) ? 0 : register} == 0 goto out`);
    }
    this.#set(register, "value");
    return register;
  }

  #piece() {
    const { sockets, packet } = TYPES[this.type];
    const pieces = [
      "arithmetic",
      "arithmetic",
      "arithmetic",
      "branch",
      "branch",
      "bound",
      "copy",
      "store",
      "fill",
      "use",
      "use",
      "diamond",
      "helper",
    ];
    if (packet !== undefined) pieces.push("packet", "packet");
    if (sockets) pieces.push("socket");
    if (this.#depth === 0) pieces.push("loop", "subprogram", "callback", "event");
    this[`_${this.random.pick(pieces)}`]();
  }

  _arithmetic() {
    const { pick, chance, below } = this.random;
    const register = this.#number();
    const w = chance(35) ? "w" : "r";
    const kind = below(100);
    if (kind < 8)
      this.#put(`${w}${register} = (${pick(w === "r" ? ["s8", "s16", "s32"] : ["s8", "s16"])})${w}${register}`);
    else if (kind < 12)
      this.#put(`r${register} = ${pick(["be16", "be32", "be64", "le16", "le32", "bswap16", "bswap64"])} r${register}`);
    else if (kind < 16) this.#put(`${w}${register} = -${w}${register}`);
    else {
      const operator = chance(40) ? pick(["&=", "+=", ">>=", "<<="]) : pick(OPERATORS);
      const other = chance(25) ? this.#find("number") : undefined;
      this.#put(`${w}${register} ${operator} ${other === undefined ? this.#operand(operator, w) : `${w}${other}`}`);
    }
  }

  #operand(operator, w) {
    const { pick, below } = this.random;
    if (operator.endsWith("<<=") || operator.endsWith(">>=")) {
      return this.#wrong() ? 64 : pick([1, 2, 3, w === "r" ? 32 : 16, w === "r" ? 58 : 26, below(w === "r" ? 64 : 32)]);
    }
    if (/[/%]/.test(operator)) return this.#wrong() ? 0 : pick([1, 2, 3, 7, 8, 63, 64, 65]);
    return pick(EDGES);
  }

  _branch() {
    const { pick, chance } = this.random;
    const register = this.#number();
    const w = chance(30) ? "w" : "r";
    const other = chance(20) ? this.#find("number") : undefined;
    const right = other === undefined || other === register ? pick(EDGES) : `${w}${other}`;
    this.#put(`if ${w}${register} ${pick(COMPARISONS)} ${right} goto out`);
  }

  /** A number is bounded as careful people do it. */
  _bound() {
    this.#bound(this.#number(), VALUE - 1);
  }

  #bound(register, most) {
    const { pick, chance } = this.random;
    const limit = this.#wrong() ? most + 1 : pick([most, most, most - 1, most >> 1]);
    switch (this.random.below(6)) {
      case 0:
        this.#put(`if r${register} > ${limit} goto out`);
        break;
      case 1:
        this.#put(`if r${register} >= ${limit + 1} goto out`);
        break;
      case 2:
        this.#put(`r${register} &= ${this.#wrong() ? 2 * most + 1 : pick([7, 15, most])}`);
        break;
      case 3:
        if (chance(50)) this.#put(`w${register} = w${register}`);
        this.#put(`if w${register} > ${limit} goto out`);
        if (!this.#wrong()) this.#put(`w${register} = w${register}`);
        break;
      case 4:
        this.#put(`if r${register} s> ${limit} goto out`);
        if (!this.#wrong()) this.#put(`if r${register} s< ${this.#wrong() ? -1 : 0} goto out`);
        break;
      default: {
        const over = this.#label();
        this.#put(
          `if r${register} ${pick(["<=", "<"])} ${limit} goto ${over}`,
          `r${register} = ${pick([0, 1, limit, limit + (this.#wrong() ? 1 : 0)])}`,
          `${over}:`,
        );
      }
    }
  }

  _copy() {
    const { chance } = this.random;
    const from = this.#number();
    const to = this.#target();
    if (to === from) return;
    this.#put(chance(75) ? `r${to} = r${from}` : `w${to} = w${from}`);
    if (chance(25)) this.#put(`r${to} += ${this.random.pick([1, 8, -1, 32])}`);
    this.#set(to, "number");
  }

  /** A use of a pointer: what the numbers are good for. */
  _use() {
    this.#use();
  }

  #use() {
    const { pick, chance, below } = this.random;
    const size = pick([1, 1, 2, 4, 8]);
    if (chance(25)) {
      this.#stackAt(size);
      return;
    }
    const value = this.#value();
    let off = 0;
    let base = value;
    if (chance(70)) {
      const index = this.#number();
      if (index === value) return;
      if (chance(75)) this.#bound(index, VALUE - 1);
      base = this.#target();
      if (base === index) return;
      if (base !== value) this.#put(`r${base} = r${value}`);
      if (chance(12)) this.#put(`r${base} -= r${index}`);
      else this.#put(`r${base} += r${index}`);
      this.#set(base, undefined);
      off = chance(60) ? 0 : below(4);
    } else off = pick([0, 8, VALUE - size, VALUE - size, this.#wrong() ? VALUE - size + 1 : 16]);
    this.#access(base, off, size);
    if (base === value && chance(80)) this.#set(base, "value");
  }

  #access(base, off, size) {
    const { pick, chance } = this.random;
    const place = `*(u${8 * size} *)(r${base} ${off < 0 ? "-" : "+"} ${Math.abs(off)})`;
    const number = this.#find("number");
    const how = this.random.below(10);
    if (how < 4) this.#put(`${place} = ${pick([0, 1, 255])}`);
    else if (how < 6 && number !== undefined) this.#put(`${place} = r${number}`);
    else if (how < 7 && number !== undefined && size >= 4) {
      this.#put(`lock ${place} += ${size === 8 ? "r" : "w"}${number}`);
    } else {
      const target = this.#target();
      this.#put(`r${target} = ${chance(20) && size < 8 ? place.replace("*(u", "*(s") : place}`);
      this.#set(target, "number");
    }
  }

  /** The stack at an offset that is not known. */
  #stackAt(size) {
    const { pick, chance } = this.random;
    const index = this.#number();
    if (chance(80)) this.#bound(index, 15);
    const base = this.#target();
    if (base === index) return;
    const from = pick([16, 24, 32, this.#wrong() ? 8 : 32]);
    if (chance(60)) for (let depth = from; depth > 0; depth -= 8) this.#put(`*(u64 *)(r10 - ${depth}) = 0`);
    this.#slots.clear();
    this.#put(`r${base} = r10`, `r${base} += -${from}`, `r${base} += r${index}`);
    this.#set(base, undefined);
    this.#access(base, 0, chance(70) ? 1 : size);
  }

  _store() {
    const { pick, chance } = this.random;
    const depth = 8 * pick([1, 2, 3, 4]);
    const kinds = [...this.#holds].filter(([, kind]) => kind !== undefined);
    if (kinds.length === 0 || chance(20)) {
      const size = pick([1, 2, 4, 8]);
      this.#put(`*(u${8 * size} *)(r10 - ${depth - (this.#wrong() ? 1 : 0)}) = ${pick([0, 1, 8, 63])}`);
      this.#slots.set(depth, size === 8 ? "number" : undefined);
      return;
    }
    const [register, kind] = pick(kinds);
    const size = kind === "number" && chance(40) ? pick([1, 2, 4]) : 8;
    this.#put(`*(u${8 * size} *)(r10 - ${depth - (this.#wrong() ? 4 : 0)}) = r${register}`);
    this.#slots.set(depth, size === 8 ? kind : undefined);
  }

  _fill() {
    const { pick, chance } = this.random;
    const slots = [...this.#slots];
    if (slots.length === 0) return this._store();
    const [depth, kind] = pick(slots);
    const register = this.#target();
    const size = kind === "number" || kind === undefined || this.#wrong() ? pick([8, 8, 4, 1]) : 8;
    this.#put(`r${register} = *(u${8 * size} *)(r10 - ${depth - (size < 8 && chance(20) ? 4 : 0)})`);
    this.#set(register, size === 8 ? (kind ?? "number") : "number");
  }

  /** Two ways, one of which is walked with something else. */
  _diamond() {
    if (this.#depth > 1) return;
    const [other, join] = [this.#label(), this.#label()];
    const register = this.#number();
    const { pick } = this.random;
    this.#put(`if r${register} ${pick(COMPARISONS)} ${pick(EDGES)} goto ${other}`);
    const before = new Map(this.#holds);
    const slots = new Map(this.#slots);
    this.#depth++;
    this.#piece();
    const after = this.#holds;
    const afterSlots = this.#slots;
    this.#put(`goto ${join}`, `${other}:`);
    this.#holds = before;
    this.#slots = slots;
    if (this.random.chance(60)) this.#piece();
    this.#depth--;
    this.#put(`${join}:`);
    const keep = (mine, theirs) =>
      new Map([...mine].filter(([key, kind]) => theirs.has(key) && theirs.get(key) === kind));
    if (!this.#wrong()) {
      this.#holds = keep(this.#holds, after);
      this.#slots = keep(this.#slots, afterSlots);
    }
  }

  _packet() {
    const { pick, chance } = this.random;
    const [data, end] = TYPES[this.type].packet;
    const [packet, last, moved] = [7, 8, 9];
    this.#put(`r${packet} = *(u32 *)(r${CONTEXT} + ${data})`, `r${last} = *(u32 *)(r${CONTEXT} + ${end})`);
    for (const register of [packet, last, moved]) this.#set(register, undefined);
    const length = pick([4, 8, 14, 20, 34]);
    let base = packet;
    if (chance(35)) {
      const index = this.#number();
      if (index >= 7) return;
      if (chance(85)) this.#bound(index, pick([63, 255]));
      base = this.#target([1, 2, 3, 4, 5]);
      if (base === index) return;
      this.#put(`r${base} = r${packet}`, `r${base} += r${index}`);
      this.#set(base, undefined);
    }
    this.#put(`r${moved} = r${base}`, `r${moved} += ${length}`);
    const [a, b] = [`r${moved}`, `r${last}`];
    const good = this.#label();
    const checks = [
      [`if ${a} > ${b} goto out`],
      [`if ${b} < ${a} goto out`],
      [`if ${a} >= ${b} goto out`],
      [`if ${b} <= ${a} goto out`],
    ];
    checks.push(
      [`if ${a} <= ${b} goto ${good}`, "goto out", `${good}:`],
      [`if ${b} >= ${a} goto ${good}`, "goto out", `${good}:`],
    );
    checks.push(
      [`if ${a} < ${b} goto ${good}`, "goto out", `${good}:`],
      [`if ${b} > ${a} goto ${good}`, "goto out", `${good}:`],
    );
    if (this.#wrong())
      checks.splice(
        0,
        checks.length,
        [`if ${a} < ${b} goto out`],
        [`if ${a} == ${b} goto out`],
        [`if ${a} s> ${b} goto out`],
        [],
      );
    this.#put(...pick(checks));
    const size = pick([1, 2, 4]);
    const off = pick([0, length - size, length - size + (this.#wrong() ? 1 : 0)]);
    const target = this.#target();
    if (chance(80)) {
      this.#put(`r${target} = *(u${8 * size} *)(r${base} + ${off})`);
      this.#set(target, "number");
    } else this.#put(`*(u${8 * size} *)(r${base} + ${off}) = 1`);
    for (const register of [packet, last, moved]) if (register !== target) this.#set(register, undefined);
  }

  _socket() {
    const { chance } = this.random;
    this.#put(
      "*(u64 *)(r10 - 48) = 0",
      "*(u64 *)(r10 - 40) = 0",
      `r1 = r${CONTEXT}`,
      "r2 = r10",
      "r2 += -48",
      "r3 = 12",
      "r4 = -1",
      "r5 = 0",
    );
    this.#call(this.random.pick(["bpf_sk_lookup_tcp", "bpf_sk_lookup_udp"]));
    const kept = this.random.pick(KEPT);
    this.#put(`r${kept} = r0`);
    this.#set(kept, undefined);
    const over = this.#label();
    if (!this.#wrong()) this.#put(`if r${chance(50) ? 0 : kept} == 0 goto ${over}`);
    if (chance(40)) this.#put(`r1 = *(u32 *)(r${kept} + ${this.random.pick([0, 4, 8, 16, 24])})`);
    this.#put(`r1 = r${kept}`);
    if (!this.#wrong()) this.#put("call bpf_sk_release");
    if (this.#wrong()) this.#put(`r1 = *(u32 *)(r${kept} + 4)`);
    this.#put(`${over}:`);
    for (let register = 0; register <= 5; register++) this.#set(register, undefined);
  }

  _event() {
    const { pick, chance } = this.random;
    const size = pick([8, 16, 24]);
    this.#put("r1 = map[ring]", `r2 = ${size}`, "r3 = 0");
    this.#call("bpf_ringbuf_reserve");
    const over = this.#label();
    if (!this.#wrong()) this.#put(`if r0 == 0 goto ${over}`);
    if (chance(60)) this.#put(`*(u64 *)(r0 + ${size - 8 + (this.#wrong() ? 8 : 0)}) = 1`);
    if (!this.#wrong()) this.#put("r1 = r0", "r2 = 0", `call ${pick(["bpf_ringbuf_submit", "bpf_ringbuf_discard"])}`);
    this.#put(`${over}:`);
  }

  /** Memory with a size. */
  _helper() {
    const { pick, chance } = this.random;
    if (chance(30) || this.type === "xdp") {
      this.#call(pick(["bpf_ktime_get_ns", "bpf_get_prandom_u32", "bpf_get_smp_processor_id"]));
      this.#set(0, "number");
      return;
    }
    const room = pick([8, 16, 32]);
    if (chance(50)) {
      const size = this.#number();
      if (chance(85)) this.#bound(size, room);
      if (chance(70)) this.#put(chance(50) ? `if r${size} == 0 goto out` : `if r${size} < 1 goto out`);
      this.#put(`r4 = r${size}`);
    } else this.#put(`r4 = ${pick([1, room, room, this.#wrong() ? room + 1 : room, this.#wrong() ? 0 : 4])}`);
    const value = chance(40) ? this.#find("value", KEPT) : undefined;
    if (value !== undefined) this.#put(`r3 = r${value}`, `r3 += ${VALUE - room}`);
    else this.#put("r3 = r10", `r3 += -${room}`);
    this.#put(`r1 = r${CONTEXT}`, `r2 = ${pick([0, 14])}`);
    this.#call("bpf_skb_load_bytes");
    this.#slots.clear();
    if (value === undefined && chance(50)) {
      this.#put(`r1 = *(u64 *)(r10 - 8)`);
      this.#set(1, "number");
    }
  }

  _loop() {
    const { pick, chance, below } = this.random;
    const counter = pick(KEPT);
    const top = this.#label();
    this.#put(`r${counter} = 0`, `${top}:`);
    this.#set(counter, "number");
    // What holds at the top of every round is not followed here: the body makes what it needs.
    this.#holds = new Map([[counter, "number"]]);
    this.#slots.clear();
    this.#depth += 2;
    if (chance(50)) {
      const base = pick([1, 2, 3]);
      this.#put(
        `r${base} = map[array][0]+0`,
        `r${base} += r${counter}`,
        `*(u8 *)(r${base} + ${this.random.pick([0, 0, 32])}) = 1`,
      );
    } else this._arithmetic();
    this.#depth -= 2;
    const rounds = pick([3, 5, 10, 32, this.#wrong() ? 65 : 16]);
    this.#put(
      `${chance(25) ? "w" : "r"}${counter} += ${1 + below(2)}`,
      `if r${counter} ${pick(["<", "<", "s<", "<="])} ${rounds} goto ${top}`,
    );
    this.#holds = new Map([[counter, "number"]]);
  }

  _subprogram() {
    const { pick, chance } = this.random;
    const name = `sub${this.#labels++}`;
    const number = this.#number();
    if (chance(60)) this.#bound(number, VALUE - 1);
    this.#put(`r1 = r${number}`);
    const body = [`${name}:`];
    switch (this.random.below(4)) {
      case 0:
        body.push("r0 = r1", `r0 ${pick(["+=", "&=", ">>="])} ${pick([1, 3, 31])}`);
        break;
      case 1:
        body.push("r2 = map[array][0]+0", "r2 += r1", "*(u8 *)(r2 + 0) = 1", "r0 = 1");
        break;
      case 2:
        this.#put("*(u64 *)(r10 - 8) = 0", "r2 = r10", "r2 += -8");
        body.push(`*(u64 *)(r2 + ${this.#wrong() ? 8 : 0}) = r1`, "r0 = 0");
        this.#slots.set(8, "number");
        break;
      default:
        body.push(`if r1 > ${pick([31, 63, 64])} goto ${name}_far`, "r0 = r1", "exit", `${name}_far:`, "r0 = 0");
    }
    this.#call(name);
    this.#set(0, this.#wrong() ? undefined : "number");
    this.#tail.push(...body, "exit");
  }

  _callback() {
    const { pick, chance } = this.random;
    const name = `cb${this.#labels++}`;
    this.#put(
      "*(u64 *)(r10 - 8) = 0",
      `r1 = ${pick([1, 5, 100])}`,
      `r2 = ${name} ll`,
      "r3 = r10",
      "r3 += -8",
      "r4 = 0",
    );
    const body = [`${name}:`];
    switch (this.random.below(3)) {
      case 0:
        body.push("r3 = *(u64 *)(r2 + 0)", "r3 += 1", "*(u64 *)(r2 + 0) = r3");
        break;
      case 1:
        body.push(
          `if r1 > ${this.#wrong() ? 64 : 63} goto ${name}_end`,
          "r3 = map[array][0]+0",
          "r3 += r1",
          "*(u8 *)(r3 + 0) = 1",
          `${name}_end:`,
        );
        break;
      default:
        body.push(`*(u64 *)(r2 + ${this.#wrong() ? 8 : 0}) = r1`);
    }
    this.#call("bpf_loop");
    this.#slots.set(8, "number");
    this.#tail.push(...body, `r0 = ${this.#wrong() ? 2 : chance(80) ? 0 : 1}`, "exit");
  }
}
