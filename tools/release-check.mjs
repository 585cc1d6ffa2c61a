// A release without the publishing: are the changesets sound, does every public package pack, is each tarball well made,
// and do the packed packages load as a user's Node would load them?
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, workspacePackages } from "./workspace.mjs";

function run(program, args, cwd = root) {
  const shell = process.platform === "win32" && program !== process.execPath;
  const result = spawnSync(program, args, { cwd, encoding: "utf8", shell });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    console.error(`${program} ${args.join(" ")}\n${result.stdout}${result.stderr}`);
    throw new Error(`${program} ended with ${result.status}`);
  }
  return result.stdout;
}

/** `changeset status` compares with the branch main, which a clone of another branch or of one commit does not have. */
function checkChangesets() {
  const hasMain = spawnSync("git", ["rev-parse", "--verify", "--quiet", "main"], { cwd: root }).status === 0;
  run("changeset", hasMain ? ["status"] : ["status", "--since=HEAD"]);
}

/** Packs a package and unpacks it where Node finds it from `dir`. */
function packInto(dir, { dir: source, manifest }) {
  const tarballs = join(dir, "tarballs", manifest.name);
  mkdirSync(tarballs, { recursive: true });
  run("pnpm", ["pack", "--pack-destination", tarballs], source);
  const tarball = join(tarballs, readdirSync(tarballs)[0]);
  run("publint", ["run", tarball, "--strict"]);
  const target = join(dir, "node_modules", manifest.name);
  mkdirSync(target, { recursive: true });
  run("tar", ["-xzf", tarball, "-C", target, "--strip-components=1"]);
}

/** The specifiers of a package that load without what a user may leave out. */
function plainEntries({ manifest }) {
  const outside = Object.keys(manifest.dependencies ?? {}).some((name) => !name.startsWith("@bpfkit/"));
  return outside ? [] : [manifest.name];
}

const temporary = mkdtempSync(join(tmpdir(), "bpfkit-release-"));
try {
  checkChangesets();
  const published = workspacePackages().filter(({ manifest }) => !manifest.private);
  for (const pkg of published) packInto(temporary, pkg);
  for (const name of published.flatMap(plainEntries)) {
    run(process.execPath, ["--input-type=module", "--eval", `await import("${name}")`], temporary);
  }
  console.log(`release: ${published.length} packages pack and load`);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
