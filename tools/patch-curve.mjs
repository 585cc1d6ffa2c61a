// node tools/patch-curve.mjs [FILE]: draws docs/patching.svg from what `npm run -s bench -- patch --json` printed, or measures itself.
import { readFileSync, writeFileSync } from "node:fs";
import { CURVE, run, SAMPLED, SCALE } from "./bench/patch.mjs";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [800, 460, 70, 180, 20, 50];
const SIZES = [...CURVE.map((sites) => [String(sites), sites]), ...Object.entries(SCALE)];
const SERIES = [
  {
    key: "one-by-one-ms",
    label: ["one patch at a time", "(dashed: extrapolated", `from ${SAMPLED.patches} patches)`],
    colour: "red",
    measuredUpTo: SAMPLED.beyond,
  },
  { key: "metadata-ms", label: ["list, all metadata"], colour: "blue" },
  { key: "core-ms", label: ["list, instructions only"], colour: "green" },
  { key: "copy-ms", label: ["a copy of the result"], colour: "grey" },
];
const X = [100, 1_000_000];
const Y = [0.001, 10_000_000];
const SITES = { 100: "100", 1000: "1k", 10000: "10k", 100000: "100k", 1000000: "1M" };
const TIMES = { 0.001: "1 µs", 0.1: "100 µs", 10: "10 ms", 1000: "1 s", 100000: "100 s", 10000000: "10,000 s" };
const LINE = 15;

const part = (value, [low, high]) => Math.log(value / low) / Math.log(high / low);
const x = (sites) => LEFT + part(sites, X) * (WIDTH - LEFT - RIGHT);
const y = (time) => HEIGHT - BOTTOM - part(Math.max(time, Y[0]), Y) * (HEIGHT - TOP - BOTTOM);
const points = (list) => list.map(([sites, time]) => `${x(sites).toFixed(1)},${y(time).toFixed(1)}`).join(" ");
const text = (at, level, anchor, label, colour = "ink") =>
  `<text class="${colour}" x="${at.toFixed(1)}" y="${level.toFixed(1)}" dy="4" text-anchor="${anchor}">${label}</text>`;

const measured = process.argv[2] === undefined ? run() : JSON.parse(readFileSync(process.argv[2], "utf8")).results;
const results = new Map(measured.map(({ case: name, value }) => [name, value]));

const drawing = [];
for (const [time, label] of Object.entries(TIMES)) {
  const level = y(Number(time));
  drawing.push(
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${level.toFixed(1)}" y2="${level.toFixed(1)}"/>`,
  );
  drawing.push(text(LEFT - 8, level, "end", label));
}
for (const [sites, label] of Object.entries(SITES)) {
  const at = x(Number(sites)).toFixed(1);
  drawing.push(`<line class="grid" x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`);
  drawing.push(text(x(Number(sites)), HEIGHT - BOTTOM + 16, "middle", label));
}
drawing.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "middle", "instructions that become three"));

let free = TOP;
for (const { key, label, colour, measuredUpTo = Number.POSITIVE_INFINITY } of SERIES) {
  const all = SIZES.map(([name, sites]) => [sites, results.get(`${name}/${key}`)]).filter(
    ([, time]) => time !== undefined,
  );
  const solid = all.filter(([sites]) => sites <= measuredUpTo);
  const dashed = all.slice(solid.length - 1);
  drawing.push(`<polyline class="${colour}" points="${points(solid)}"/>`);
  if (dashed.length > 1)
    drawing.push(`<polyline class="${colour}" points="${points(dashed)}" stroke-dasharray="5 4"/>`);
  // Beside the end of its line, below the label before.
  const [sites, time] = all.at(-1);
  const level = Math.max(y(time), free);
  for (const [i, line] of label.entries()) drawing.push(text(x(sites) + 8, level + i * LINE, "start", line, colour));
  free = level + label.length * LINE;
}

const palette = (colours) =>
  Object.entries(colours).map(
    ([name, value]) => `text.${name} { fill: ${value} } polyline.${name} { stroke: ${value} }`,
  );
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>Time to patch a program, by number of patches</title>
<style>
rect { fill: #fff } .grid { stroke: #ddd } polyline { fill: none; stroke-width: 2 }
${palette({ ink: "#444", red: "#c0392b", blue: "#1f618d", green: "#1e8449", grey: "#616a6b" }).join("\n")}
@media (prefers-color-scheme: dark) {
rect { fill: #0d1117 } .grid { stroke: #30363d }
${palette({ ink: "#c9d1d9", red: "#ff7b72", blue: "#79c0ff", green: "#56d364", grey: "#a0a8b0" }).join("\n")}
}
</style>
<rect width="${WIDTH}" height="${HEIGHT}"/>
${drawing.join("\n")}
</svg>
`;
writeFileSync(new URL("../docs/patching.svg", import.meta.url), svg);
