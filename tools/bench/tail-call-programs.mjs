// What the tail-call benchmark runs: programs, what is in their prog arrays, and packets.
import { readFileSync } from "node:fs";
import { assemble } from "@bpfkit/core";
import { loadObject } from "@bpfkit/object";

const EXAMPLES = new URL("../../examples/", import.meta.url);
const TABLE = { name: "table", type: 3, keySize: 4, valueSize: 4, maxEntries: 4, flags: 0 };
const NUMBER = { name: "number", type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };

/** `bpf_tail_call(r6, table, slot)`: with a slot that stands in the code, and with one that has to be loaded. */
const FORMS = {
  known: (slot) => `r1 = r6\nr2 = map[table]\nr3 = ${slot}\ncall tail_call`,
  loaded: (slot) =>
    `r3 = map[number][0]+0\nr3 = *(u64 *)(r3 + 0)\nr3 += ${slot}\nr1 = r6\nr2 = map[table]\ncall tail_call`,
};

/** A subprogram that makes a tail call, and uses a second saved register. */
const sub = (slot, jump) => `sub:\nr6 = r1\nr7 = 7\n${jump(slot)}\nr0 = r7\nexit`;

/** By name: the programs, the first of which is entered; and the members of the table by slot. `subprogs`: a subprogram makes the tail call. */
const SITUATIONS = {
  "one tail call": { programs: { main: (jump) => `r6 = r1\n${jump(1)}\nr0 = 0\nexit`, f: () => "r0 = 42\nexit" }, slots: { 1: "f" } },
  "one tail call behind two empty slots": { programs: { main: (jump) => `r6 = r1\n${jump(0)}\n${jump(2)}\n${jump(1)}\nr0 = 0\nexit`, f: () => "r0 = 42\nexit" }, slots: { 1: "f" } },
  "a chain of 33": { programs: { main: (jump) => `r6 = r1\n${jump(0)}\nr0 = 0\nexit` }, slots: { 0: "main" } },
  "a subprogram's tail call": { programs: { main: (jump) => `r6 = r1\ncall sub\nr0 += 1\nexit\n${sub(1, jump)}`, f: () => "r0 = 42\nexit" }, slots: { 1: "f" }, subprogs: true },
  "33 from subprograms, each in the last one's stead": { programs: { main: (jump) => `r6 = r1\ncall sub\nr0 += 1\nexit\n${sub(0, jump)}` }, slots: { 0: "main" }, subprogs: true },
  "a tree of two subprograms, 33 in all": { programs: { main: (jump) => `r6 = r1\nr1 = r6\ncall sub\nr1 = r6\ncall sub\nr0 += 1\nexit\n${sub(0, jump)}` }, slots: { 0: "main" }, subprogs: true, tree: true },
}; // biome-ignore format: a table

/** `{ name, load(kernel, trust): program, inputs, subprogs, tree }[]`; figures are averages over the inputs. */
export function situations() {
  const made = Object.entries(SITUATIONS).flatMap(([name, situation]) =>
    Object.entries(FORMS).map(([form, jump]) => ({
      ...situation,
      name: `${name}, slot ${form}`,
      inputs: [{ data: new Uint8Array(64) }],
      load: (kernel, trust) => {
        const maps = [{ ...TABLE }, { ...NUMBER }];
        for (const spec of maps) kernel.createMap(spec);
        const loaded = Object.fromEntries(
          Object.entries(situation.programs).map(([key, text]) => [
            key,
            kernel.load(trust({ ...assemble(text(jump), { type: "xdp", maps }), name: key })),
          ]),
        );
        for (const [slot, key] of Object.entries(situation.slots))
          kernel.progArray("table").set(Number(slot), loaded[key]);
        return loaded.main;
      },
    })),
  );
  return [
    ...made,
    ...PACKETS.map(([name, data]) => ({ name: `dissector, ${name}`, inputs: [{ data }], load: loadDissector })),
    { name: "dissector, all of them", inputs: PACKETS.map(([, data]) => ({ data })), load: loadDissector },
  ];
}

/** Programs without tail calls: the motive for saving only what is used. */
export function plainPrograms() {
  const inputs = PACKETS.map(([, data]) => ({ data }));
  return [
    { name: "XDP, returns at once", inputs, load: (kernel, trust) => kernel.load(trust(assemble("r0 = 2\nexit", { type: "xdp" }))) },
    { name: "XDP, swaps addresses and sends back", inputs, load: (kernel, trust) => kernel.load(trust(assemble(SEND_BACK, { type: "xdp" }))) },
    { name: "XDP, the firewall example", inputs, load: (kernel, trust) => kernel.load(trust(read("firewall/firewall.bpf.o").programs[0])) },
  ]; // biome-ignore format: a table
}

const SEND_BACK = `
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r0 = 1
  r4 = r2
  r4 += 14
  if r4 > r3 goto out
  r3 = *(u32 *)(r2 + 0)
  r4 = *(u16 *)(r2 + 4)
  r5 = *(u32 *)(r2 + 6)
  r1 = *(u16 *)(r2 + 10)
  *(u32 *)(r2 + 0) = r5
  *(u16 *)(r2 + 4) = r1
  *(u32 *)(r2 + 6) = r3
  *(u16 *)(r2 + 10) = r4
  r0 = 3
out:
  exit`;

const read = (file) => loadObject(new Uint8Array(readFileSync(new URL(file, EXAMPLES))), { name: file });

/** The dissector's programs, in the slots that the object says. */
function loadDissector(kernel, trust) {
  const { programs, maps } = read("tail-calls/dissect.bpf.o");
  const loaded = new Map(programs.map((program) => [program.name, kernel.load(trust(program))]));
  for (const map of maps) {
    for (const { slot, program } of map.programs ?? []) kernel.progArray(map).set(slot, loaded.get(program));
  }
  return loaded.get("dissect");
}

const u16 = (value) => [value >> 8, value & 255];
const ethernet = (type) => [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ...u16(type)];
const vlan = (tag, type) => [...u16(tag), ...u16(type)];
const ipv4 = (protocol, fragment = 0) => [
  0x45,
  0,
  0,
  60,
  0,
  1,
  ...u16(fragment),
  64,
  protocol,
  0,
  0,
  192,
  0,
  2,
  1,
  192,
  0,
  2,
  2,
];
const ipv6 = (protocol) => [0x60, 0, 0, 0, 0, 40, protocol, 64, ...Array(15).fill(0), 1, ...Array(15).fill(0), 2];
const tcp = [...u16(40_000), ...u16(443), ...Array(8).fill(0), 0x50, 2, ...Array(6).fill(0)];
const udp = [...u16(40_000), ...u16(53), 0, 8, 0, 0];
const gre = (type) => [0, 0, ...u16(type)];
const [IPV4, IPV6, QTAG, STAG, ARP, TCP, UDP, GRE, IPIP, ICMP] = [
  0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 6, 17, 47, 4, 1,
];

/** One packet of each sort, by how many tail calls it takes. */
export const PACKETS = [
  ["ARP", [...ethernet(ARP)]],
  ["IPv4 ICMP", [...ethernet(IPV4), ...ipv4(ICMP)]],
  ["a later fragment", [...ethernet(IPV4), ...ipv4(UDP, 100)]],
  ["IPv4 TCP", [...ethernet(IPV4), ...ipv4(TCP), ...tcp]],
  ["IPv6 UDP", [...ethernet(IPV6), ...ipv6(UDP), ...udp]],
  ["VLAN IPv4 UDP", [...ethernet(QTAG), ...vlan(7, IPV4), ...ipv4(UDP), ...udp]],
  ["IPv4 in IPv6 TCP", [...ethernet(IPV6), ...ipv6(IPIP), ...ipv4(TCP), ...tcp]],
  ["two VLAN tags, IPv4, GRE, IPv6, TCP", [...ethernet(STAG), ...vlan(8, QTAG), ...vlan(9, IPV4), ...ipv4(GRE), ...gre(IPV6), ...ipv6(TCP), ...tcp]],
].map(([name, bytes]) => [name, Uint8Array.from(bytes.concat(Array(Math.max(0, 64 - bytes.length)).fill(0)))]); // biome-ignore format: a table
