import { describe, expect, test } from "vitest";
import { type ArgRules, placeArgs, samePlaces } from "../../src/trampoline/args.ts";
import { formatFuncModel, parseFuncModel } from "../../src/trampoline/func-model.ts";
import { planTrampoline, type TrampolineLink, type TrampolinePlan } from "../../src/trampoline/plan.ts";

const SYSV: ArgRules = { registers: 6, struct: "stack", typed: false };
const AAPCS: ArgRules = { registers: 8, struct: "all-stack", typed: true };
const RISCV: ArgRules = { registers: 8, struct: "split", typed: true };

/** Places as `r0 r1 s0`, with `c` where the upper half is cleared. */
function places(text: string, rules: ArgRules): string {
  return placeArgs(parseFuncModel(text), rules)
    .slots.map(({ in: where, index, clear }) => `${where[0]}${index}${clear ? "c" : ""}`)
    .join(" ");
}

describe("function models", () => {
  test.each([
    ["int (u64, struct{u64,u32}, char *)", "s32 (u64, struct 16, u64)"],
    ["void ()", "void ()"],
    ["void (void)", "void ()"],
    [
      "unsigned long (bool, char, unsigned short, struct { u8; u16; }, union{u64,u32})",
      "u64 (u8, u8, u16, struct 4, struct 8)",
    ],
    ["signed char (signed char, unsigned char)", "s8 (s8, u8)"],
    ["struct 16 *(struct 12)", "u64 (struct 12)"],
  ])("%s", (text, formatted) => {
    expect(formatFuncModel(parseFuncModel(text))).toBe(formatted);
    expect(parseFuncModel(formatted)).toEqual(parseFuncModel(text));
  });

  test.each([
    "int",
    "int (float)",
    "int (struct{u64,u64,u8})",
    "struct 16 (int)",
    "int (struct{})",
    "int (int,)",
    "(int)",
  ])("%s is refused", (text) => {
    expect(() => parseFuncModel(text)).toThrow(/function model/);
  });
});

describe("places of arguments", () => {
  test("small numbers on the stack have an upper half that is not theirs", () => {
    expect(places("int (u64, u64, u64, u64, u64, u64, u64, int)", SYSV)).toBe("r0 r1 r2 r3 r4 r5 s0 s1c");
    expect(places("int (u64, u64, u64, u64, u64, u64, u64, u64, int)", AAPCS)).toBe("r0 r1 r2 r3 r4 r5 r6 r7 s0c");
  });

  test("a struct that does not fit goes as the rules say", () => {
    const model = "int (u64, u64, u64, u64, u64, struct 16, u64)";
    expect(places(model, SYSV)).toBe("r0 r1 r2 r3 r4 s0 s1 r5");
    const longer = "int (u64, u64, u64, u64, u64, u64, u64, struct 16, u64)";
    expect(places(longer, AAPCS)).toBe("r0 r1 r2 r3 r4 r5 r6 s0 s1 s2");
    expect(places(longer, RISCV)).toBe("r0 r1 r2 r3 r4 r5 r6 r7 s0 s1");
  });

  test("twelve words are the most", () => {
    const many = (count: number): string => `int (${new Array(count).fill("u64").join()})`;
    expect(placeArgs(parseFuncModel(many(12)), SYSV)).toMatchObject({ registers: 6, stack: 6 });
    expect(() => placeArgs(parseFuncModel(many(13)), SYSV)).toThrow("13 words of arguments");
  });

  test("what can share a trampoline depends on the rules", () => {
    const same = (one: string, other: string, rules: ArgRules): boolean =>
      samePlaces(placeArgs(parseFuncModel(one), rules), placeArgs(parseFuncModel(other), rules));
    expect(same("int (int, u64)", "void (u64, char *)", SYSV)).toBe(true);
    expect(same("int (int, u64)", "int (u32, u64)", AAPCS)).toBe(false);
    expect(same("int (struct 16)", "int (u64, u64)", SYSV)).toBe(true);
    const seventh = (type: string): string => `int (u64, u64, u64, u64, u64, u64, ${type})`;
    expect(same(seventh("int"), seventh("u32"), SYSV)).toBe(true);
    expect(same(seventh("int"), seventh("u64"), SYSV)).toBe(false);
  });
});

describe("plans", () => {
  const plan = (kinds: string, more: Partial<Parameters<typeof planTrampoline>[0]> = {}): TrampolinePlan => {
    const model = parseFuncModel("int (int)");
    const links = kinds.split(" ").map((kind) => ({ kind }) as TrampolineLink);
    return planTrampoline({ model, links, original: "known", ...more }, placeArgs(model, SYSV), true);
  };

  test("of each kind the last attached runs first; a session runs before and behind", () => {
    const { fentry, fmodRet, fexit, sessions } = plan("fentry fexit fsession fmod_ret fentry fexit");
    expect(fentry.map(({ link }) => link)).toEqual([4, 2, 0]);
    expect(fmodRet).toMatchObject([{ link: 3, setsResult: true }]);
    expect(fexit.map(({ link, session }) => [link, session])).toEqual([
      [5, undefined],
      [2, 0],
      [1, undefined],
    ]);
    expect(sessions).toBe(1);
  });

  test("entry programs alone return into the function; others call it, and are jumped to where it is known", () => {
    expect(plan("fentry")).toMatchObject({ callsOriginal: false, entered: "call", keepsResult: false });
    expect(plan("fexit")).toMatchObject({ callsOriginal: true, entered: "jump", keepsResult: true });
    expect(plan("fexit", { original: "from-stack" })).toMatchObject({ callsOriginal: true, entered: "call" });
    expect(plan("fentry", { indirect: true })).toMatchObject({ keepsResult: true, entered: "call" });
    expect(plan("fentry", { indirect: true }).fentry[0]).toMatchObject({ setsResult: true });
  });

  test("A-25 session: it counts as two of 38 links", () => {
    const many = (count: number): string => new Array(count).fill("fentry").join(" ");
    expect(plan(many(38)).fentry).toHaveLength(38);
    expect(() => plan(many(39))).toThrow("39 links");
    expect(() => plan(`${many(37)} fsession`)).toThrow("39 links");
    expect(plan(`${many(36)} fsession`).fentry).toHaveLength(37);
  });

  test("an indirect trampoline has one entry program", () => {
    expect(() => plan("fexit", { indirect: true })).toThrow("an indirect trampoline with fexit");
  });
});
