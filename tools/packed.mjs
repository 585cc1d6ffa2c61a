// A backend alone: packs core and one backend as npm would publish them, installs the two tarballs in an empty folder without a registry,
// and compiles and runs a program there with plain Node. Run in the backend's folder, after the build: node ../../tools/packed.mjs EXPORT.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./workspace.mjs";

const [, , backend] = process.argv;
const { name } = JSON.parse(readFileSync("package.json", "utf8"));

function run(program, args, cwd) {
  const shell = process.platform === "win32" && program !== process.execPath;
  const result = spawnSync(program, args, { cwd, encoding: "utf8", shell });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`${program} ${args.join(" ")}\n${result.stdout}${result.stderr}`);
    process.exit(1);
  }
  return result.stdout;
}

/** Calls itself through the stack, so that prologue, epilogue and calls take part. */
const PROGRAM = `
import { assemble, formatListing, jit, Memory, trust } from "@bpfkit/core";
import { ${backend} as backend } from "${name}";
const program = trust(assemble(\`
  r1 = 7
  call factorial
  exit
factorial:
  if r1 > 1 goto more
  r0 = 1
  exit
more:
  r6 = r1
  r1 += -1
  call factorial
  r0 *= r6
  exit\`));
const image = backend.compile(program);
const lines = formatListing(backend.disassemble(image.code)).split("\\n").length;
const memory = new Memory();
const none = () => { throw new Error("nothing is called"); };
const loaded = jit(backend).load(program, { memory, address: none, function: none });
const { address, size } = memory.allocate("stack", 8192, "stack");
const stop = loaded.start({ args: [], stack: { low: address, high: address + BigInt(size) } }).run(10_000);
console.log(\`\${backend.arch}: \${image.code.length} bytes, \${lines} lines, \${stop.kind} \${stop.value}\`);
if (stop.value !== 5040n) process.exit(1);
`;

const folder = mkdtempSync(join(tmpdir(), "bpfkit-packed-"));
try {
  for (const source of [join(root, "packages", "core"), process.cwd()])
    run("pnpm", ["pack", "--pack-destination", folder], source);
  const tarballs = readdirSync(folder).map((file) => [file.includes("core") ? "@bpfkit/core" : name, `file:${file}`]);
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ type: "module", dependencies: Object.fromEntries(tarballs) }),
  );
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--omit=dev", "--omit=peer"], folder);
  const installed = readdirSync(join(folder, "node_modules", "@bpfkit"));
  if (installed.length !== 2) throw new Error(`installed besides core and ${name}: ${installed}`);
  writeFileSync(join(folder, "program.js"), PROGRAM);
  process.stdout.write(run(process.execPath, ["program.js"], folder));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
