// The backends have the same parts under the same names, but for what an architecture really has alone or lacks.
import { readdirSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const PACKAGES = fileURLToPath(new URL("../../../packages/", import.meta.url));
const BACKENDS = ["x86-64", "arm64", "riscv64"] as const;

type BackendName = (typeof BACKENDS)[number];

/** Files that not every backend has: which have them, and why the others do not. */
const EXCEPTIONS: Readonly<Record<string, { readonly in: readonly BackendName[]; readonly because: string }>> = {
  "frame.ts": {
    in: ["riscv64"],
    because: "what a frame keeps depends on the counter of tail calls, and each needs the other",
  },
  "iced.ts": { in: ["x86-64"], because: "iced-x86 knows no other architecture" },
  "lower/upper-half.ts": { in: ["riscv64"], because: "elsewhere hardware clears the upper half of a 32-bit result" },
  "meaning/flags.ts": { in: ["x86-64", "arm64"], because: "riscv64 has no flags" },
  "meaning/memory.ts": { in: ["arm64", "riscv64"], because: "on x86-64 memory is an operand of any instruction" },
  "meaning/move.ts": { in: ["x86-64", "arm64"], because: "riscv64 has no moves: it adds 0" },
  "meaning/divide.ts": { in: ["x86-64", "riscv64"], because: "arm64 has two rows for it, and no remainder" },
  "meaning/shift.ts": { in: ["x86-64", "riscv64"], because: "on arm64 shifts are operands and moves of bit fields" },
};

/** Files of a backend, by their paths in `src`. */
function filesOf(backend: BackendName): readonly string[] {
  return readdirSync(join(PACKAGES, backend, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.replaceAll(sep, "/"));
}

test("the sources of the backends are the same files, but for named exceptions", () => {
  const files = BACKENDS.map(filesOf);
  const all = [...new Set(files.flat())].map(
    (file) => [file, BACKENDS.filter((_, i) => files[i]!.includes(file))] as const,
  );
  const partial = all.filter(([, owners]) => owners.length < BACKENDS.length);
  // Both ways: a difference needs an exception, and an exception a difference.
  const excepted = Object.entries(EXCEPTIONS).map(([file, { in: owners }]) => [file, owners]);
  expect(Object.fromEntries(partial)).toEqual(Object.fromEntries(excepted));
  expect(all.length - partial.length).toBeGreaterThan(20);
});
