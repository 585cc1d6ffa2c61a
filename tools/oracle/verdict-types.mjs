// `oracle-verdicts --types`: the part of a kernel's types that the verifier's cases need, from its BTF. Structures are those that this
// verifier asks for when it verifies the cases; large ones are cut to what the cases depend on.
import { writeFileSync } from "node:fs";
import { attachTarget, kernelTypes, loadBtf } from "@bpfkit/object";
import { answerHere } from "../../packages/core/test/verifier/agreement.mjs";
import { memberText, targetKey } from "../../packages/core/test/verifier/kernel-types.mjs";
import { askKernel } from "./kernel.mjs";

/** Structures with more members are cut to those that some case depends on. */
const WHOLE = 12;

/** Members in order, and which of them a walk ended at: those that decide what a case finds. */
class Walked extends Array {
  ends = new Set();

  *[Symbol.iterator]() {
    let last;
    try {
      for (let i = 0; i < this.length; i++) {
        last = this[i];
        yield last;
      }
    } finally {
      this.ends.add(last);
    }
  }

  find(test) {
    const found = super.find(test);
    this.ends.add(found);
    return found;
  }
}

/** Asks a kernel for its types, and writes what `cases` need of them into a file. */
export function writeTypes(verify, cases, kernel, file) {
  const { results } = askKernel("x86_64", [{ name: "types", readfile: "/sys/kernel/btf/vmlinux" }], kernel);
  const btf = loadBtf(new Uint8Array(Buffer.from(results[0].file, "hex")));
  const all = kernelTypes(btf);
  const asked = new Map();
  const types = {
    struct(key) {
      const found = all.struct(key);
      if (found === undefined || asked.has(key)) return asked.get(key);
      asked.set(key, { ...found, members: Walked.from(found.members) });
      return asked.get(key);
    },
  };
  const targets = {};
  for (const entry of cases) {
    const target = entry.target === undefined ? undefined : targetOf(btf, entry);
    if (target !== undefined) targets[targetKey(entry)] = { id: idOf(btf, entry), ...memberOf(btf, entry), ...target };
    answerHere(verify, entry, kernel, { typed: { types, ...(target === undefined ? {} : { target }) } });
  }
  const structs = Object.fromEntries(
    [...asked].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, struct]) => [key, excerptOf(struct)]),
  );
  const lines = (rows) =>
    Object.entries(rows).map(([key, row]) => `    ${JSON.stringify(key)}: ${JSON.stringify(row)}`);
  const text = `{\n  "targets": {\n${lines(targets).join(",\n")}\n  },\n  "structs": {\n${lines(structs).join(",\n")}\n  }\n}\n`;
  writeFileSync(file, text);
  console.log(
    `Linux ${kernel}: ${Object.keys(targets).length} targets, ${asked.size} structures, ${text.length} bytes`,
  );
}

function targetOf(btf, { type, attach, target }) {
  try {
    return attachTarget(btf, { type, attachType: attach, target });
  } catch (error) {
    console.log(`  ${target}: ${error.message}`);
    return undefined;
  }
}

/** The number that a program is loaded with. */
function idOf(btf, { type, attach, target }) {
  if (type === "struct_ops") return btf.find(target.split(".")[0], "struct");
  if (attach === "trace_raw_tp") return btf.find(`btf_trace_${target}`, "typedef");
  return btf.find(target, "func");
}

/** Of a struct_ops program: the position of its function among the members, which takes the place of an attach type. */
function memberOf(btf, { type, target }) {
  if (type !== "struct_ops") return {};
  const [ops, member] = target.split(".");
  return { member: btf.type(btf.find(ops, "struct")).members.findIndex(({ name }) => name === member) };
}

function excerptOf({ members, ...rest }) {
  const all = Array.from({ length: members.length }, (_, i) => members[i]);
  // The last one may be an array of any length.
  const kept = (member, i) => all.length <= WHOLE || i === all.length - 1 || members.ends.has(member);
  return { ...rest, members: all.filter(kept).map(memberText) };
}
