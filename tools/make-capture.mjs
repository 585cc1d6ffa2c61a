// Writes examples/firewall/traffic.pcap and rules.json: a few thousand packets of every sort that the firewall tells apart,
// and block lists that some of them run into. The same seed gives the same bytes: node tools/make-capture.mjs [seed] [packets].
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./workspace.mjs";

const seed = Number(process.argv[2] ?? 2026);
const packets = Number(process.argv[3] ?? 4000);
const START = 1767225600; // seconds: 2026-01-01
const SNAPLEN = 1024;

let state = seed >>> 0;
/** A whole number in 0..n-1 (mulberry32). */
function random(n) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const chance = (percent) => random(100) < percent;
const pick = (list) => list[random(list.length)];
/** Prefers the front of a list, as traffic prefers few talkers. */
const favour = (list) => list[Math.min(random(list.length), random(list.length), random(list.length))];
const u8 = (value) => [value & 255];
const u16 = (value) => [(value >> 8) & 255, value & 255];
const u32 = (value) => [...u16(value >>> 16), ...u16(value)];
const bytes = (n) => Array.from({ length: n }, () => random(256));
const times = (n, make) => Array.from({ length: n }, (_, i) => make(i));

const hosts4 = times(150, () => [pick([10, 172, 192, 198, 203]), random(256), random(256), 1 + random(254)]);
const hosts6 = times(60, () => [0x20, 0x01, 0x0d, 0xb8, ...bytes(2), 0, 0, ...bytes(8)]);
const SERVER4 = [192, 0, 2, 10];
const SERVER6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 10];
const MACS = times(8, (i) => [2, 0, 0, 0, 0, i]);
const TCP = 6;
const UDP = 17;
const blockedPorts = [[23, TCP], [445, TCP], [3389, TCP], [1900, UDP]];
const openPorts = [22, 53, 80, 123, 443, 443, 443, 5353, 8080];

function checksum(data) {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i] << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
/** Puts the checksum over `before` and the header into the header, at byte `at`. */
function sealed(header, at, before = []) {
  return [...header.slice(0, at), ...u16(checksum([...before, ...header])), ...header.slice(at + 2)];
}

const payload = () => bytes(chance(6) ? 300 + random(1100) : random(120));
const port = (protocol) =>
  chance(12) ? pick(blockedPorts.filter(([, p]) => p === protocol))[0] : pick(openPorts);

function tcp({ pseudo, doff = 5 }) {
  const head = [...u16(1024 + random(60000)), ...u16(port(TCP)), ...bytes(8), doff << 4, pick([2, 16, 24, 17]), ...u16(64240), 0, 0, 0, 0];
  const data = [...head, ...bytes(doff > 5 ? (doff - 5) * 4 : 0), ...payload()];
  return sealed(data, 16, pseudo(TCP, data.length));
}
function udp({ pseudo, length }) {
  const data = payload();
  const size = length ?? data.length + 8;
  const datagram = [...u16(1024 + random(60000)), ...u16(port(UDP)), ...u16(size), 0, 0, ...data];
  return sealed(datagram, 6, pseudo(UDP, datagram.length));
}
const icmp = (type) => sealed([type, 0, 0, 0, ...u16(7), ...u16(random(1000)), ...bytes(40)], 2);

function ipv4(protocol, body, { options = 0, flags = 0x4000, version = 4, ihl = 5 + options, grow = 0, spoil = 0, from = favour(hosts4) } = {}) {
  const data = typeof body === "function" ? body({ pseudo: (p, n) => [...from, ...SERVER4, 0, p, ...u16(n)] }) : body;
  const length = (5 + options) * 4 + data.length + grow;
  const head = [(version << 4) | ihl, 0, ...u16(length), ...u16(random(65536)), ...u16(flags), 32 + random(33), protocol, 0, 0, ...from, ...SERVER4];
  const header = sealed([...head, ...times(options * 4, () => 1)], 10);
  header[10] ^= spoil;
  return [0x0800, [...header, ...data]];
}
/** `extensions` are [kind, bytes behind the next-header field]; each is chained to the one behind it. */
function ipv6(protocol, body, { extensions = [], version = 6, from = favour(hosts6) } = {}) {
  const data = typeof body === "function" ? body({ pseudo: (p, n) => [...from, ...SERVER6, ...u32(n), 0, 0, 0, p] }) : body;
  const kinds = [...extensions.map(([kind]) => kind), protocol];
  const chain = extensions.flatMap(([, rest], i) => [kinds[i + 1], ...rest]);
  return [0x86dd, [version << 4, 0, 0, 0, ...u16(chain.length + data.length), kinds[0], 64, ...from, ...SERVER6, ...chain, ...data]];
}
const options = (kind, units = 0) => [kind, [units, 1, 4 + units * 8, ...Array(4 + units * 8).fill(0)]];
const fragment = (offset, more) => [44, [0, ...u16((offset << 3) | more), ...bytes(4)]];
const authentication = [51, [4, 0, 0, ...bytes(20)]];

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
  const [type, body] = KINDS.find(([weight]) => (at -= weight) < 0)[1]();
  const tags = chance(15) ? times(chance(30) ? 2 : 1, (i) => [i === 0 && chance(30) ? 0x88a8 : 0x8100, 1 + random(4094)]) : [];
  const packet = [...pick(MACS), ...pick(MACS), ...tags.flatMap(([tpid, tag]) => [...u16(tpid), ...u16(tag)]), ...u16(type), ...body];
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
  file.push(little(START + Math.floor(microseconds / 1e6), microseconds % 1e6, kept, packet.length), packet.slice(0, kept));
}

const hex = (list) => list.map((byte) => byte.toString(16).padStart(2, "0")).join("");
const rule = (id) => hex([...little(id), ...Array(12).fill(0)]);
const mapped = (host) => (host.length === 4 ? [...Array(10).fill(0), 255, 255, ...host] : host);
const hosts = [...hosts4.filter((_, i) => i % 12 === 3), ...hosts6.filter((_, i) => i % 9 === 4)];
const rules = {
  blocked: hosts.map((host, i) => ({ key: hex(mapped(host)), value: rule(i + 1) })),
  ports: blockedPorts.map(([number, protocol], i) => ({ key: hex([...u16(number), ...u8(protocol), 0]), value: rule(100 + i) })),
};
const folder = join(root, "examples", "firewall");
writeFileSync(join(folder, "traffic.pcap"), Uint8Array.from(file.flat()));
writeFileSync(join(folder, "rules.json"), `${JSON.stringify(rules, null, 2)}\n`);
