import { expect, test } from "vitest";
import { placeArgs } from "../../src/trampoline/args.ts";
import { parseFuncModel } from "../../src/trampoline/func-model.ts";
import { type LinkKind, planTrampoline, type TrampolineSpec } from "../../src/trampoline/plan.ts";
import { encodeRow, Row } from "../../src/trampoline/row.ts";

const model = parseFuncModel("int (u64, u64)");
const places = placeArgs(model, { registers: 6, struct: "stack", typed: false });

function row(
  kinds: readonly LinkKind[],
  rest: Partial<TrampolineSpec> = { funcIp: true },
): ReturnType<typeof encodeRow> {
  const links = kinds.map((kind, i) => ({ kind, cookie: BigInt(0x50 + i) }));
  const plan = planTrampoline({ model, links, original: "from-stack", ...rest }, places, true);
  return encodeRow(
    plan,
    links.map((_, i) => ({ code: BigInt(0x1000 * (i + 1)), object: BigInt(i + 1) })),
  );
}

/** The words of a row in hexadecimal. */
function words({ bytes }: { readonly bytes: Uint8Array }): string[] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 8 }, (_, i) => view.getBigUint64(8 * i, true).toString(16));
}

test("a row of programs that run before its function has an empty second list", () => {
  const one = row(["fentry", "fentry"]);
  expect(words(one).join(" ")).toBe("0 2 2000 2 51 2 2 1000 1 50 2 0 0");
  expect(one.entries).toEqual([
    { offset: Row.LISTS, link: 1 },
    { offset: Row.LISTS + Row.ENTRY, link: 0 },
  ]);
});

test("a row with sessions says how many, where the word of each is, and that the function has returned", () => {
  const one = row(["fsession", "fexit", "fsession"]);
  expect(words(one)).toEqual([
    "fffffffffffffffd",
    ...["2", "3000", "3", "52", "402"],
    ...["2", "1000", "1", "50", "302"],
    "0",
    ...["2", "3000", "3", "52", "8000000000000402"],
    ...["2", "2000", "2", "51", "8000000000000002"],
    ...["2", "1000", "1", "50", "8000000000000302"],
    "0",
  ]);
});

test("what rows cannot say is refused", () => {
  expect(() => row(["fmod_ret"])).toThrow("a row of such a function");
  expect(() => row(["fexit"], {})).toThrow("a row of such a function");
});

test("a trampoline that goes by rows goes by nothing else, has room for 19 sessions and the function's address", () => {
  const plan = (rest: Partial<TrampolineSpec>) =>
    planTrampoline({ model, links: [], original: "from-stack", fromRow: true, ...rest }, places, true);
  expect(plan({})).toMatchObject({ sessions: 19, callsOriginal: true, entered: "call", spec: { funcIp: true } });
  for (const rest of [{ links: [{ kind: "fexit" }] }, { original: "known" }, { indirect: true }] as const)
    expect(() => plan(rest)).toThrow("goes by rows, and by something else");
});
