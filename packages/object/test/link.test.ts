import { describe, expect, test } from "vitest";
import { loadObject, type ObjectFile, type ObjectProgram } from "../src/load.ts";
import { CODE, code, concat, EXIT, golden, type HandSymbol, handMade, load, pack, programNamed } from "./objects.ts";

function subprogs(object: ObjectFile, name: string): string[] {
  return programNamed(object, name).subprogs.map((subprog) => subprog.name);
}

/** Slot and target of each call of a subprogram and each address of one. */
function references({ insns }: ObjectProgram): number[][] {
  const found: number[][] = [];
  for (let at = 0; at < insns.length; at += insns.width(at)) {
    const call = insns.code(at) === 0x85 && insns.src(at) === 1;
    const address = insns.code(at) === 0x18 && insns.src(at) === 4;
    if (call || address) found.push([at, at + insns.imm(at) + 1]);
  }
  return found;
}

test("a program has the functions that it reaches, each behind the first reference to it", () => {
  const object = load("subprogs");
  expect(subprogs(object, "one")).toEqual(["one", "hidden_middle", "global_leaf", "weak_leaf", "middle", "leaf"]);
  expect(subprogs(object, "two")).toEqual(["two", "beside", "global_leaf"]);
  expect(subprogs(object, "three")).toEqual(["three", "beside_unused_by_second", "beside", "middle", "leaf"]);
  expect(subprogs(object, "four")).toEqual(["four"]);
  expect(object.programs.map(({ name }) => name)).toEqual(["one", "two", "three", "four"]);
});

test("debug information changes nothing about the code", () => {
  const [withBtf, without] = [load("subprogs"), load("no-btf")];
  for (const [i, program] of withBtf.programs.entries()) {
    expect(without.programs[i]!.insns.words).toEqual(program.insns.words);
    const places = program.subprogs.map(({ name, start }) => ({ name, start }));
    expect(without.programs[i]!.subprogs).toEqual(places);
  }
});

test("calls and addresses of functions lead to the start of a subprogram", () => {
  for (const name of ["subprogs", "callbacks", "order", "linked", "kfunc"]) {
    for (const program of load(name).programs) {
      const starts = program.subprogs.map(({ start }) => start);
      for (const [, target] of references(program)) expect(starts).toContain(target);
    }
  }
});

test("functions whose address is taken are appended and referred to with pseudo source 4", () => {
  const program = programNamed(load("callbacks"), "loops");
  expect(program.subprogs.map(({ name, start }) => ({ name, start }))).toEqual([
    { name: "loops", start: 0 },
    { name: "add", start: 28 },
    { name: "count", start: 36 },
    { name: "visit", start: 40 },
  ]);
  expect(references(program)).toEqual([
    [6, 28],
    [13, 40],
    [19, 28],
    [33, 36],
  ]);
  expect(program.insns.imm(7)).toBe(0);
});

test("calls of kernel functions name their index in the program's list", () => {
  const { insns, kfuncs } = programNamed(load("kfunc"), "leave");
  const calls = [...Array(insns.length).keys()].filter((at) => insns.code(at) === 0x85 && insns.src(at) === 2);
  expect(kfuncs).toEqual(["bpf_task_acquire", "bpf_rcu_read_lock", "bpf_task_release"]);
  expect(calls.map((at) => [at, kfuncs[insns.imm(at)], insns.off(at)])).toEqual([
    [1, "bpf_task_acquire", 0],
    [3, "bpf_rcu_read_lock", 0],
    [9, "bpf_task_release", 0],
  ]);
});

describe.each(["callbacks", "globals", "order", "xdp"])("libbpf links %s.o to the same", (name) => {
  const theirs = golden(`${name}.libbpf.hex`).replaceAll("\n", "");
  const object = load(name);
  const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  /** Our program with map references as libbpf leaves them: the index in the object, not in the program. */
  const theirForm = ({ insns, maps }: ObjectProgram): string => {
    const bytes = insns.toBytes();
    for (let at = 0; at < insns.length; at += insns.width(at)) {
      if (insns.code(at) === 0x18 && insns.src(at) >= 5) bytes[8 * at + 4] = object.maps.indexOf(maps[insns.imm(at)]!);
    }
    return hex(bytes);
  };

  test("instructions", () => {
    for (const program of object.programs) expect(theirs.includes(theirForm(program)), program.name).toBe(true);
  });

  test("function and line records", () => {
    for (const { name: program, funcs, lines } of object.programs) {
      const records = concat([...funcs!.insn].map((insn, i) => pack([4, insn], [4, funcs!.type[i]!])));
      expect(theirs.includes(hex(records)), `functions of ${program}`).toBe(true);
      const pattern = [...lines!.insn].map((insn, i) => {
        const position = lines!.line[i]! * 1024 + lines!.column[i]!;
        return `${hex(pack([4, insn]))}.{16}${hex(pack([4, position]))}`;
      });
      expect(theirs, `lines of ${program}`).toMatch(new RegExp(pattern.join("")));
    }
  });
});

describe("functions by hand", () => {
  const CALL = (imm: number, src = 1): readonly [number, number, number, number, number] => [0x85, 0, src, 0, imm];
  const object = (
    symbols: readonly HandSymbol[],
    contents: Uint8Array,
    ...relocations: (readonly [number, number, number])[]
  ): ObjectFile =>
    loadObject(
      handMade(
        [
          { name: "xdp", flags: CODE, contents },
          {
            name: ".relxdp",
            type: 9,
            info: 1,
            link: 3,
            contents: concat(relocations.map(([offset, type, symbol]) => pack([8, offset], [4, type], [4, symbol]))),
          },
        ],
        symbols,
      ),
    );
  const main: HandSymbol = { name: "main", type: 2, section: "xdp", size: 16 };
  const local: HandSymbol = { name: "f", type: 2, binding: 0, section: "xdp", value: 16, size: 8 };

  test("a call within the section needs no relocation", () => {
    const program = object([main, local], code(CALL(1), EXIT, EXIT)).programs[0]!;
    expect(program.subprogs).toEqual([
      { name: "main", start: 0 },
      { name: "f", start: 2 },
    ]);
    expect(program.insns.imm(0)).toBe(1);
  });

  test("recursion and mutual calls place each function once", () => {
    const program = object(
      [main, local, { ...local, name: "g", value: 24, size: 16 }],
      code(CALL(1), EXIT, CALL(0), CALL(-2), CALL(-5)),
    ).programs[0]!;
    expect(program.subprogs.map(({ name }) => name)).toEqual(["main", "f", "g"]);
  });

  test("a function without a size ends where the next one starts, or with its section", () => {
    const { programs } = object(
      [
        { ...main, size: 0 },
        { ...main, name: "second", value: 16, size: 0 },
      ],
      code(EXIT, EXIT, EXIT),
    );
    expect(programs.map(({ name, insns }) => [name, insns.length])).toEqual([
      ["main", 2],
      ["second", 1],
    ]);
  });

  test("two names of one function are two programs", () => {
    const { programs } = object(
      [
        { ...main, size: 8 },
        { ...main, name: "alias", size: 8 },
      ],
      code(EXIT),
    );
    expect(programs.map(({ name, insns }) => [name, insns.length])).toEqual([
      ["main", 1],
      ["alias", 1],
    ]);
  });

  test("weak functions are programs, local ones are not", () => {
    expect(object([{ ...main, binding: 2 }, local], code(EXIT, EXIT, EXIT)).programs.map(({ name }) => name)).toEqual([
      "main",
    ]);
  });

  test("a function alone in .text is a program of no type; with others it is a subprogram", () => {
    const text = (...symbols: HandSymbol[]): string[] =>
      loadObject(handMade([{ name: ".text", flags: CODE, contents: code(EXIT, EXIT, EXIT) }], symbols)).programs.map(
        ({ name, type }) => `${name} ${type}`,
      );
    const one = { ...main, section: ".text" };
    expect(text(one)).toEqual(["main unspec"]);
    expect(text(one, { ...local, section: ".text" })).toEqual([]);
  });

  test.each([
    ["a call of itself", code(CALL(-1), EXIT, EXIT), [], "loaded"],
    [
      "a call past the section",
      code(CALL(9), EXIT, EXIT),
      [],
      "xdp: main: instruction 0: reference to instruction 10 of section xdp, expected the start of a function",
    ],
    [
      "a call into the middle of a function",
      code(CALL(0), EXIT, EXIT),
      [],
      "xdp: main: instruction 0: reference to instruction 1 of section xdp, expected the start of a function",
    ],
    [
      "a load cut in two",
      code(EXIT, [0x18, 0, 0, 0, 0], EXIT),
      [],
      "xdp: main: instruction 1: two-slot load cut by the end of the function, expected a second slot",
    ],
    [
      "a map by file descriptor",
      code([0x18, 1, 1, 0, 3], EXIT, EXIT),
      [],
      "xdp: main: instruction 0: load with pseudo source 1 and no relocation, expected a symbol that says what it refers to",
    ],
    [
      "a kernel function by id",
      code(CALL(77, 2), EXIT, EXIT),
      [],
      "xdp: main: instruction 0: call of a kernel function by BTF id 77, expected a symbol with its name",
    ],
    [
      "a relocated exit",
      code(CALL(0, 0), EXIT, EXIT),
      [[8, 10, 1]],
      "xdp: main: instruction 1: relocation of an instruction with opcode 0x95, expected a call or a two-slot load",
    ],
    [
      "a relocated helper call",
      code(CALL(5, 0), EXIT, EXIT),
      [[0, 10, 1]],
      "xdp: main: instruction 0: relocated call with pseudo source 0, expected 1",
    ],
    [
      "a relocation of the wrong type",
      code(CALL(-1), EXIT, EXIT),
      [[0, 1, 1]],
      "xdp: main: instruction 0: R_BPF_64_64 of a call, expected R_BPF_64_32",
    ],
    [
      "an unknown function",
      code(CALL(-1), EXIT, EXIT),
      [[0, 10, 3]],
      "xdp: main: instruction 0: call of missing, which the object does not define, expected a kernel function declared __ksym",
    ],
    [
      "two relocations of an instruction",
      code(CALL(-1), EXIT, EXIT),
      [
        [0, 10, 1],
        [0, 10, 1],
      ],
      "second relocation at 0 of section xdp, expected one an instruction",
    ],
    [
      "a relocation past the section",
      code(EXIT, EXIT, EXIT),
      [[24, 10, 1]],
      "relocation at 24 of section xdp, expected an instruction, a multiple of 8 below 24",
    ],
  ] as const)("%s", (_, contents, relocations, message) => {
    const load = (): string => {
      object([main, local, { name: "missing", type: 0 }], contents, ...relocations);
      return "loaded";
    };
    if (message === "loaded") expect(load()).toBe(message);
    else expect(load).toThrow(message);
  });

  test("overlapping functions and functions past their section are malformed", () => {
    expect(() => object([main, { ...local, value: 8, size: 8 }], code(EXIT, EXIT, EXIT))).toThrow(
      "xdp: function main at 0 of 16 bytes, expected an end before the next function at 8",
    );
    expect(() => object([{ ...main, size: 32 }], code(EXIT, EXIT, EXIT))).toThrow(
      "xdp: function main at 0 of 32 bytes, expected multiples of 8 within 24 bytes",
    );
    expect(() => object([{ ...main, value: 4, size: 8 }], code(EXIT, EXIT, EXIT))).toThrow(
      "xdp: function main at 4 of 8 bytes",
    );
  });
});
