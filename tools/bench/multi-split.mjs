// node tools/bench/multi-split.mjs: draws docs/multi-attach.svg, how links split and merge classes of functions, from the states that plans lead to.
import { realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { applyPlan, MultiState, NO_CLASS, planAttach, planDetach } from "@bpfkit/core";

export const PICTURE = new URL("../../docs/multi-attach.svg", import.meta.url);
/** From which function to which each link goes; the end is not part of it. */
const LINKS = { A: [0, 10_000], B: [9_000, 14_000] };
const COUNT = 14_000;

const [WIDTH, LEFT, RIGHT, TOP, BAR, GAP] = [800, 130, 20, 20, 46, 64];
const x = (id) => LEFT + (id / COUNT) * (WIDTH - LEFT - RIGHT);
const number = (value) => value.toLocaleString("en-US");
const text = (at, level, anchor, label, kind = "ink") =>
  `<text class="${kind}" x="${at.toFixed(1)}" y="${level}" dy="4" text-anchor="${anchor}">${label}</text>`;

/** Functions beside each other that are in one class. */
function runsOf(state) {
  const runs = [];
  for (let id = 0; id < COUNT; id++) {
    const run = runs.at(-1);
    const inClass = state.classOf(id);
    if (run?.inClass === inClass) run.to = id + 1;
    else runs.push({ inClass, from: id, to: id + 1 });
  }
  return runs;
}

/** The bar of a state: a box for each class. */
function bar(state, level, heading, lines) {
  const parts = [text(LEFT - 12, level + BAR / 2 - 8, "end", heading, "strong")];
  parts.push(text(LEFT - 12, level + BAR / 2 + 10, "end", lines));
  for (const { inClass, from, to } of runsOf(state)) {
    const key = inClass === NO_CLASS ? undefined : state.class(inClass);
    const names = key === undefined ? [] : [...key.links].map((link) => Object.keys(LINKS)[link]);
    const kind = names.join("") || "none";
    parts.push(
      `<rect class="${kind}" x="${x(from).toFixed(1)}" y="${level}" width="${(x(to) - x(from)).toFixed(1)}" height="${BAR}"/>`,
    );
    const middle = (x(from) + x(to)) / 2;
    parts.push(
      text(middle, level + BAR / 2 - 8, "middle", names.length === 0 ? "-" : `{${names.join(" ")}}`, "strong"),
    );
    parts.push(text(middle, level + BAR / 2 + 10, "middle", number(to - from)));
  }
  return parts;
}

/** Arrows from one bar to the next, one for each move of a plan. */
function arrows(plan, level, heading) {
  const parts = [text(LEFT - 12, level + GAP / 2, "end", heading)];
  for (const { start, end } of plan.moves) {
    const functions = plan.functions.subarray(start, end);
    const middle = (x(functions[0]) + x(functions.at(-1) + 1)) / 2;
    const [from, to] = [level + 6, level + GAP - 6];
    parts.push(`<path class="arrow" d="M${middle.toFixed(1)} ${from}V${to}m-4 -7l4 7l4 -7"/>`);
    parts.push(text(middle + 8, level + GAP / 2, "start", number(functions.length)));
  }
  return parts;
}

/** The picture as SVG. */
export function draw() {
  const state = new MultiState({
    count: COUNT,
    models: new Int32Array(COUNT),
    flags: new Uint8Array(COUNT).fill(1),
    name: (id) => `f${id}`,
  });
  const attach = (link) => {
    const [from, to] = LINKS[link];
    const functions = Array.from({ length: to - from }, (_, i) => from + i);
    const plan = planAttach(state, { kind: "fentry", program: Object.keys(LINKS).indexOf(link), functions });
    applyPlan(state, plan);
    return plan;
  };
  const classes = () => `${state.classes} ${state.classes === 1 ? "class" : "classes"}`;
  const levelOf = (row) => TOP + row * (BAR + GAP);
  const first = attach("A").link.id;
  const drawing = bar(state, levelOf(0), "A", classes());
  const second = attach("B");
  drawing.push(...arrows(second, levelOf(0) + BAR, "attach B"), ...bar(state, levelOf(1), "A and B", classes()));
  const third = planDetach(state, first);
  applyPlan(state, third);
  drawing.push(...arrows(third, levelOf(1) + BAR, "detach A"), ...bar(state, levelOf(2), "B", classes()));
  const height = levelOf(2) + BAR + TOP;
  const fills = (colours) => Object.entries(colours).map(([name, value]) => `rect.${name} { fill: ${value} }`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">
<title>Classes of functions when link B comes to functions of link A, and when A goes</title>
<style>
.strong { font-weight: bold } .none { stroke-dasharray: 4 3 } .arrow { fill: none; stroke-width: 1.5 }
.page { fill: #fff } text { fill: #333 } rect:not(.page), .arrow { stroke: #666 }
${fills({ none: "#fff", A: "#cfe3f7", AB: "#e2d3f3", B: "#d3efd8" }).join("\n")}
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } rect:not(.page), .arrow { stroke: #8b949e }
${fills({ none: "#0d1117", A: "#1b3a5c", AB: "#432e66", B: "#1d4428" }).join("\n")}
}
</style>
<rect class="page" width="${WIDTH}" height="${height}"/>
${drawing.join("\n")}
</svg>
`;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(PICTURE, draw());
}
