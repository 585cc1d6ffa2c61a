// The example against a real kernel: each packet's return value and bytes, the counters, and the size of the code.
import { readFileSync } from "node:fs";
import { openCapture } from "@bpfkit/cli";
import { jit, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { loadObject } from "@bpfkit/object";
import { x86_64 } from "@bpfkit/x86-64";
import { askKernel, caseOf, hex } from "./kernel.mjs";

const EXAMPLE = new URL("../../examples/firewall/", import.meta.url);
const read = (file) => new Uint8Array(readFileSync(new URL(file, EXAMPLE)));
const bytesOf = (text) => new Uint8Array(Buffer.from(text, "hex"));
/** BPF_PROG_TEST_RUN refuses packets without an Ethernet header. */
const SHORTEST = 14;

/** @returns {{ differences: string[], summary: string }} */
export function compareFirewall() {
  const [program] = loadObject(read("firewall.bpf.o"), { name: "firewall" }).programs;
  const rules = Object.entries(JSON.parse(readFileSync(new URL("rules.json", EXAMPLE), "utf8")));
  const packets = [...openCapture(read("traffic.pcap")).packets()]
    .map(({ data }) => data)
    .filter((data) => data.length >= SHORTEST);

  const theirs = theKernel(program, rules, packets);
  const ours = bpfkit(program, rules, packets);
  const differences = [];
  for (const [i, run] of theirs.runs.entries()) {
    if (run.retval !== ours.runs[i].returnValue)
      differences.push(`packet ${i}: kernel ${run.retval}, bpfkit ${ours.runs[i].returnValue}`);
    else if (run.data !== ours.runs[i].data)
      differences.push(`packet ${i}: kernel made ${run.data}, bpfkit ${ours.runs[i].data}`);
  }
  for (const [i, value] of Object.entries(theirs.verdicts)) {
    if (value !== ours.verdicts[i]) differences.push(`verdicts[${i}]: kernel ${value}, bpfkit ${ours.verdicts[i]}`);
  }
  const golden = JSON.parse(readFileSync(new URL("linux-7.2.json", EXAMPLE), "utf8"));
  if (golden.returns !== theirs.runs.map(({ retval }) => retval).join(""))
    differences.push("linux-7.2.json is out of date");
  return {
    differences,
    summary: `firewall on Linux ${theirs.kernel}: ${packets.length} packets, code ${ours.size} bytes, the kernel's ${theirs.size}`,
  };
}

function theKernel(program, rules, packets) {
  const index = (name) => program.maps.findIndex((map) => map.name === name);
  const base = caseOf(program);
  const filled = rules.flatMap(([name, elements]) => elements.map((element) => ({ map: index(name), ...element })));
  const { kernel, results } = askKernel("x86_64", [
    {
      ...base,
      map_init: [...base.map_init, ...filled],
      map_dump: [index("verdicts")],
      runs: packets.map((data) => ({ data: hex(data), out: data.length })),
    },
  ]);
  const [result] = results;
  if (result.verdict !== "accept") throw new Error(`the kernel refuses the example:\n${result.log}`);
  return { kernel, runs: result.runs, verdicts: result.map_dump[index("verdicts")], size: result.jited_len };
}

function bpfkit(program, rules, packets) {
  const kernel = new Kernel({ engine: jit(x86_64) });
  const loaded = kernel.load(trust(program));
  for (const [name, elements] of rules) {
    for (const { key, value } of elements) kernel.map(name).update(bytesOf(key), bytesOf(value));
  }
  const runs = packets.map((data) => {
    const { returnValue, dataOut } = loaded.run({ data });
    return { returnValue, data: hex(dataOut) };
  });
  const verdicts = [...kernel.map("verdicts").entries()].map(({ value }) => hex(value));
  return { runs, verdicts, size: loaded.executable.image.code.length };
}
