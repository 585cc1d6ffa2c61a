// What a real kernel does in the situations with trampolines.
import { assemble } from "@bpfkit/core";
import { askKernel, caseOf, guestOf, hex } from "./kernel.mjs";
import { GuestScript } from "./kernel-maps.mjs";
import { describeRecords, describeRun, LOG, LOG_SIZE, recorder, recordsOf } from "./trampoline-recorder.mjs";
import { LEAD, TABLE, TARGETS } from "./trampoline-targets.mjs";

/** `expected_attach_type` of each kind of link. */
const ATTACH = { fentry: 24, fexit: 25, fmod_ret: 26, fsession: 58 };
/** Commands of the system call, and helpers. */
const [LINK_CREATE, LINK_SIZE] = [28, 64];
const [SYS_BPF, SYS_CLOSE, SKB_STORE_BYTES] = [166, 168, 9];
/** Files of the links that are attached. */
const LINKS = { name: "links", type: 2, keySize: 4, valueSize: 64, maxEntries: 1, flags: 0 };
const SLOTS = LINKS.valueSize / 8;

/** By situation, `{ refused }` or `{ seen, events }`. */
export function askAboutTrampolines(arch, version, situations) {
  const guest = guestOf(arch);
  const programs = situations.map(({ name, trigger, links }) => {
    const functions = trigger.functions(version);
    if (Object.values(functions).includes(undefined)) return undefined; // the version has no such function
    return links(version).map((link) => linkProgram(`${name} #${link.id}`, link, functions[link.on]));
  });
  const wanted = new Set(situations.flatMap(({ trigger }) => trigger.target ?? []));
  const targets = [...wanted].flatMap((name) => Object.values(TARGETS[name]).map((each) => ({ ...each, name })));
  // Which programs the kernel takes: the numbers of files depend on it.
  const first = targets.map(({ program, rest }) =>
    caseOf(program, { ...rest, keep: 1, maps: [mapOf(TABLE), mapOf(LOG)], map_init: [] }),
  );
  const links = programs.map((each) =>
    (each ?? []).map(({ program, rest }) => caseOf(program, { maps: [mapOf(LOG)], ...rest })),
  );
  const { kernel, results: verdicts } = askKernel(guest, [...first, ...links.flat()], version);
  if (!kernel.startsWith(version)) throw new Error(`the guest is ${kernel}, not ${version}`);
  const bad = new Map();
  for (const [i, result] of verdicts.splice(0, first.length).entries())
    if (result.verdict !== "accept") bad.set(targets[i].name, result.crash ?? reasonOf(result));
  const refusals = links.map((cases, i) => {
    if (programs[i] === undefined) return `no such function in ${version}`;
    const refused = verdicts.splice(0, cases.length).find(({ verdict }) => verdict !== "accept");
    const { target } = situations[i].trigger;
    if (bad.has(target)) return bad.get(target);
    return refused && (refused.crash ?? reasonOf(refused));
  });

  // All files are opened before anything is attached, so that they have the numbers they are thought to have.
  const script = new GuestScript();
  const log = script.createMap(LOG);
  const entries = new Map(
    Array.from(wanted)
      .filter((name) => !bad.has(name))
      .map((name) => [name, loadTarget(script, TARGETS[name], log)]),
  );
  const loaded = situations.map((_, i) =>
    refusals[i] === undefined
      ? programs[i].map(({ program, rest }) => script.load(program, [log], { ...rest, keep: true }).file)
      : undefined,
  );
  const attached = script.createMap(LINKS);
  const symbols = script.cases.push({ name: "addresses", kallsyms: "bpf_fentry_test" }) - 1;
  const plays = situations.map((situation, i) => {
    if (loaded[i] === undefined) return () => ({ refused: refusals[i] });
    const entry = entries.get(situation.trigger.target);
    return play(script, { version, situation, loaded: loaded[i], entry, log, attached, symbols });
  });
  const { results } = askKernel(guest, script.cases, version);
  script.check(results);
  return { kernel, outcomes: Object.fromEntries(situations.map(({ name }, i) => [name, plays[i](results)])) };
}

const mapOf = ({ type, keySize, valueSize, maxEntries }) => ({ type, key: keySize, value: valueSize, max: maxEntries });

/** Loads the programs of a target; gives the array that leads to its main program, and the case that loaded that. */
function loadTarget(script, { main, f }, log) {
  const [table, lead] = [script.createMap(TABLE), script.createMap(TABLE)];
  const load = ({ program, rest }) => script.load(program, [table, log], { ...rest, keep: true });
  const { at, file } = load(main);
  script.set(lead, 0, file);
  if (f !== undefined) script.set(table, 0, load(f).file);
  return { lead, at };
}

/** A link's program, and what a case needs to load it. */
function linkProgram(name, link, { bits, target }) {
  const program = { ...recorder({ ...link, words: bits.length }), name };
  const rest = {
    type: "tracing",
    flags: 0,
    expected_attach_type: ATTACH[link.kind],
    relocs: kfuncsOf(program),
    ...(target === undefined ? { attach_btf: link.on } : { attach_prog: target.program, abtfid: target.id }),
  };
  return { program, rest };
}

/** Adds a situation's cases to a script; gives a reader of results. */
function play(script, { version, situation, loaded, entry, log, attached, symbols }) {
  const { trigger } = situation;
  const links = situation.links(version);
  const functions = trigger.functions(version);
  const attaches = links.map((link, slot) => attach(script, loaded[slot], link, attached, slot));
  run(script, "reset", "r7 = map[log][0]+0\n*(u64 *)(r7 + 0) = 0\n*(u64 *)(r7 + 8) = 0\nr0 = 0\nexit", LOG, log);
  const from = script.cases.length;
  script.cases.push(...trigger.cases(version));
  if (entry !== undefined) script.load(LEAD, [entry.lead], { runs: [{ data: hex(new Uint8Array(64)) }] });
  const to = script.cases.length;
  const close = Array.from(
    { length: SLOTS },
    (_, i) =>
      `r1 = *(u64 *)(r7 + ${8 * i})\nif r1 s<= 0 goto next${i}\ncall ${SYS_CLOSE}\nnext${i}:\n*(u64 *)(r7 + ${8 * i}) = 0`,
  );
  run(script, "detach", `r7 = map[links][0]+0\n${close.join("\n")}\nr0 = 0\nexit`, LINKS, attached);
  const copy = assemble(`r2 = 0\nr3 = map[log][0]+0\nr4 = ${LOG_SIZE}\nr5 = 0\ncall ${SKB_STORE_BYTES}\nr0 = 0\nexit`, {
    type: "sched_cls",
    maps: [LOG],
  });
  const packet = { data: hex(new Uint8Array(LOG_SIZE)), out: LOG_SIZE };
  const copied = script.load({ ...copy, name: "copy" }, [log], { runs: [packet] }).at;
  return (results) => {
    const errors = attaches.map((at) => results[at].runs[0].retval | 0).filter((file) => file < 0);
    if (errors.length > 0) return { refused: `attach: errno ${-errors[0]}` };
    const bytes = Buffer.from(results[copied].runs[0].data, "hex");
    const addressAt = (on) =>
      entry === undefined ? addressOf(results[symbols], on) : BigInt(`0x${results[entry.at].ksyms[1]}`);
    const functionOf = ({ on }) => ({ ...functions[on], address: addressAt(on) });
    return {
      seen:
        entry === undefined ? trigger.seen(results.slice(from, to)) : describeRun(results[from].runs[0].retval, bytes),
      events: describeRecords(recordsOf(bytes), links, functionOf),
    };
  };
}

/** Attaches a program and keeps the file of the link; the case returns the file, or minus an errno. */
function attach(script, file, { kind, cookie = 0n }, map, slot) {
  const attributes = new BigUint64Array(LINK_SIZE / 8);
  attributes.set([BigInt(file), BigInt(ATTACH[kind]), 0n, cookie]);
  const stores = Array.from(attributes, (word, i) => `r1 = ${word} ll\n*(u64 *)(r10 - ${LINK_SIZE - 8 * i}) = r1`);
  const text = `${stores.join("\n")}\nr2 = r10\nr2 += -${LINK_SIZE}\nr1 = ${LINK_CREATE}\nr3 = ${LINK_SIZE}\ncall ${SYS_BPF}\nr7 = map[links][0]+0\n*(u64 *)(r7 + ${8 * slot}) = r0\nexit`;
  return run(script, "attach", text, LINKS, map);
}

function run(script, name, text, spec, file) {
  const program = { ...assemble(text, { type: "syscall", maps: [spec] }), name };
  return script.load(program, [file], { runs: [{ repeat: 0 }] }).at;
}

function addressOf({ kallsyms }, name) {
  const line = kallsyms.find((each) => each.split(" ")[2] === name);
  return line === undefined ? 0n : BigInt(`0x${line.split(" ")[0]}`);
}

/** The last line of a log that says something. */
function reasonOf({ log = "", load_errno, warn }) {
  const lines = log.trim().split("\n");
  const said = lines.filter((line) => line !== "" && !/^(processed|mark_precise|\d+:|stack depth)/.test(line));
  return said.at(-1) ?? warn?.join() ?? `errno ${load_errno}`;
}

/** Where a program calls functions of the kernel. */
function kfuncsOf({ insns, kfuncs }) {
  const relocs = [];
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    if (insns.code(i) === 0x85 && insns.src(i) === 2) relocs.push({ insn: i, name: kfuncs[insns.imm(i)] });
  }
  return relocs;
}
