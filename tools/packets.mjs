// Packets of the sorts that a firewall meets, good and bad, made from a random sequence that is the same in every run.

let state = 2026;
/** A whole number in 0..n-1 (mulberry32). */
export function random(n) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
export const chance = (percent) => random(100) < percent;
export const pick = (list) => list[random(list.length)];
/** Prefers the front of a list, as traffic prefers few talkers. */
export const favour = (list) => list[Math.min(random(list.length), random(list.length), random(list.length))];
export const u16 = (value) => [(value >> 8) & 255, value & 255];
export const u32 = (value) => [...u16(value >>> 16), ...u16(value)];
export const bytes = (n) => Array.from({ length: n }, () => random(256));
export const times = (n, make) => Array.from({ length: n }, (_, i) => make(i));

export const hosts4 = times(150, () => [pick([10, 172, 192, 198, 203]), random(256), random(256), 1 + random(254)]);
export const hosts6 = times(60, () => [0x20, 0x01, 0x0d, 0xb8, ...bytes(2), 0, 0, ...bytes(8)]);
export const SERVER4 = [192, 0, 2, 10];
const SERVER6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 10];
export const MACS = times(8, (i) => [2, 0, 0, 0, 0, i]);
export const TCP = 6;
export const UDP = 17;
export const blockedPorts = [
  [23, TCP],
  [445, TCP],
  [3389, TCP],
  [1900, UDP],
];
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
const port = (protocol) => (chance(12) ? pick(blockedPorts.filter(([, p]) => p === protocol))[0] : pick(openPorts));

export function tcp({ pseudo, doff = 5 }) {
  const ports = [...u16(1024 + random(60000)), ...u16(port(TCP))];
  const head = [...ports, ...bytes(8), doff << 4, pick([2, 16, 24, 17]), ...u16(64240), 0, 0, 0, 0];
  const data = [...head, ...bytes(doff > 5 ? (doff - 5) * 4 : 0), ...payload()];
  return sealed(data, 16, pseudo(TCP, data.length));
}
export function udp({ pseudo, length }) {
  const data = payload();
  const size = length ?? data.length + 8;
  const datagram = [...u16(1024 + random(60000)), ...u16(port(UDP)), ...u16(size), 0, 0, ...data];
  return sealed(datagram, 6, pseudo(UDP, datagram.length));
}
export const icmp = (type) => sealed([type, 0, 0, 0, ...u16(7), ...u16(random(1000)), ...bytes(40)], 2);

export function ipv4(
  protocol,
  body,
  { options = 0, flags = 0x4000, version = 4, ihl = 5 + options, grow = 0, spoil = 0, from = favour(hosts4) } = {},
) {
  const data = typeof body === "function" ? body({ pseudo: (p, n) => [...from, ...SERVER4, 0, p, ...u16(n)] }) : body;
  const length = (5 + options) * 4 + data.length + grow;
  const place = [...u16(length), ...u16(random(65536)), ...u16(flags)];
  const head = [(version << 4) | ihl, 0, ...place, 32 + random(33), protocol, 0, 0, ...from, ...SERVER4];
  const header = sealed([...head, ...times(options * 4, () => 1)], 10);
  header[10] ^= spoil;
  return [0x0800, [...header, ...data]];
}
/** `extensions` are [kind, bytes behind the next-header field]; each is chained to the one behind it. */
export function ipv6(protocol, body, { extensions = [], version = 6, from = favour(hosts6) } = {}) {
  const data =
    typeof body === "function" ? body({ pseudo: (p, n) => [...from, ...SERVER6, ...u32(n), 0, 0, 0, p] }) : body;
  const kinds = [...extensions.map(([kind]) => kind), protocol];
  const chain = extensions.flatMap(([, rest], i) => [kinds[i + 1], ...rest]);
  return [
    0x86dd,
    [version << 4, 0, 0, 0, ...u16(chain.length + data.length), kinds[0], 64, ...from, ...SERVER6, ...chain, ...data],
  ];
}
export const options = (kind, units = 0) => [kind, [units, 1, 4 + units * 8, ...Array(4 + units * 8).fill(0)]];
export const fragment = (offset, more) => [44, [0, ...u16((offset << 3) | more), ...bytes(4)]];
export const authentication = [51, [4, 0, 0, ...bytes(20)]];
