import { describe, expect, test } from "vitest";
import { bpfkit, exampleText } from "./support.ts";

interface Line {
  readonly bytes: string;
  readonly text: string;
}

/** The functions of llvm-objdump's text, by name. */
function parseObjdump(text: string): ReadonlyMap<string, readonly Line[]> {
  const functions = new Map<string, Line[]>();
  let current: Line[] = [];
  for (const line of text.split("\n")) {
    const name = /^[0-9a-f]{16} <(.+)>:$/.exec(line)?.[1];
    if (name !== undefined) {
      current = [];
      functions.set(name, current);
    }
    const insn = /^ *\d+:\t([0-9a-f ]+)\t(.+)$/.exec(line);
    if (insn !== null) current.push({ bytes: insn[1]!, text: insn[2]! });
  }
  return functions;
}

const withoutNote = ({ text }: Line) => text.replace(/ <[^<>]*>$/, "");
/** Two-slot loads and calls whose value a relocation gives. */
const withoutValue = (line: Line) =>
  withoutNote(line)
    .replace(/^(r\d) = 0x[0-9a-f]+ ll$/, "$1 = … ll")
    .replace(/^call -?0x[0-9a-f]+$/, "call …");

describe("the example, as llvm-objdump 19 prints it", () => {
  const theirs = parseObjdump(exampleText("firewall.objdump.txt"));
  const ours = parseObjdump(bpfkit(["dis", "firewall.bpf.o"]).out);
  const relocated = (name: string, index: number) => {
    const [mine, other] = [ours.get(name)![index]!, theirs.get(name)![index]!];
    return mine.bytes !== other.bytes;
  };

  test("has the same functions", () => {
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
  });

  test.each([...theirs.keys()])(
    "%s: every instruction that is not relocated has the same bytes and the same text",
    (name) => {
      const keep = (lines: readonly Line[]) => lines.filter((_, i) => !relocated(name, i));
      expect(keep(ours.get(name)!)).toEqual(
        keep(theirs.get(name)!).map((line) => expect.objectContaining({ bytes: line.bytes })),
      );
      expect(keep(ours.get(name)!).map(withoutNote)).toEqual(keep(theirs.get(name)!).map(withoutNote));
    },
  );

  test.each([...theirs.keys()])("%s: relocated instructions differ in their value only", (name) => {
    expect(ours.get(name)!.map(withoutValue)).toEqual(theirs.get(name)!.map(withoutValue));
  });

  test("jumps name the same places", () => {
    const targets = (functions: ReadonlyMap<string, readonly Line[]>) =>
      [...functions].flatMap(([name, lines]) =>
        lines.filter(({ text }) => text.includes("goto")).map(({ text }) => `${name}: ${text}`),
      );
    expect(targets(ours).sort()).toEqual(targets(theirs).sort());
    expect(targets(ours).length).toBeGreaterThan(60);
  });

  test("only what relocations name is relocated", () => {
    const { relocations } = JSON.parse(bpfkit(["obj", "firewall.bpf.o", "-j"]).out) as { relocations: unknown[] };
    const changed = [...ours].flatMap(([name, lines]) => lines.filter((_, i) => relocated(name, i)));
    expect(changed).toHaveLength(relocations.length);
  });
});

describe("dis", () => {
  test("prints a program by its name or its section", () => {
    const all = bpfkit(["dis", "firewall.bpf.o"]);
    expect(bpfkit(["dis", "firewall.bpf.o", "firewall"])).toEqual(all);
    expect(bpfkit(["dis", "firewall.bpf.o", "xdp"])).toEqual(all);
  });

  test("names the programs there are when it does not find one", () => {
    expect(bpfkit(["dis", "firewall.bpf.o", "nope"])).toMatchObject({
      code: 2,
      out: "",
      err: "bpfkit: firewall.bpf.o has no program nope; there are firewall\n",
    });
  });

  test.each([
    ["llvm", "\tr1 = 0x0 ll <blocked>\n"],
    ["bpfkit", "\tr1 = map[blocked]\n"],
    ["kernel", "\t(18) r1 = map[idx:1]\n"],
  ])("prints a map reference in the syntax of %s", (syntax, text) => {
    expect(bpfkit(["dis", "firewall.bpf.o", "--syntax", syntax]).out).toContain(text);
  });

  test("gives JSON with bytes, text, source and relocation of each instruction", () => {
    const { code, out } = bpfkit(["dis", "firewall.bpf.o", "--json"]);
    const { programs } = JSON.parse(out) as { programs: { name: string; insns: unknown[] }[] };
    expect(code).toBe(0);
    expect(out.trimEnd().split("\n")).toHaveLength(1);
    expect(programs.map(({ name, insns }) => [name, insns.length])).toEqual([["firewall", 401]]);
    expect(programs[0]!.insns[0]).toEqual({
      slot: 0,
      bytes: "b702000000000000",
      text: "r2 = 0x0",
      source: {
        file: "examples/firewall/firewall.bpf.c",
        line: 357,
        column: 0,
        text: "int firewall(struct xdp_md *xdp)",
      },
    });
    expect(programs[0]!.insns).toContainEqual(
      expect.objectContaining({ slot: 90, relocation: { type: "R_BPF_64_64", symbol: "verdicts" } }),
    );
  });
});
