// node tools/patch-curve.mjs: measures with tools/bench/patch.mjs and draws docs/patching.svg.
import { writeFileSync } from "node:fs";
import { CURVE, run, SCALE } from "./bench/patch.mjs";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [760, 440, 70, 150, 30, 50];
const SIZES = [...CURVE.map((sites) => [String(sites), sites]), ...Object.entries(SCALE)];
const SERIES = [
  { key: "one-by-one-ms", label: "one patch at a time", color: "#c0392b", measuredUpTo: 8192 },
  { key: "metadata-ms", label: "with all metadata", color: "#2471a3" },
  { key: "core-ms", label: "instructions only", color: "#1e8449" },
  { key: "copy-ms", label: "a copy of the result", color: "#7f8c8d" },
];
const X = [100, 1_000_000];
const Y = [0.001, 10_000_000];
const TIMES = { 0.001: "1 µs", 0.1: "100 µs", 10: "10 ms", 1000: "1 s", 100000: "100 s", 10000000: "3 h" };

const part = (value, [low, high]) => Math.log(value / low) / Math.log(high / low);
const x = (sites) => LEFT + part(sites, X) * (WIDTH - LEFT - RIGHT);
const y = (time) => HEIGHT - BOTTOM - part(Math.max(time, Y[0]), Y) * (HEIGHT - TOP - BOTTOM);
const at = (points) => points.map(([sites, time]) => `${x(sites).toFixed(1)},${y(time).toFixed(1)}`).join(" ");

const results = new Map(run().map(({ case: name, value }) => [name, value]));
const lines = [];
for (const [time, label] of Object.entries(TIMES)) {
  const level = y(Number(time)).toFixed(1);
  lines.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${level}" y2="${level}" stroke="#ddd"/>`);
  lines.push(`<text x="${LEFT - 8}" y="${level}" dy="4" text-anchor="end">${label}</text>`);
}
for (const [label, sites] of [
  ["100", 100],
  ["1k", 1000],
  ["10k", 10_000],
  ["100k", 100_000],
  ["1M", 1_000_000],
]) {
  lines.push(`<text x="${x(sites).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label}</text>`);
}
lines.push(
  `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">instructions that become three</text>`,
);
for (const { key, label, color, measuredUpTo = Number.POSITIVE_INFINITY } of SERIES) {
  const points = SIZES.map(([name, sites]) => [sites, results.get(`${name}/${key}`)]).filter(
    ([, time]) => time !== undefined,
  );
  const measured = points.filter(([sites]) => sites <= measuredUpTo);
  const sampled = points.slice(measured.length - 1);
  lines.push(`<polyline points="${at(measured)}" fill="none" stroke="${color}" stroke-width="2"/>`);
  if (sampled.length > 1)
    lines.push(
      `<polyline points="${at(sampled)}" fill="none" stroke="${color}" stroke-width="2" stroke-dasharray="5 4"/>`,
    );
  const [sites, time] = points.at(-1);
  lines.push(`<text x="${x(sites) + 8}" y="${y(time).toFixed(1)}" dy="4" fill="${color}">${label}</text>`);
}
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#444">
<title>Time to patch a program, by number of patches</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
${lines.join("\n")}
</svg>
`;
writeFileSync(new URL("../docs/patching.svg", import.meta.url), svg);
for (const [name, value] of results) console.log(name.padEnd(24), value);
