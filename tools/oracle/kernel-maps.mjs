// Maps that several programs of a guest share, and that change between runs. The harness makes maps for one case only, so here programs
// of the guest make and change them, through the system call that `syscall` programs may make; its files are known by their numbers.
import { assemble } from "@bpfkit/core";
import { caseOf, hex } from "./kernel.mjs";

const [MAP_CREATE, MAP_UPDATE, MAP_DELETE] = [0, 2, 3];
const SYS_BPF = 166;
/** What the guest has open before the first case. */
const OPEN = 5;
const LDDW = 0x18;

/** The cases that one guest is to answer, in order, with the numbers of the files that they leave open. */
export class GuestScript {
  cases = [];
  /** What the numbers of files were thought to be, to be held against what the guest says: case and number. */
  #expected = [];
  #files = new Set(Array.from({ length: OPEN }, (_, i) => i));

  /** Makes a map that stays; gives its file. */
  createMap({ type, keySize, valueSize, maxEntries, flags }) {
    const attributes = new Uint8Array(
      Uint32Array.of(type, keySize, valueSize, maxEntries, flags, 0, 0, 0, 0, 0, 0, 0).buffer,
    );
    const text = `r2 = r1\nr1 = ${MAP_CREATE}\nr3 = ${attributes.length}\ncall ${SYS_BPF}\nexit`;
    const at = this.#push(syscall("create", text), { runs: [{ ctx: hex(attributes), repeat: 0 }] });
    const program = this.#open();
    const file = this.#open();
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
