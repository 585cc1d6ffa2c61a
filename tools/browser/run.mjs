// Runs the bundles of all packages in a headless Chromium, where one is installed: node tools/browser/run.mjs [PACKAGE ...].
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundle, ENTRIES } from "./bundle.mjs";

const CANDIDATES = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/** Milliseconds for one page, the start of the browser included. */
const TIMEOUT = 120_000;
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Program and version of the browser; ends everything where there is none. */
function findBrowser() {
  const named = process.env.BPFKIT_BROWSER;
  for (const program of named ? [named] : CANDIDATES) {
    const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8", timeout: TIMEOUT });
    if (status === 0) return { program, version: stdout.trim() };
  }
  if (named) {
    console.error(`browser: BPFKIT_BROWSER names ${named}, which does not run`);
    process.exit(1);
  }
  console.log(`browser: skipped, there is no ${CANDIDATES.join(", ")} in PATH; BPFKIT_BROWSER can name one`);
  process.exit();
}

/** A page that shows the bundle's result, or why there is none. */
function pageOf(code) {
  // A closing tag inside a string of the bundle would end the script.
  const script = code.replaceAll("</script", "<\\/script");
  return `<!doctype html><meta charset="utf-8"><body><pre id="out">nothing ran</pre>
<script>
  const show = (text) => { document.getElementById("out").textContent = text; };
  addEventListener("error", ({ message }) => show(message));
</script>
<script>${script}
  show("result: " + bpfkit.result);
</script>`;
}

/** What the page shows in the end. */
function show(program, profile, page) {
  const args = [...FLAGS, `--user-data-dir=${profile}`, "--dump-dom", pathToFileURL(page).href];
  // A group of its own, so that a browser that hangs ends with all its processes.
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const [out, err] = [[], []];
  child.stdout.on("data", (data) => out.push(data));
  child.stderr.on("data", (data) => err.push(data));
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      process.kill(-child.pid, "SIGKILL");
      resolve(`nothing within ${TIMEOUT / 1000} seconds`);
    }, TIMEOUT);
    child.on("close", (status) => {
      clearTimeout(timer);
      const text = /<pre id="out">([^<]*)<\/pre>/.exec(Buffer.concat(out).toString())?.[1];
      resolve(text ?? `no page, exit status ${status}: ${Buffer.concat(err).toString().trim().split("\n").at(-1)}`);
    });
  });
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(ENTRIES);
const unknown = names.filter((name) => !Object.hasOwn(ENTRIES, name));
if (unknown.length > 0) {
  console.error(`browser: no package ${unknown.join(", ")}; there are ${Object.keys(ENTRIES).join(", ")}`);
  process.exit(2);
}
const { program, version } = findBrowser();
const folder = mkdtempSync(join(tmpdir(), "bpfkit-browser-"));
let passed = 0;
try {
  for (const name of names) {
    const { code } = await bundle(name);
    const page = join(folder, `${name}.html`);
    writeFileSync(page, pageOf(code));
    const found = await show(program, join(folder, "profile"), page);
    const good = found === `result: ${ENTRIES[name].expected}`;
    if (good) passed++;
    console.log(
      `browser: ${name.padEnd(12)} ${good ? "ok" : `expected result: ${ENTRIES[name].expected}, found ${found}`}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}
console.log(`browser: ${passed} of ${names.length} packages ran right in ${version}`);
process.exit(passed === names.length ? 0 : 1);
