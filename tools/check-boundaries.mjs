// Fails on an import or a dependency that goes against the arrows between packages, and on the few shapes that the
// linter does not know: `export *`, default exports, barrels, and the name of an architecture in core.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { root, workspacePackages } from "./workspace.mjs";

const BACKEND = { imports: ["core"], tests: ["kernel", "conformance"] };

/** What a package may import, and what its tests may import besides. Private packages under tools/ may import all. */
const ARROWS = {
  core: { imports: [] },
  object: { imports: ["core"] },
  kernel: { imports: ["core"] },
  "x86-64": BACKEND,
  arm64: BACKEND,
  riscv64: BACKEND,
  conformance: { imports: ["core", "kernel"] },
  cli: {
    imports: ["core", "object", "kernel", "x86-64", "arm64", "riscv64", "conformance"],
    node: true,
    runtime: true,
  },
};

/** Folders of core that may not import certain others. */
const CORE_LAYERS = {
  isa: ["asm", "verifier", "patch", "passes", "jit"],
  asm: ["verifier", "patch", "passes", "jit"],
  patch: ["passes"],
  trampoline: ["jit", "machine"],
};

const ARCHITECTURE = /x86|amd64|i386|\barm\b|arm64|aarch64|risc-?v|rv64/i;
const SCOPE = "@bpfkit/";
const failures = [];
const fail = (where, what) => failures.push(`${where}: ${what}`);

const short = (name) => name.slice(SCOPE.length);
const names = (...groups) => groups.flatMap((group) => Object.keys(group ?? {}));
const packageOf = (specifier) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

/** Blanks comments and keeps the line numbers. */
function withoutComments(source) {
  const token = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return source.replace(token, (all, text) => text ?? all.replace(/[^\n]/g, " "));
}

function* matches(source, pattern) {
  for (const match of source.matchAll(pattern)) yield [source.slice(0, match.index).split("\n").length, match[1]];
}

function importsOf(source) {
  const statement = /^[ \t]*(?:import|export)\b(?:[^;"'`]*?\bfrom)?\s*"([^"]+)"/gm;
  const expression = /\bimport\(\s*"([^"]+)"/g;
  return [...matches(source, statement), ...matches(source, expression)];
}

function filesUnder(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** The source files that a package exports, its index first. */
function entriesOf({ dir, manifest }) {
  return Object.values(manifest.exports).flatMap((entry) => {
    const file = entry["@bpfkit/source"];
    return file === undefined ? [] : [join(dir, file)];
  });
}

/** Files that an entry reaches by relative imports, itself included. */
function reachedFrom(entry) {
  const reached = new Set([entry]);
  for (const file of reached) {
    for (const [, specifier] of importsOf(withoutComments(readFileSync(file, "utf8")))) {
      if (specifier.startsWith(".")) reached.add(join(dirname(file), specifier));
    }
  }
  return reached;
}

function checkManifest(where, { imports, tests = [], runtime = false }, manifest) {
  const { dependencies, optionalDependencies, peerDependencies, devDependencies } = manifest;
  for (const name of names(dependencies, optionalDependencies, peerDependencies)) {
    if (name.startsWith(SCOPE) && !imports.includes(short(name))) fail(where, `must not depend on ${name}`);
  }
  for (const name of names(devDependencies)) {
    if (name.startsWith(SCOPE) && ![...imports, ...tests].includes(short(name)))
      fail(where, `must not test with ${name}`);
  }
  for (const name of names(dependencies, optionalDependencies)) {
    if (!name.startsWith(SCOPE) && !runtime) fail(where, `has a dependency from outside at run time: ${name}`);
  }
}

function checkImports({ dir, manifest }, file, source, { node = false }, ofIndex) {
  const inSource = relative(dir, file).startsWith(`src${sep}`);
  const { dependencies, optionalDependencies, peerDependencies, devDependencies } = manifest;
  // The index works without the optional peers; another entry is where they are used.
  const peers = ofIndex.has(file) ? {} : peerDependencies;
  const declared = new Set(names(dependencies, optionalDependencies, peers));
  if (!inSource) for (const name of [...names(devDependencies), manifest.name, "vitest"]) declared.add(name);

  for (const [line, specifier] of importsOf(source)) {
    const where = `${relative(root, file)}:${line}`;
    if (specifier.startsWith(".")) {
      const target = relative(dir, join(dirname(file), specifier));
      if (target.startsWith("..")) fail(where, `reaches out of its package: ${specifier}`);
      else if (inSource && !target.startsWith(`src${sep}`)) fail(where, `reaches out of src: ${specifier}`);
      else if (manifest.name === "@bpfkit/core" && inSource) checkLayers(where, relative(dir, file), target);
    } else if (specifier.startsWith("node:")) {
      if (inSource && !node) fail(where, `must run in a browser, but imports ${specifier}`);
    } else if (!declared.has(packageOf(specifier))) {
      fail(where, `must not import ${specifier}`);
    }
  }
}

function checkLayers(where, from, to) {
  const [, layer] = from.split(sep);
  const [, target] = to.split(sep);
  if (CORE_LAYERS[layer]?.includes(target)) fail(where, `core/${layer} must not import core/${target}`);
}

function checkShapes({ dir, manifest }, file, source) {
  const at = (line) => `${relative(root, file)}:${line}`;
  for (const [line] of matches(source, /^\s*export\s*(?:type\s*)?\*/gm)) fail(at(line), "exports *");
  for (const [line] of matches(source, /^\s*export\s+default\b/gm)) fail(at(line), "has a default export");
  if (!entriesOf({ dir, manifest }).includes(file)) {
    for (const [line] of matches(source, /^[ \t]*export\b[^;"'`=(]*\bfrom\s*"/gm))
      fail(at(line), "re-exports: only entries may");
  }
  if (manifest.name !== "@bpfkit/core") return;
  source.split("\n").forEach((text, index) => {
    if (ARCHITECTURE.test(text)) fail(at(index + 1), `names an architecture: ${text.trim()}`);
  });
}

for (const pkg of workspacePackages()) {
  if (pkg.manifest.private) continue;
  const where = relative(root, pkg.dir);
  const rules = ARROWS[short(pkg.manifest.name)];
  if (rules === undefined) {
    fail(where, "has no arrows in tools/check-boundaries.mjs");
    continue;
  }
  checkManifest(where, rules, pkg.manifest);
  const sources = filesUnder(join(pkg.dir, "src"));
  const ofIndex = reachedFrom(entriesOf(pkg)[0]);
  for (const file of [...sources, ...filesUnder(join(pkg.dir, "test"))]) {
    const source = withoutComments(readFileSync(file, "utf8"));
    checkImports(pkg, file, source, rules, ofIndex);
    if (sources.includes(file)) checkShapes(pkg, file, source);
  }
}

for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exit(1);
console.log("boundaries: every import follows the arrows");
