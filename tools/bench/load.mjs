// Bytes of an object file to linked programs.
import { readFileSync } from "node:fs";
import { loadObject } from "@bpfkit/object";
import { seconds } from "./measure.mjs";

const OBJECT = new URL("../../examples/firewall/firewall.bpf.o", import.meta.url);

export function run() {
  const bytes = new Uint8Array(readFileSync(OBJECT));
  const time = seconds(() => loadObject(bytes));
  return [
    { case: "firewall/objects-per-s", value: Math.round(1 / time), unit: "objects/s" },
    { case: "firewall/bytes-per-s", value: Math.round(bytes.length / time), unit: "B/s" },
  ];
}
