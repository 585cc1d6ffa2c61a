// Maps that several programs of a guest share, and that change between runs. The harness makes maps for one case only, so here programs
// of the guest make and change them, through the system call that `syscall` programs may make; its files are known by their numbers.
import { assemble } from "@bpfkit/core";
import { caseOf, hex } from "./kernel.mjs";

const [MAP_CREATE, MAP_UPDATE, MAP_DELETE, BTF_LOAD, MAP_FREEZE] = [0, 2, 3, 18, 22];
const SYS_BPF = 166;
/** What the guest has open before the first case. */
const OPEN = 5;
const LDDW = 0x18;
/** Room for the attributes of a system call and what they point to. */
const CALL_DATA = 4096;

/** The cases that one guest is to answer, in order, with the numbers of the files that they leave open. */
export class GuestScript {
  cases = [];
  /** What the numbers of files were thought to be, to be held against what the guest says: case and number. */
  #expected = [];
  #files = new Set(Array.from({ length: OPEN }, (_, i) => i));

  /** Makes a map that stays; gives its file. `types` describe what lies in its values: file of the types, ids of key and value. */
  createMap({ type, keySize, valueSize, maxEntries, flags }, types = { file: 0, key: 0, value: 0 }) {
    const shape = [type, keySize, valueSize, maxEntries, flags];
    const words = [...shape, ...new Array(7).fill(0), types.file, types.key, types.value, 0];
    return this.#creates("create", MAP_CREATE, words);
  }

  /** Loads type information that stays; gives its file. */
  loadTypes(btf) {
    return this.#creates("types", BTF_LOAD, [0, 0, 0, 0, btf.length, 0], [[0, btf]]);
  }

  /** Puts a value into slot 0 of an array map. */
  fill(map, value) {
    const pointers = [
      [2, new Uint8Array(4)],
      [4, value],
    ];
    this.#expected.push([this.#call("fill", MAP_UPDATE, [map, 0, 0, 0, 0, 0, 0, 0], pointers), 0]);
  }

  /** Nobody may write the map any more but programs. */
  freeze(map) {
    this.#expected.push([this.#call("freeze", MAP_FREEZE, [map]), 0]);
  }

  /**
   * The system call, on attributes in words that lie in a map's value; `pointers` are words that get the address of some bytes behind
   * them. Gives the index of the case.
   */
  #call(name, command, words, pointers = []) {
    const initial = new Uint8Array(CALL_DATA);
    initial.set(new Uint8Array(Uint32Array.from(words).buffer));
    let end = 8 * Math.ceil(words.length / 2);
    let text = "r6 = map[data][0]+0\n";
    for (const [word, bytes] of pointers) {
      text += `r3 = r6\nr3 += ${end}\n*(u64 *)(r6 + ${4 * word}) = r3\n`;
      initial.set(bytes, end);
      end += 8 * Math.ceil(bytes.length / 8);
    }
    text += `r1 = ${command}\nr2 = r6\nr3 = ${4 * words.length}\ncall ${SYS_BPF}\nexit`;
    const data = { name: "data", type: 2, keySize: 4, valueSize: CALL_DATA, maxEntries: 1, flags: 0, initial };
    return this.#push({ ...assemble(text, { type: "syscall", maps: [data] }), name }, { runs: [{ repeat: 0 }] });
  }

  #creates(...call) {
    const at = this.#call(...call);
    const data = this.#open();
    const program = this.#open();
    const file = this.#open();
    this.#files.delete(data);
    this.#files.delete(program);
    this.#expected.push([at, file]);
    return file;
  }

  /** Loads a program whose maps are `files`; gives the index of its case and, where it is kept, its file. */
  load(program, files, { keep = false, ...rest } = {}) {
    const insns = withFiles(program.insns, files);
    const at = this.#push(program, { insns: hex(insns), maps: [], map_init: [], keep: keep ? 1 : 0, ...rest });
    const information = this.cases[at].per_insn ? this.#open() : undefined;
    const file = this.#open();
    if (!keep) this.#files.delete(file);
    this.#files.delete(information);
    return { at, file };
  }

  /** Puts a program into a slot of a prog array, or takes it out; gives the index of the case. */
  set(array, slot, program) {
    const attributes = `*(u32 *)(r10 - 8) = ${slot}\n*(u32 *)(r10 - 4) = ${program ?? 0}\n*(u64 *)(r10 - 48) = ${array}\nr2 = r10\nr2 += -8\n*(u64 *)(r10 - 40) = r2\nr2 += 4\n*(u64 *)(r10 - 32) = ${program === undefined ? 0 : "r2"}\n*(u64 *)(r10 - 24) = 0`;
    const text = `${attributes}\nr1 = ${program === undefined ? MAP_DELETE : MAP_UPDATE}\nr2 = r10\nr2 += -48\nr3 = 32\ncall ${SYS_BPF}\nexit`;
    const at = this.#push(syscall("set", text), { runs: [{ repeat: 0 }] });
    this.#expected.push([at, 0]);
    return at;
  }

  /** Reads `words` words of element 0 of an array map; the case has a run for each. */
  read(map, words) {
    const text = `r6 = *(u64 *)(r1 + 0)\nr6 &= 56\nr0 = map[fd:${map}][0]+0\nr0 += r6\nr0 = *(u64 *)(r0 + 0)\nexit`;
    const runs = Array.from({ length: words }, (_, i) => ({
      ctx: hex(Uint8Array.of(8 * i, 0, 0, 0, 0, 0, 0, 0)),
      repeat: 0,
    }));
    return this.#push(syscall("read", text), { runs });
  }

  /** @throws {Error} where a number of a file was not what the guest gave it */
  check(results) {
    for (const [at, file] of this.#expected) {
      const { runs, log, crash } = results[at];
      if (runs?.[0]?.retval !== file)
        throw new Error(`case ${at} (${this.cases[at].name}): ${crash ?? runs?.[0]?.retval ?? log}, not ${file}`);
    }
  }

  #push(program, rest) {
    return this.cases.push(caseOf(program, rest)) - 1;
  }

  #open() {
    let file = 0;
    while (this.#files.has(file)) file++;
    this.#files.add(file);
    return file;
  }
}

const syscall = (name, text) => ({ ...assemble(text, { type: "syscall" }), name });

/** The bytes of a program that names its maps by their files. */
function withFiles(insns, files) {
  const words = Int32Array.from(insns.words);
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    const source = insns.src(i);
    if (insns.code(i) !== LDDW || (source !== 5 && source !== 6)) continue;
    words[2 * i] = (words[2 * i] & ~0xf000) | ((source - 4) << 12);
    words[2 * i + 1] = files[insns.imm(i)];
  }
  return new Uint8Array(words.buffer);
}
