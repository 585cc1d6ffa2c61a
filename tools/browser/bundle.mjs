// Bundles small programs, one per package, as a browser's bundler would: everything in one file, and nothing of Node.js in it.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const EXAMPLE = new URL("../../examples/firewall/firewall.bpf.o", import.meta.url);

/** Runs a BPF program on a backend with nothing but core around it, and returns what it returned. */
const alone = (name, backend) => `
  import { assemble, jit, Memory, trust } from "@bpfkit/core";
  import { ${backend} } from "@bpfkit/${name}";
  const memory = new Memory();
  const none = () => { throw new Error("nothing is called"); };
  const program = trust(assemble("r0 = 6\\nr0 *= 7\\nexit"));
  const loaded = jit(${backend}).load(program, { memory, address: none, function: none });
  const { address, size } = memory.allocate("stack", 4096, "stack");
  const stop = loaded.start({ args: [], stack: { low: address, high: address + BigInt(size) } }).run(1000);
  export const result = String(stop.value);
`;

/** By package: a module whose \`result\` is a text, and what that has to be. */
export const ENTRIES = {
  core: {
    expected: "r0 = 42",
    source: `
      import { assemble, formatProgram } from "@bpfkit/core";
      export const result = formatProgram(assemble("r0 = 42\\nexit"), { slots: false }).split("\\n")[1].trim();
    `,
  },
  object: {
    expected: "firewall",
    source: `
      import { loadObject } from "@bpfkit/object";
      const hex = "${readFileSync(EXAMPLE).toString("hex")}";
      const bytes = Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
      export const result = loadObject(bytes).programs[0].name;
    `,
  },
  kernel: {
    expected: "2",
    source: `
      import { assemble, interpreter, trust } from "@bpfkit/core";
      import { Kernel } from "@bpfkit/kernel";
      const program = new Kernel({ engine: interpreter }).load(trust(assemble("r0 = 2\\nexit", { type: "xdp" })));
      export const result = String(program.run({ data: new Uint8Array(64) }).returnValue);
    `,
  },
  conformance: {
    expected: "true",
    source: `
      import { interpreter } from "@bpfkit/core";
      import { passed, runConformance } from "@bpfkit/conformance";
      export const result = String(passed(runConformance(interpreter, { shard: { index: 0, count: 400 }, programs: 400 })));
    `,
  },
  "x86-64": { expected: "42", source: alone("x86-64", "x86_64") },
  arm64: { expected: "42", source: alone("arm64", "arm64") },
  riscv64: { expected: "42", source: alone("riscv64", "riscv64") },
};

/** One script that defines \`bpfkit.result\`. @returns {Promise<{ code: string, outside: readonly string[] }>} what it would load from outside */
export async function bundle(name) {
  const entry = "\0entry";
  const build = await rolldown({
    input: entry,
    platform: "browser",
    resolve: { conditionNames: ["@bpfkit/source", "browser", "import", "default"] },
    external: (id) => id.startsWith("node:"),
    onLog: () => {},
    plugins: [
      {
        name: "entry",
        resolveId(id, importer) {
          if (id === entry) return id;
          return importer === entry
            ? fileURLToPath(new URL(`../../packages/${id.split("/")[1]}/src/index.ts`, import.meta.url))
            : undefined;
        },
        load: (id) => (id === entry ? ENTRIES[name].source : undefined),
      },
    ],
  });
  const { output } = await build.generate({ format: "iife", name: "bpfkit" });
  await build.close();
  const [{ code, imports }] = output;
  return { code, outside: imports };
}
