// The two sites of a direct tail call against a real kernel that rewrites them, too: what stands there, state by state.
import { jit, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { askKernel, guestOf, hex } from "./kernel.mjs";
import { GuestScript } from "./kernel-maps.mjs";
import { mapsOf, programsOf } from "./tail-call-situations.mjs";

const JUMP = 0xe9;
const PATCHED = {
  main: "r1 = r1\nr2 = map[table]\nr3 = 1\ncall tail_call\nr0 = 0\nexit",
  f: "r0 = 42\nexit",
  g: "r0 = 43\nexit",
};

/** The bytes of a direct tail call's two sites as its slot is filled, changed and emptied: jumps by where they lead. Gives what was compared, in words. */
export function compareSites(backend, differences) {
  const situation = { type: "socket_filter", programs: PATCHED };
  const steps = [undefined, "f", "g", undefined, "f"];
  const maps = mapsOf();
  const programs = programsOf(situation, maps);

  const script = new GuestScript();
  const files = Object.values(maps).map((spec) => script.createMap(spec));
  const loaded = Object.fromEntries(
    programs.map((program) => [program.name, script.load(program, files, { keep: true })]),
  );
  const dumps = steps.map((program, i) => {
    if (i > 0) script.set(files[0], 1, loaded[program]?.file);
    return script.load(programs[1], files, { redump: "main" }).at;
  });
  const { results } = askKernel(guestOf(backend.arch), script.cases);
  script.check(results);
  const entryOf = (name) => BigInt(`0x${results[loaded[name].at].ksyms[0]}`);
  const theirBytes = dumps.map((at) => Uint8Array.from(Buffer.from(results[at].redump_jited, "hex")));

  const kernel = new Kernel({ engine: jit(backend, { layout: { indirectJumps: "retpoline" } }) });
  const ours = Object.fromEntries(programs.map((program) => [program.name, kernel.load(trust(program))]));
  const { image, imageAddress } = ours.main.executable;
  const [{ bypass, target }] = image.pokes;
  steps.forEach((program, i) => {
    if (i > 0 && program === undefined) kernel.progArray("table").delete(1);
    else if (i > 0) kernel.progArray("table").set(1, ours[program]);
    const ourBytes = kernel.memory.view(imageAddress, image.code.length).slice();
    for (const [name, { offset, size }] of Object.entries({ bypass, target })) {
      const theirs = siteText(theirBytes[i].subarray(offset, offset + size), entryOf("main") + BigInt(offset), (to) =>
        placeOf(to, { main: entryOf("main"), f: entryOf("f"), g: entryOf("g") }),
      );
      const own = siteText(ourBytes.subarray(offset, offset + size), imageAddress + BigInt(offset), (to) =>
        placeOf(
          to,
          Object.fromEntries(Object.entries(ours).map(([key, { executable }]) => [key, executable.imageAddress])),
        ),
      );
      if (own !== theirs) differences.push(`${name} of a direct tail call, step ${i}: kernel ${theirs}, bpfkit ${own}`);
    }
  });
  return `, the sites of a direct tail call in ${steps.length} states`;
}

function siteText(bytes, address, place) {
  if (bytes[0] !== JUMP) return hex(bytes);
  const distance = new DataView(bytes.buffer, bytes.byteOffset + 1, 4).getInt32(0, true);
  return `jump to ${place(address + BigInt(bytes.length + distance))}`;
}

/** An address as the program that begins closest below it, and the bytes from there. */
function placeOf(address, entries) {
  const [[name, entry]] = Object.entries(entries)
    .filter(([, start]) => start <= address)
    .sort(([, a], [, b]) => (a < b ? 1 : -1));
  return `${name} + ${address - entry}`;
}
