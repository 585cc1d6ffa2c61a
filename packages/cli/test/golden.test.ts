import { expect, test } from "vitest";
import { bpfkit } from "./support.ts";

// What the commands print, word for word; `npm run golden` rewrites the files.
test.each([
  ["help.txt", ["help"]],
  ["help-run.txt", ["help", "run"]],
  ["help-verify.txt", ["help", "verify"]],
  ["obj.txt", ["obj", "firewall.bpf.o"]],
  ["dis.txt", ["dis", "firewall.bpf.o", "-S", "-l", "-r", "--no-show-raw-insn"]],
  ["dis-kernel.txt", ["dis", "firewall.bpf.o", "--no-show-raw-insn", "--syntax", "kernel"]],
  ["jit-x86-64.lst", ["jit", "firewall.bpf.o", "-S", "--arch", "x86-64"]],
  ["patch.txt", ["patch", "firewall.bpf.o", "--passes", "inline-array-lookup,zero-extend"]],
  ["run.txt", ["run", "firewall.bpf.o", "--pcap", "traffic.pcap", "--maps", "rules.json", "--engine", "x86-64"]],
  ["demo.txt", ["demo", "."]],
])("%s", async (file, argv) => {
  const { code, out, err } = bpfkit(argv);
  expect(code, err).toBe(0);
  await expect(out).toMatchFileSnapshot(`golden/${file}`);
});
