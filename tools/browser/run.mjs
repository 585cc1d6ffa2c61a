// Runs the bundles of all packages in a headless Chromium, where one is installed: node tools/browser/run.mjs.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, ENTRIES } from "./bundle.mjs";

const CANDIDATES = ["chromium", "chromium-browser", "google-chrome", "chrome"];

function findBrowser() {
  const candidates = process.env.BPFKIT_BROWSER ? [process.env.BPFKIT_BROWSER] : CANDIDATES;
  return candidates.find((program) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0);
}

const browser = findBrowser();
if (browser === undefined) {
  console.log(`browser: skipped, there is no ${CANDIDATES.join(", ")}; BPFKIT_BROWSER can name one`);
  process.exit();
}

const folder = mkdtempSync(join(tmpdir(), "bpfkit-browser-"));
let failed = false;
try {
  for (const [name, { expected }] of Object.entries(ENTRIES)) {
    const { code } = await bundle(name);
    const page = join(folder, "page.html");
    // A closing tag inside a string of the bundle would end the script.
    const script = code.replaceAll("</script", "<\\/script");
    writeFileSync(
      page,
      `<!doctype html><meta charset="utf-8"><body><pre id="out">did not run</pre><script>${script}
      document.getElementById("out").textContent = "result: " + bpfkit.result;</script>`,
    );
    const { stdout, stderr } = spawnSync(
      browser,
      [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        `--user-data-dir=${join(folder, "profile")}`,
        "--dump-dom",
        `file://${page}`,
      ],
      { encoding: "utf8", maxBuffer: 64 << 20, timeout: 60_000 },
    );
    const found =
      /<pre id="out">([^<]*)<\/pre>/.exec(stdout)?.[1] ?? `nothing: ${stderr.split("\n").slice(-3).join(" ")}`;
    const good = found === `result: ${expected}`;
    failed ||= !good;
    console.log(`browser: ${name.padEnd(12)} ${good ? "ok" : `expected ${expected}, found ${found}`}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) process.exit(1);
