// Direct tail calls of programs that lie more than 128 MiB away, which arm64 reaches through slots.
import { arm64 } from "@bpfkit/arm64";
import { Access, type Allocation, assemble, jit, MAP_TYPES, type MapSpec, trust } from "@bpfkit/core";
import { Kernel, type LoadedProgram } from "@bpfkit/kernel";
import { afterAll, expect, test } from "vitest";

const MIB = 1 << 20;
const TABLE: MapSpec = { name: "t", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 4, flags: 0 };

/** Two programs that call through slot 0, and members: none, a near one, and two that are far. */
function far(layout: Record<string, boolean>) {
  const engine = jit(arm64, { layout: { directTailCalls: true, ...layout } });
  const kernel = new Kernel({ engine, memory: { sizes: { text: 132 * MIB, data: MIB } }, writeTogether: 1 });
  kernel.createMap(TABLE);
  const load = (name: string, text: string): LoadedProgram =>
    kernel.load(trust(assemble(text, { name, type: "xdp", maps: [TABLE] })));
  const tail = "r2 = map[t]\nr3 = 0\ncall tail_call";
  const callers = [
    load("one", `${tail}\nr0 = 1\nexit`),
    load("two", `r6 = r1\ncall sub\nr0 += r6\nr0 -= r6\nexit\nsub:\nr6 = r1\n${tail}\nr0 = 1\nexit`),
  ];
  const near = load("near", "r0 = 5\nexit");
  const between: Allocation = kernel.memory.allocate("text", 129 * MIB, "between", Access.READ);
  const members = [undefined, near, load("f", "r6 = r1\nr0 = 6\nexit"), load("g", "r0 = 7\nexit")];
  expect(members[2]!.executable.imageAddress! - callers[0]!.executable.imageAddress!).toBeGreaterThan(128n << 20n);
  return { kernel, table: kernel.progArray(TABLE), callers, members, between };
}

type Made = ReturnType<typeof far>;
const results = ({ callers }: Made): unknown[] => callers.map((program) => program.run({ budget: 1000 }).returnValue);
const codeOf = ({ kernel, callers }: Made): number[][] =>
  callers.map(({ executable: { image, imageAddress = 0n } }) => [
    ...kernel.memory.view(imageAddress, image!.code.length),
  ]);

const made: Made = far({ far: true });
afterAll(() => made.kernel.memory.free(made.between));

test("far tail calls follow their slot, to and from near ones and none, and leave the code as it was", () => {
  const fresh = codeOf(made);
  for (const from of [0, 1, 2, 3]) {
    for (const to of [0, 1, 2, 3]) {
      for (const member of [from, to]) {
        const program = made.members[member];
        if (program === undefined) made.table.delete(0);
        else made.table.set(0, program);
        expect(results(made)).toEqual([0, 0].map(() => [1, 5, 6, 7][member]));
      }
    }
  }
  for (const _ of made.table.changing(0, undefined));
  expect(codeOf(made)).toEqual(fresh);
});

test("entries that are traced together lead to trampolines that are far", () => {
  const { kernel, callers } = made;
  const fresh = codeOf(made);
  let runs = 0;
  kernel.registerHelper(9000, () => BigInt(++runs));
  const insns = assemble("call 9000\nr0 = 0\nexit", { name: "t", type: "tracing", license: "GPL" });
  const [one, two] = callers as [LoadedProgram, LoadedProgram];
  const listed = [{ program: one }, { program: two }, { program: two, subprog: "sub" }];
  const link = kernel.attachMulti(kernel.load(trust(insns)), listed, { kind: "fentry" });
  const alone = results(made);
  expect([alone, runs]).toEqual([[1, 1], 3]);
  link.detach();
  expect([results(made), runs, codeOf(made)]).toEqual([alone, 3, fresh]);
});

test("a step that fails leaves slot, site and map as they were, and no CPU that has come so far without an address", () => {
  let failures = 0;
  const sites = made.kernel.textSites.filter(({ far }) => far !== undefined);
  for (const from of [0, 2]) {
    for (const to of [0, 1, 2, 3]) {
      for (let failing = 0; ; failing++) {
        for (const _ of made.table.changing(0, made.members[from]));
        const before = codeOf(made);
        const operation = made.table.changing(0, made.members[to]);
        /** Sites at whose far jump a CPU can be: their word has led there, and nobody has looked since. */
        const led = new Set(
          sites.filter(({ state }) => from === 2 && state.kind === "jump").map(({ far }) => far!.code),
        );
        let kept = to;
        let isDone = false;
        try {
          for (let i = 0, step = operation.next(); ; i++) {
            if (step.done === true) break;
            const { value } = step;
            const isMade = i !== failing;
            if (value.kind === "wait-clear" && isMade) led.delete(value.from);
            else if (value.kind === "write" && isMade) {
              const { address, bytes } = value;
              const site = sites.find((one) => one.address === address || one.far!.slot === address);
              if (site?.far?.slot === address && bytes.every((byte) => byte === 0))
                expect(led, `${from} to ${to}, ${failing}`).not.toContain(site.far.code);
              const isWord = site?.address === address;
              if (isWord && reaches(address, bytes) === site.far!.code) led.add(site.far!.code);
            }
            isDone = i >= failing;
            step = isMade ? operation.next() : operation.throw(new Error("no"));
          }
        } catch (error) {
          if ((error as Error).message !== "no") throw error;
          kept = from;
          expect(codeOf(made)).toEqual(before);
        }
        if (!isDone) break;
        failures++;
        expect(made.table.get(0)).toBe(made.members[kept]);
        expect(results(made)).toEqual([0, 0].map(() => [1, 5, 6, 7][kept]));
      }
    }
  }
  expect(failures).toBeGreaterThan(60);
});

/** Where a `b` leads. */
function reaches(address: bigint, bytes: Uint8Array): bigint {
  const word = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  return address + BigInt(((word << 6) >> 6) * 4);
}

test("without slots a far program is refused, and the map stays as it is", () => {
  const plain = far({});
  plain.table.set(0, plain.members[1]!);
  expect(() => plain.table.set(0, plain.members[2]!)).toThrow(expect.objectContaining({ code: "out-of-range" }));
  expect(plain.table.get(0)).toBe(plain.members[1]);
  expect(results(plain)).toEqual([5, 5]);
});
