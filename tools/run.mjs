#!/usr/bin/env node
// The one door to every command of this repository: node tools/run.mjs COMMAND [arguments].
// It needs Node and npm only, and installs everything else when that is missing or out of date.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { clearReports, printTotals } from "./test-totals.mjs";
import { root, workspacePackages } from "./workspace.mjs";

const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const env = {
  ...process.env,
  PATH: join(root, "node_modules", ".bin") + delimiter + process.env.PATH,
  BPFKIT_NODE: process.version, // part of turbo's hash: a result of another Node is not replayed
  DO_NOT_TRACK: "1",
  TURBO_TELEMETRY_DISABLED: "1",
  TURBO_NO_UPDATE_NOTIFIER: "1",
};

const STDOUT = 1;
const STDERR = 2;

/** Runs a program in `cwd` and returns its exit status; its output goes to `out`. */
function status(program, args, { cwd = root, out = STDOUT } = {}) {
  const shell = process.platform === "win32" && program !== process.execPath;
  const result = spawnSync(program, args, { cwd, env, shell, stdio: ["inherit", out, STDERR] });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

/** The same, but a failure ends everything. */
function run(program, args, options) {
  const code = status(program, args, options);
  if (code !== 0) process.exit(code);
}

function install() {
  const inputs = ["pnpm-lock.yaml", "pnpm-workspace.yaml"].map((file) => readFileSync(join(root, file)));
  const hash = createHash("sha256").update(process.version);
  for (const input of inputs) hash.update(input);
  const current = hash.digest("hex");
  const stamp = join(root, "node_modules", ".install-stamp");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === current) return;
  run("npx", ["--yes", packageManager, "install", "--frozen-lockfile"], { out: STDERR });
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, current);
}

const build = () => run("turbo", ["run", "build", "--output-logs=errors-only"], { out: STDERR });
const node = (script, args = []) => run(process.execPath, [join(root, script), ...args]);

/** Splits `core x86-64 --force` into turbo filters and turbo's own flags. */
function selection(args) {
  return args.map((arg) => (arg.startsWith("-") ? arg : `--filter=@bpfkit/${arg}`));
}

function hasTests({ dir }, name) {
  const tests = join(dir, "test");
  return existsSync(tests) && readdirSync(tests).some((file) => file.startsWith(name) && file.endsWith(".test.ts"));
}

const commands = {
  setup() {},
  build,
  start(args) {
    build();
    node("packages/cli/dist/main.js", args.length > 0 ? args : ["demo"]);
  },
  test(args) {
    clearReports();
    const code = status("turbo", ["run", "test", "test:packed", "--continue=always", ...selection(args)]);
    const { failed } = printTotals("All packages: ");
    process.exit(code === 0 && failed > 0 ? 1 : code);
  },
  /** Prints the sum of the last test run once more. */
  totals() {
    printTotals();
  },
  check(args) {
    const codes = [
      status("turbo", ["run", "check", "--continue=always", "--output-logs=errors-only", ...selection(args)]),
      status("biome", ["check", "--error-on-warnings"]),
      status(process.execPath, ["tools/check-boundaries.mjs"]),
    ];
    if (codes.some((code) => code !== 0)) process.exit(1);
  },
  format() {
    run("biome", ["check", "--write"]);
  },
  golden(args) {
    env.BPFKIT_DESIGNS = "all"; // what takes a minute, too
    for (const pkg of workspacePackages()) {
      // -u stands last: it would take a word behind it for its value, and update the snapshots of all tests.
      const update = (...what) => run("vitest", ["run", ...what, ...args, "-u"], { cwd: pkg.dir });
      if (hasTests(pkg, "golden")) update("golden");
      // Of the suite, only the listings that all backends share.
      if (hasTests(pkg, "conformance") && pkg.dir.includes("packages"))
        update("conformance", "--passWithNoTests", "-t", "compiled code looks as it did");
    }
  },
  bench(args) {
    build();
    node("tools/bench/run.mjs", args);
  },
  oracle(args) {
    if (process.env.BPFKIT_ORACLE) build();
    node("tools/oracle/run.mjs", args);
  },
  /** Asks real kernels, or this verifier, about the verifier's cases. */
  "oracle-verdicts"(args) {
    build();
    node("tools/oracle/verdicts.mjs", args);
  },
  /** Runs programs that the verifier accepts, and looks whether each step is inside what it knew. */
  "verify-law"(args) {
    node("tools/verify-law.mjs", args);
  },
  browser(args) {
    node("tools/browser/run.mjs", args);
  },
  docs() {
    run("turbo", ["run", "docs", "--output-logs=new-only"]);
  },
  "release-check"() {
    build();
    node("tools/release-check.mjs");
  },
  changeset(args) {
    run("changeset", args);
  },
};

const [name = "start", ...args] = process.argv.slice(2);
if (!Object.hasOwn(commands, name)) {
  console.error(`unknown command ${name}; known: ${Object.keys(commands).join(" ")}`);
  process.exit(2);
}
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node ${process.versions.node} is too old: 20.19 or newer is needed`);
  process.exit(1);
}
install();
commands[name](args);
