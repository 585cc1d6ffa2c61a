// Packages that claim to run in a browser are bundled as for one, and run where there is nothing but the language and a text decoder.
import { createContext, runInContext } from "node:vm";
import { expect, test } from "vitest";
import { bundle, ENTRIES } from "../bundle.mjs";

/** Globals that Node.js has and browsers have not. */
const NODE_GLOBALS = /(?<![.\w$])(process|Buffer|require|__dirname|__filename|setImmediate)(?=[.([])/g;

test.each(Object.keys(ENTRIES))("%s bundles for a browser, and runs with nothing around it", async (name) => {
  const { code, outside } = await bundle(name);
  expect(outside).toEqual([]);
  expect(
    code.replace(/"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "").match(NODE_GLOBALS),
  ).toBeNull();
  const context = createContext({ TextDecoder }, { codeGeneration: { strings: false } });
  expect(runInContext(`${code};bpfkit.result`, context)).toBe(ENTRIES[name]!.expected);
});
