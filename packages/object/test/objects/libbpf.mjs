// Prints, as hex, the data of a light skeleton that bpftool (libbpf) makes of an object: it holds the linked programs.
import { readFileSync } from "node:fs";

const text = readFileSync(0, "utf8");
const data = /opts\.data = \(void \*\)"\\\n([\s\S]*?)";/.exec(text)[1].replaceAll("\\\n", "");
const hex = [...data.matchAll(/\\x(..)|\\0/g)].map(([, byte]) => byte ?? "00").join("");
console.log(hex.replaceAll(/.{96}/g, "$&\n"));
