// Calls of helpers for a real kernel: each argument as the table says, and then one that is not, so that the kernel names what it wants.
import { allowedHelpers, HELPERS, helperArgs, MAP_TYPES, mapType } from "@bpfkit/core";

const [MOV, MOV_REG, ADD, CALL, EXIT, JNE, LDDW, LDX_DW, LDX_W, ST_DW] = [
  0xb7, 0xbf, 0x07, 0x85, 0x95, 0x55, 0x18, 0x79, 0x61, 0x7a,
];
const [MAP_FD, MAP_VALUE, FUNC] = [1, 2, 4];
const SLEEPABLE = 1 << 4;
const READ_ONLY = 0x80;
/** Where programs are asked first; a helper that they lack is asked where it is. */
const FAVOURITES = ["sched_cls", "cgroup_skb cgroup_inet_egress", "xdp", "tracing trace_fentry", "kprobe"];
/** The same for helpers that may sleep. */
const SLEEPERS = ["syscall", "lsm lsm_mac"];
/** Sizes of key and value, and entries, of the maps that can be made without types. */
const MAPS = {
  hash: [4, 8, 4],
  array: [4, 8, 1],
  percpu_hash: [4, 8, 4],
  percpu_array: [4, 8, 4],
  prog_array: [4, 4, 4],
  perf_event_array: [4, 4, 4],
  stack_trace: [4, 8, 4],
  cgroup_array: [4, 4, 4],
  devmap: [4, 4, 4],
  sockmap: [4, 4, 4],
  sockhash: [4, 4, 4],
  cgroup_storage: [8, 8, 0],
  reuseport_sockarray: [4, 4, 4],
  queue: [0, 8, 4],
  ringbuf: [0, 0, 4096],
  user_ringbuf: [0, 0, 4096],
  lru_hash: [4, 8, 64],
  lru_percpu_hash: [4, 8, 64],
  lpm_trie: [8, 8, 4],
  array_of_maps: [4, 4, 4],
  hash_of_maps: [4, 4, 4],
  cpumap: [4, 4, 4],
  xskmap: [4, 4, 4],
  percpu_cgroup_storage: [8, 8, 0],
  stack: [0, 8, 4],
  devmap_hash: [4, 4, 4],
  bloom_filter: [0, 8, 4],
  arena: [0, 0, 10],
  insn_array: [4, 16, 4],
  rhash: [4, 8, 4],
};

const mov = (to, value) => [[MOV, to, 0, 0, value]];
const copy = (to, from) => [[MOV_REG, to, from, 0, 0]];
const call = (name) => [[CALL, 0, 0, 0, HELPERS.find((spec) => spec.name === name).id]];
const stack = (to, offset) => [...copy(to, 10), [ADD, to, 0, 0, offset]];
const load = (to, from, offset) => [[LDX_DW, to, from, offset, 0]];
/** Leaves the program where a register holds null. */
const unlessNull = (reg) => [[JNE, reg, 0, 2, 0], ...mov(0, 0), [EXIT, 0, 0, 0, 0]];

/** The first situation that has a helper. */
export function situationFor(helper, situations, profile) {
  const ordered = [
    ...(helper.sleeps ? SLEEPERS : FAVOURITES).map((name) => situations.find((row) => row.name === name)),
    ...situations,
  ];
  return ordered.find(
    (row) =>
      row !== undefined &&
      allowedHelpers(profile, row.type, row.attach === "-" ? undefined : row.attach).has(helper.name),
  );
}

/** A map that a helper takes; undefined when it cannot be made here. */
function mapFor(helper) {
  return Object.keys(MAPS).find((name) => mapType(MAP_TYPES[name]).helpers.includes(helper.name));
}

/** What maps of maps hold. */
const INNER = { type: MAP_TYPES.array, key: 4, value: 8, max: 1 };
/** Places of a case's maps. */
const [TESTED, RING, CONSTANT] = [1, 2, 3];

/** What comes before everything else: the context into r6, zeroes onto the stack. */
const PROLOGUE = [...copy(6, 1), ...Array.from({ length: 40 }, (_, i) => [ST_DW, 10, 0, -8 * (i + 1), 0])];

/** What has to be at hand: values in r7 and r8, made before the arguments. */
function preparation(word, situation) {
  const { type } = situation;
  if (/^(socket|sock-common|btf-sock)/.test(word)) {
    const offset = { sched_cls: 168, sched_act: 168, cgroup_skb: 168, cgroup_sock_addr: 64, cgroup_sockopt: 0 }[type];
    if (offset === undefined) return undefined;
    const common = [...load(7, 6, offset), ...(type.startsWith("cgroup_s") && type !== "cgroup_skb" ? [] : unlessNull(7))];
    if (!word.startsWith("socket")) return common;
    return [...common, ...copy(1, 7), ...call("sk_fullsock"), ...copy(7, 0), ...unlessNull(7)];
  } // biome-ignore format: one line per place
  if (word.startsWith("btf:task_struct")) return [...call("get_current_task_btf"), ...copy(7, 0)];
  if (word.startsWith("btf:seq_file") && situation.attach === "trace_iter") return [...load(7, 6, 0), ...load(7, 7, 0)];
  if (word === "record")
    return [[LDDW, 1, MAP_FD, 0, RING], [0, 0, 0, 0, 0], ...mov(2, 8), ...mov(3, 0), ...call("ringbuf_reserve"), ...copy(7, 0), ...unlessNull(7)]; // biome-ignore format: one line per place
  if (word === "dynptr")
    return [[LDDW, 1, MAP_FD, 0, RING], [0, 0, 0, 0, 0], ...mov(2, 8), ...mov(3, 0), ...stack(4, -16), ...call("ringbuf_reserve_dynptr")]; // biome-ignore format: one line per place
  return [];
}

/** An argument as it should be; undefined when it cannot be made here. */
function right(word, position) {
  const to = position + 1;
  if (word === "context" || word === "context?") return copy(to, 6);
  if (word === "map") return [[LDDW, to, MAP_FD, 0, TESTED], [0, 0, 0, 0, 0]]; // biome-ignore format: one line
  if (word === "any" || word === "number" || word === "stack?") return mov(to, 0);
  if (/^size|^alloc/.test(word)) return mov(to, 8);
  if (/^(key|value|in|out|inout)/.test(word)) return stack(to, -64 - 48 * position);
  if (word === "dynptr") return stack(to, -16);
  if (word === "dynptr-out") return stack(to, -16);
  if (word === "callback") return [[LDDW, to, FUNC, 0, "callback"], [0, 0, 0, 0, 0]]; // biome-ignore format: one line
  if (/^(socket|sock-common|btf-sock|btf:task_struct|btf:seq_file|record)/.test(word)) return copy(to, 7);
  return undefined;
}

/** Arguments as they should not be, by name. */
const WRONG = {
  number: (to) => mov(to, 1),
  zero: (to) => mov(to, 0),
  short: (to) => stack(to, -1),
  constant: (to) => [[LDDW, to, MAP_VALUE, 0, CONSTANT], [0, 0, 0, 0, 0]], // biome-ignore format: one line
};

/** Cases for one helper: the whole call, and each argument wrong in each way. `key` is helper, argument (from 1; 0: none) and way. */
export function callCases(helper, situations, profile, forced) {
  const situation = situationFor(helper, situations, profile);
  if (situation === undefined) return [];
  const words = helperArgs(helper, situation.type);
  const map = forced ?? (words.includes("map") ? mapFor(helper) : "array");
  const value = { type: MAP_TYPES.array, key: 4, value: 64, max: 1, flags: READ_ONLY };
  const [key, size, max] = MAPS[map] ?? [];
  const maps = [
    INNER,
    mapOf(map ?? "array", { key, value: size, max }),
    { type: MAP_TYPES.ringbuf, key: 0, value: 0, max: 4096 },
    value,
  ];
  const before = words.map((word) => preparation(word, situation));
  const build = (upTo, wrong, ending, more = []) => {
    const parts = [PROLOGUE];
    for (const [position, word] of words.entries()) {
      if (position > upTo) break;
      const isWrong = position === upTo && wrong !== undefined;
      if (isWrong && before[position] === undefined) continue;
      if (before[position] === undefined || (word === "map" && map === undefined && !isWrong)) return undefined;
      parts.push(before[position]);
    }
    for (const [position, word] of words.entries()) {
      if (position > upTo) break;
      const insns = position === upTo && wrong ? WRONG[wrong](position + 1) : right(word, position);
      if (insns === undefined) return undefined;
      parts.push(insns);
    }
    return withCallback([...parts.flat(), ...more, ...call(helper.name), ...ending]);
  };
  const rest = {
    ...situation.rest,
    maps,
    flags: helper.sleeps || situation.type === "syscall" ? SLEEPABLE : 0,
    log_level: 2,
    log_tail: 6000,
  };
  const end = [...mov(0, situation.type === "cgroup_sock_addr" ? 1 : 0), [EXIT, 0, 0, 0, 0]];
  // Asked where nothing may sleep, and by a program that may not be GPL.
  const awake = situationFor({ ...helper, sleeps: undefined }, situations, profile);
  const bare = { ...awake.rest, insns: [...call(helper.name), ...end] };
  const cases = [
    { ...bare, license: "MIT", key: [helper.name, 0, "license"] },
    { ...bare, key: [helper.name, 0, "sleep"] },
  ];
  const held = !helper.releases && words.some((word) => word === "dynptr");
  const release = held ? [...stack(1, -16), ...mov(2, 0), ...call("ringbuf_discard_dynptr")] : [];
  const whole = build(words.length, undefined, [...release, ...end]);
  if (forced) return whole ? [{ ...rest, key: [helper.name, 0, forced], ...whole }] : [];
  if (whole) {
    cases.push({ ...rest, key: [helper.name, 0, "whole"], ...whole });
    const kept = build(words.length, undefined, [...copy(8, 0), ...release, ...end]);
    cases.push({ ...rest, key: [helper.name, 0, "result"], ...kept });
  }
  const packet = packetOf(situation);
  if (whole && packet) {
    const kept = build(words.length, undefined, [[0x71, 0, 9, 0, 0], ...release, ...end]);
    cases.push({ ...rest, key: [helper.name, 0, "packet"], ...kept, insns: withPacket(kept.insns, packet) });
  }
  for (const position of words.keys()) {
    for (const wrong of Object.keys(WRONG)) {
      // Whether memory is written shows once its size is known.
      const sized = wrong === "constant" && words[position + 1]?.startsWith("size");
      const built = build(position, wrong, end, sized ? mov(position + 2, 8) : []);
      if (built) cases.push({ ...rest, key: [helper.name, position + 1, wrong], ...built });
    }
  }
  return cases.map((row) => ({ ...row, situation: situation.name }));
}

/** Where a context has data and data_end, and how wide they are. */
function packetOf({ type }) {
  if (/^sched|^cgroup_skb$|^lwt|^sk_skb$/.test(type)) return { load: LDX_W, data: 76, end: 80 };
  if (type === "xdp") return { load: LDX_W, data: 0, end: 4 };
  if (type === "sock_ops") return { load: LDX_DW, data: 192, end: 200 };
  return type === "sk_msg" ? { load: LDX_DW, data: 0, end: 8 } : undefined;
}

/** Puts the start of a packet of 8 bytes or more into r9, behind the first instruction. */
function withPacket(insns, { load: code, data, end }) {
  const bounds = [
    [code, 9, 6, data, 0],
    [code, 2, 6, end, 0],
    ...copy(3, 9),
    [ADD, 3, 0, 0, 8],
    [0xbd, 3, 2, 2, 0],
    ...mov(0, 0),
    [EXIT, 0, 0, 0, 0],
  ];
  const [first, ...others] = insns;
  return [first, ...bounds, ...others];
}

/** Adds the subprogram that a callback argument names. */
function withCallback(insns) {
  const at = insns.findIndex((insn) => insn[4] === "callback");
  if (at < 0) return { insns };
  const made = insns.map((insn, index) => (index === at ? [...insn.slice(0, 4), insns.length - at - 1] : insn));
  return { insns: [...made, ...mov(0, 0), [EXIT, 0, 0, 0, 0]], per_insn: 1 };
}

/** What lists of types in the kernel's messages stand for, in a word. */
const WANTS = {
  "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_, ctx": "mem",
  "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_": "mem",
  "sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_": "btf-sock",
  "sock_common, sock, tcp_sock, xdp_sock": "sock-common",
  "ptr_, trusted_ptr_, rcu_ptr_": "btf",
  "percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_": "percpu",
  "map_value, ptr_": "lock",
  "map_value, ptr_, ptr_, rcu_ptr_": "kptr",
  "fp, dynptr_ptr": "dynptr",
};

/**
 * What the kernel says of one argument, in a word: what it wants (`any`: takes everything), `?` where null will do, `=N` for memory of N
 * bytes, `!` where it is written, `>0` for a number that has to be positive.
 */
function wordOf(answers, argument) {
  const ways = new Map(answers.filter(({ key }) => key[1] === argument).map((row) => [row.key[2], row.log ?? ""]));
  if (ways.size === 0 || /not allowed in probe/.test(ways.get("number"))) return "unasked";
  const want = (way) => new RegExp(`^R${argument} type=\\S+ expected=(.*)$`, "m").exec(ways.get(way) ?? "")?.[1];
  const listed = want("number") ?? want("short");
  if (listed === undefined) return new RegExp(`^R${argument} is not a scalar`, "m").test(ways.get("short")) ? "scalar" : "any";
  const name = WANTS[listed] ?? listed;
  const nullable = want("number") !== undefined && want("zero") === undefined ? "?" : "";
  const size = /^invalid (?:read from|write to|indirect access to) stack R\d off=-1 size=(\d+)/m.exec(ways.get("short") ?? "")?.[1];
  const written = /^write into map forbidden/m.test(ways.get("constant") ?? "") ? "!" : "";
  const positive = /invalid zero-sized read/.test(ways.get("zero") ?? "") ? ">0" : "";
  return `${name}${nullable}${size === undefined ? "" : `=${size}`}${written}${positive}`;
} // biome-ignore format: one line per question

/** One line for a helper: where it was asked, what it does, what it gives, and its arguments. */
export function lineOfCall(helper, answers) {
  const find = (way) => answers.find(({ key }) => key[1] === 0 && key[2] === way);
  const whole = find("whole");
  const effects = [
    /GPL-restricted|gpl_only|GPL restricted/.test(find("license")?.log ?? "") ? ["gpl"] : [],
    /might sleep|sleepable helper/.test(find("sleep")?.log ?? "") ? ["sleeps"] : [],
    /reference leak|Unreleased reference/.test(whole?.log ?? "") ? ["acquires"] : [],
    /expects referenced|release helper/.test(whole?.log ?? "") ? ["releases"] : [],
    /R9 invalid mem access/.test(find("packet")?.log ?? "") ? ["moves"] : [],
  ].flat();
  const behind = find("result")?.log?.split(`call bpf_${helper.name}#`).at(-1);
  const given = behind === undefined ? "unasked" : /R0 !read_ok/.test(behind) ? "" : /R0(?:_w)?=([a-z_0-9]*)/.exec(behind)?.[1];
  const gives = given === "" ? (/R0 !read_ok/.test(behind) ? "nothing" : "scalar") : (given ?? "unasked");
  const situation = answers[0].situation;
  const count = helperArgs(helper, situation.split(" ")[0]).length;
  const args = Array.from({ length: count }, (_, i) => wordOf(answers, i + 1));
  const whether = whole === undefined ? "unasked" : whole.verdict === "accept" || effects.includes("acquires") ? "fine" : "refused";
  return `${helper.name} [${situation}] ${whether} gives ${gives} (${args.join(", ")})${effects.map((word) => ` ${word}`).join("")}`;
} // biome-ignore format: one line per answer

const SIZES = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 32, 256, 260, 261, 264, 512, 513, 1016, 1024, 32768, 32769,
];
const ENTRIES = [0, 1, 3, 4096, 8192];
const BITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 19];
/** Maps that one case of the harness can have. */
const PER_CASE = 60;

/** A map for the harness; the pattern of what it holds, where it holds maps, is the first map of the case. */
function mapOf(name, { key, value, max, flags = mapType(MAP_TYPES[name]).requiredFlags }) {
  const holdsMaps = name === "array_of_maps" || name === "hash_of_maps";
  return { type: MAP_TYPES[name], key, value, max, flags, ...(holdsMaps ? { inner: 0 } : {}) };
}

/** Maps that are made to see what a kernel takes: type, what is tried, its value, and the map. */
function attempts(profile) {
  return Object.entries(MAPS).flatMap(([name, [key, value, max]]) => {
    if (MAP_TYPES[name] >= profile.mapTypes) return [];
    const wanted = mapType(MAP_TYPES[name]).requiredFlags;
    const made = (what, at, change) => ({ name, what, at, map: mapOf(name, { key, value, max, ...change }) });
    return [
      ...SIZES.map((size) => made("keys", size, { key: size })),
      ...SIZES.map((size) => made("values", size, { value: size })),
      ...ENTRIES.map((count) => made("entries", count, { max: count })),
      ...BITS.map((bit) => made("flags", bit, { flags: wanted | (1 << bit) })),
      made("bare", 0, { flags: 0 }),
    ];
  });
}

/** Lines about map types: sizes, flags, helpers; `ask` sends cases to the kernel. */
export function linesOfMaps(ask, situations, profile) {
  const tried = attempts(profile);
  const batches = Array.from({ length: Math.ceil(tried.length / PER_CASE) }, (_, i) =>
    tried.slice(i * PER_CASE, (i + 1) * PER_CASE),
  );
  const made = ask(batches.map((batch) => ({ key: [], maps: [INNER, ...batch.map(({ map }) => map)] })));
  const good = batches.flatMap((batch, index) => {
    const failed = new Set((made[index].warn ?? []).map((line) => Number(/^map_errno (\d+)/.exec(line)?.[1]) - 1));
    return batch.filter((_, at) => !failed.has(at));
  });
  const names = Object.keys(MAPS).filter((name) => MAP_TYPES[name] < profile.mapTypes);
  const takers = HELPERS.slice(1).filter((helper) => helper.args.includes("map"));
  const calls = ask(names.flatMap((name) => takers.flatMap((helper) => callCases(helper, situations, profile, name))));
  const loads = ask(
    names.flatMap((name) => {
      const [key, value, max] = MAPS[name];
      const one = { key, value, max: Math.min(max, mapType(MAP_TYPES[name]).entries === "any" ? 1 : max) };
      const end = [[0, 0, 0, 0, 0], ...mov(0, 0), [EXIT, 0, 0, 0, 0]];
      const maps = [INNER, mapOf(name, one)];
      return [
        { type: 1, maps, key: [name, "direct"], insns: [[LDDW, 1, MAP_VALUE, 0, 1], ...end] },
        { type: 31, flags: SLEEPABLE, maps, key: [name, "sleepable"], insns: [[LDDW, 1, MAP_FD, 0, 1], ...end] },
      ];
    }),
  );
  return names.map((name) => {
    const list = (what) => good.filter((row) => row.name === name && row.what === what).map(({ at }) => at).join(" ");
    const helpers = calls.filter(({ key, log }) => key[2] === name && !REFUSES_MAP.test(log)).map(({ key }) => key[0]);
    const load = (what) => loads.find(({ key }) => key[0] === name && key[1] === what);
    const able = ["direct", "sleepable"].filter((what) => load(what).verdict === "accept");
    return `${name} | keys ${list("keys")} | values ${list("values")} | entries ${list("entries")} | flags ${list("flags")} | bare ${list("bare")} | ${helpers.join(" ")} | ${able.join(" ")}`;
  }); // biome-ignore format: one line per question
}

const REFUSES_MAP =
  /cannot pass map_type|not allowed for map|invalid zero-sized read|invalid map_ptr|invalid arg_type|write into map forbidden|expected prog array|only use array, hash|misconfigured verifier|address must be set|initialize insn array/;

/** Pointers that programs come by, as the program that has one in r1. */
const POINTERS = {
  socket: { in: "cgroup_sock_addr cgroup_inet4_bind", make: load(1, 1, 64) },
  "sock-common": { in: "socket_filter", make: [...load(1, 1, 168), ...unlessNull(1)] },
  "tcp-sock": {
    in: "cgroup_sockopt cgroup_getsockopt",
    make: [...load(1, 1, 0), ...call("tcp_sock"), ...copy(1, 0), ...unlessNull(1)],
  },
  "flow-keys": { in: "flow_dissector flow_dissector", make: load(1, 1, 144) },
  "xdp-socket": {
    in: "xdp",
    make: [[LDDW, 1, MAP_FD, 0, 0], [0, 0, 0, 0, 0], ...mov(2, 0), [0x63, 10, 2, -4, 0], ...stack(2, -4), ...call("map_lookup_elem"), ...copy(1, 0), ...unlessNull(1)],
  },
}; // biome-ignore format: one line per pointer
const POINTER_BYTES = 128;

/** Cases that read and write what such pointers point to. */
export function pointerCases(situations) {
  return Object.entries(POINTERS).flatMap(([name, { in: where, make }]) => {
    const situation = situations.find((row) => row.name === where);
    const end = [...mov(0, situation.type === "cgroup_sock_addr" ? 1 : 0), [EXIT, 0, 0, 0, 0]];
    const rest = { ...situation.rest, maps: [mapOf("xskmap", { key: 4, value: 4, max: 4 })], situation: name };
    return Array.from({ length: POINTER_BYTES + 8 }, (_, i) => i - 8).flatMap((offset) =>
      [1, 2, 4, 8].filter((width) => offset % width === 0).flatMap((width) => [
        { ...rest, log_level: 2, log_tail: 2000, key: ["read", offset, width], insns: [...make, [LOADS[width], 0, 1, offset, 0], ...end] },
        { ...rest, key: ["write", offset, width], insns: [...make, ...mov(2, 0), [STORES[width], 1, 2, offset, 0], ...end] },
      ]),
    );
  });
} // biome-ignore format: one line per case

const LOADS = { 1: 0x71, 2: 0x69, 4: LDX_W, 8: LDX_DW };
const STORES = { 1: 0x73, 2: 0x6b, 4: 0x63, 8: 0x7b };
export const POINTER_NAMES = Object.keys(POINTERS);
