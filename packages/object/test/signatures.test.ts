import { verify } from "@bpfkit/core";
import { expect, test } from "vitest";
import { load, programNamed } from "./objects.ts";

/** Signatures of the subprograms of a program, by name. */
function signatures(object: string, program: string): Readonly<Record<string, unknown>> {
  const { subprogs } = programNamed(load(object), program);
  return Object.fromEntries(subprogs.map(({ name, signature }) => [name, signature]));
}

/** What the verifier says of a program. */
function verdict(object: string, program: string): string {
  const result = verify(programNamed(load(object), program));
  return result.ok ? "accepted" : result.reason;
}

test("global functions have signatures; the program itself, static functions and hidden ones have none", () => {
  expect(signatures("signatures", "good")).toEqual({
    good: undefined,
    nothing: { args: ["int"], returns: "void" },
    numbers: { args: ["int", "int", "int"] },
    context: { args: ["ctx"] },
    tagged: { args: ["ctx"] },
    memory: { args: ["mem 16", "mem 5"] },
    never_null: { args: ["mem 16 nonnull"] },
    weak: { args: ["int"] },
    hidden: undefined,
  });
  expect(signatures("subprogs", "three")).toEqual({
    three: undefined,
    beside_unused_by_second: undefined,
    beside: undefined,
    middle: undefined,
    leaf: undefined,
  });
});

test("without types nothing is known of functions", () => {
  const program = programNamed(load("no-btf"), "one");
  expect(program.typed).toBe(false);
  expect(program.subprogs.every(({ signature }) => signature === undefined)).toBe(true);
});

test("what kernels take no function with has their reason", () => {
  const size = (what: string) => `arg#0 reference type('${what}') size cannot be determined: -22`;
  expect(signatures("signatures", "void_pointer").anything).toEqual({ args: [], refusal: size("UNKNOWN ") });
  expect(signatures("signatures", "incomplete").unknown).toEqual({ args: [], refusal: size("FWD hidden_from_btf") });
  expect(signatures("signatures", "returning").pointer).toEqual({
    args: [],
    refusal: "Global function pointer() return value not void or scalar. Only those are supported.",
  });
});

test("verify needs no options for them: each is verified alone, and its callers hand over what it says", () => {
  expect(verdict("signatures", "good")).toBe("accepted");
  // A number is asked for, and the start of the packet is none; a static function would be walked with it.
  expect(verdict("signatures", "packet")).toBe("Caller passes invalid args into func#1 ('weak')");
  expect(verdict("order", "one")).toBe("Caller passes invalid args into func#1 ('global_leaf')");
  for (const name of ["void_pointer", "incomplete", "trusting", "returning", "nullable"])
    expect(verdict("signatures", name)).toMatch(/^Caller passes invalid args into func#1/);
  expect(verdict("callbacks", "loops")).toBe("callback function not static");
});
