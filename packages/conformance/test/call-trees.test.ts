import { type Engine, INSNS, Insns, interpreter, OPS, opAt, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import {
  type CallTree,
  generateCallTree,
  shrinkCallTree,
  type TreeAction,
  type TreeFailure,
  TreeJudge,
  TreeRunner,
  treeText,
  treeTrace,
  trustedPrograms,
} from "../src/index.ts";

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);

type TailCall = TreeAction & { readonly body: number };

const tailCallsOf = (tree: CallTree): readonly TailCall[] =>
  tree.programs.flatMap(({ bodies }) =>
    bodies.flatMap(({ actions }, body) =>
      actions.filter(({ kind }) => kind === "tail-call").map((one) => ({ ...one, body })),
    ),
  );

describe("generated call trees", () => {
  test("are the same for the same seed, and others for others", () => {
    const texts = SEEDS.map((seed) => treeText(generateCallTree(seed)));
    expect(SEEDS.map((seed) => treeText(generateCallTree(seed)))).toEqual(texts);
    expect(new Set(texts).size).toBe(SEEDS.length);
  });

  test("have all that tail calls can meet: subprograms, misses, updates, and chains to the limit", () => {
    const runner = new TreeRunner(interpreter);
    const trees = SEEDS.map((seed) => generateCallTree(seed));
    const actions = trees.flatMap(tailCallsOf);
    expect(actions.filter(({ body }) => body > 0).length).toBeGreaterThan(40);
    expect(actions.filter(({ body }) => body === 0).length).toBeGreaterThan(20);
    const traces = trees
      .flatMap((tree) => runner.run(tree, trustedPrograms(tree)))
      .map(({ context }) => treeTrace(context));
    expect(Math.max(...traces.map(({ mains }) => mains))).toBe(34);
    expect(traces.filter(({ mains }) => mains === 34).length).toBeGreaterThan(5);
    expect(traces.filter(({ mains }) => mains > 1 && mains < 34).length).toBeGreaterThan(5);
    expect(traces.flatMap(({ events }) => events.filter((event) => event.includes("-"))).length).toBeGreaterThan(100);
  });

  test("make tail calls in main programs only, where that is wanted", () => {
    const tails = SEEDS.flatMap((seed) => tailCallsOf(generateCallTree(seed, { fromSubprogs: false })));
    expect(tails.length).toBeGreaterThan(20);
    expect(tails.every(({ body }) => body === 0)).toBe(true);
  });

  test("run in lockstep with the interpreter itself, and read nothing that nobody wrote", () => {
    const judge = new TreeJudge(interpreter);
    expect(SEEDS.slice(0, 16).map((seed) => judge.check(seed))).toEqual(new Array(16).fill(undefined));
    expect(judge.boundaries).toBeGreaterThan(16_000);
  });
});

/** The interpreter, which takes `^=` for `|=`. */
const WRONG: Engine = {
  name: "wrong",
  load: (verified, host, options) => {
    const words = verified.program.insns.words.slice();
    const insns = new Insns(words);
    for (let at = 0; at < insns.length; at += insns.width(at)) {
      if (OPS[opAt(insns, at)] === "xor64_reg") words[2 * at] = (words[2 * at]! & ~0xff) | INSNS.or64_reg.code;
    }
    return interpreter.load(trust({ ...verified.program, insns }), host, options);
  },
};

describe("a call tree that comes out wrong", () => {
  test("is told with the place, and shrunk to what is needed", { timeout: 120_000 }, () => {
    const judge = new TreeJudge(WRONG);
    let failure: TreeFailure | undefined;
    for (let seed = 1; failure === undefined && seed < 10; seed++) failure = judge.check(seed);
    expect(failure!.breach.what).toMatch(/^r0, step from program\d:\d+ to program\d:\d+$/);
    expect(failure!.breach.listing).toContain("wrong differs from interpreter after instruction");
    const { steps, programs } = failure!.tree;
    expect(steps.filter(({ kind }) => kind === "run")).toHaveLength(1);
    expect(steps.length).toBeLessThan(5);
    expect(programs.flatMap(({ bodies }) => bodies.flatMap(({ actions }) => actions)).length).toBeLessThan(4);
  });

  test("keeps what shows the mistake when it is shrunk", () => {
    const tree = generateCallTree(7);
    const shows = (candidate: CallTree): boolean => tailCallsOf(candidate).filter(({ body }) => body > 0).length >= 2;
    expect(shows(tree)).toBe(true);
    const small = shrinkCallTree(tree, shows);
    expect(tailCallsOf(small)).toHaveLength(2);
    expect(small.steps).toEqual([]);
    expect(shrinkCallTree(tree, () => true, { attempts: 0 })).toEqual(tree);
  });
});
