// Writes examples/firewall/traffic.pcap and rules.json: a few thousand packets of every sort that the firewall tells apart,
// and block lists that some of them run into. Every run writes the same bytes: node tools/make-capture.mjs [packets].
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  authentication,
  blockedPorts,
  bytes,
  chance,
  fragment,
  hosts4,
  hosts6,
  icmp,
  ipv4,
  ipv6,
  MACS,
  options,
  pick,
  random,
  SERVER4,
  TCP,
  tcp,
  times,
  UDP,
  u16,
  u32,
  udp,
} from "./packets.mjs";
import { root } from "./workspace.mjs";

const packets = Number(process.argv[2] ?? 4000);
const START = 1767225600; // seconds: 2026-01-01
const SNAPLEN = 1024;

// biome-ignore format: how often, and what
const KINDS = [
  [300, () => ipv4(TCP, tcp)],
  [160, () => ipv4(UDP, udp)],
  [60,  () => ipv4(1, icmp(8))],
  [15,  () => ipv4(1, icmp(pick([0, 3, 11])))],
  [10,  () => ipv4(pick([47, 50, 89]), bytes(40))],
  [30,  () => ipv4(pick([TCP, UDP]), bytes(60), { flags: chance(50) ? 0x2000 : random(0x1000) + 1 })],
  [30,  () => ipv4(TCP, tcp, { options: 1 + random(10) })],
  [15,  () => ipv4(TCP, (of) => tcp({ ...of, doff: 6 + random(5) }))],
  [150, () => ipv6(TCP, tcp)],
  [70,  () => ipv6(UDP, udp)],
  [30,  () => ipv6(58, icmp(pick([128, 135, 136])))],
  [40,  () => ipv6(TCP, tcp, { extensions: [options(0, random(3)), options(60)].slice(random(2)) })],
  [10,  () => ipv6(UDP, udp, { extensions: [authentication, options(43)] })],
  [20,  () => ipv6(UDP, bytes(50), { extensions: [options(0), fragment(random(1000), random(2))] })],
  [5,   () => ipv6(TCP, tcp, { extensions: times(12, () => options(60)) })],
  [30,  () => [0x0806, [0, 1, 8, 0, 6, 4, 0, 1 + random(2), ...pick(MACS), ...pick(hosts4), 0, 0, 0, 0, 0, 0, ...SERVER4]]],
  [8,   () => [0x88cc, bytes(46)]],
  [15,  () => ipv4(TCP, tcp, { spoil: 1 + random(255) })],
  [6,   () => ipv4(TCP, tcp, { ihl: random(5) })],
  [4,   () => ipv4(TCP, tcp, { version: 5 })],
  [8,   () => ipv4(UDP, udp, { grow: 1 + random(400) })],
  [8,   () => ipv4(TCP, (of) => tcp({ ...of, doff: random(5) }))],
  [6,   () => ipv4(UDP, (of) => udp({ ...of, length: random(8) }))],
  [4,   () => ipv6(TCP, tcp, { version: 7 })],
  [8,   () => [pick([0x0800, 0x86dd]), bytes(random(60))]],
];
const TOTAL = KINDS.reduce((sum, [weight]) => sum + weight, 0);

function frame() {
  let at = random(TOTAL);
  const [type, body] = KINDS.find(([weight]) => {
    at -= weight;
    return at < 0;
  })[1]();
  const tags = chance(15)
    ? times(chance(30) ? 2 : 1, (i) => [i === 0 && chance(30) ? 0x88a8 : 0x8100, 1 + random(4094)])
    : [];
  const packet = [
    ...pick(MACS),
    ...pick(MACS),
    ...tags.flatMap(([tpid, tag]) => [...u16(tpid), ...u16(tag)]),
    ...u16(type),
    ...body,
  ];
  if (chance(2)) return packet.slice(0, 14 + random(Math.max(1, packet.length - 14))); // cut on the wire
  return packet;
}

const little = (...values) => values.flatMap((value) => u32(value).reverse());
const file = [little(0xa1b2c3d4, 0x00040002, 0, 0, SNAPLEN, 1)];
let microseconds = 0;
for (let i = 0; i < packets; i++) {
  const packet = frame();
  const kept = Math.min(packet.length, SNAPLEN);
  microseconds += 20 + random(3000);
  file.push(
    little(START + Math.floor(microseconds / 1e6), microseconds % 1e6, kept, packet.length),
    packet.slice(0, kept),
  );
}

const hex = (list) => list.map((byte) => byte.toString(16).padStart(2, "0")).join("");
const rule = (id) => hex([...little(id), ...Array(12).fill(0)]);
const mapped = (host) => (host.length === 4 ? [...Array(10).fill(0), 255, 255, ...host] : host);
const hosts = [...hosts4.filter((_, i) => i % 12 === 3), ...hosts6.filter((_, i) => i % 9 === 4)];
const rules = {
  blocked: hosts.map((host, i) => ({ key: hex(mapped(host)), value: rule(i + 1) })),
  ports: blockedPorts.map(([number, protocol], i) => ({
    key: hex([...u16(number), protocol, 0]),
    value: rule(100 + i),
  })),
};
const folder = join(root, "examples", "firewall");
writeFileSync(join(folder, "traffic.pcap"), Uint8Array.from(file.flat()));
writeFileSync(join(folder, "rules.json"), `${JSON.stringify(rules, null, 2)}\n`);
