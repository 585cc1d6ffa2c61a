// A stack frame as a picture, in text and as SVG: the highest address on top, the place of the frame register marked.
import type { FrameSlot } from "@bpfkit/core";

/** A row of a picture; one without a name is a gap between slots. */
interface Row {
  readonly name: string | undefined;
  readonly offset: number;
  readonly size: number;
}

/** Slots from the highest to the lowest, with the gaps between them. */
function rowsOf(frame: readonly FrameSlot[]): Row[] {
  const rows: Row[] = [];
  let lowest: number | undefined;
  for (const slot of frame.toSorted((a, b) => b.offset - a.offset)) {
    const end = slot.offset + slot.size;
    if (lowest !== undefined && end < lowest) rows.push({ name: undefined, offset: end, size: lowest - end });
    rows.push(slot);
    lowest = slot.offset;
  }
  return rows;
}

const signed = (offset: number): string => (offset > 0 ? `+${offset}` : String(offset));

/** Lines of text: offset from the frame register, bytes, and what is there. */
export function frameText(frame: readonly FrameSlot[]): string {
  const rows = rowsOf(frame);
  const width = Math.max(0, ...rows.map(({ name = "" }) => name.length));
  const rule = (left: string, right: string): string => `${" ".repeat(15)}${left}${"─".repeat(width + 2)}${right}\n`;
  const lines = rows.map(({ name = "", offset, size }, i) => {
    const mark = offset === 0 ? " ◄ frame register" : "";
    const line = `  ${signed(offset).padStart(6)} ${grow(size)}  │ ${name.padEnd(width)} │${mark}\n`;
    const isEdge = offset === 0 && i < rows.length - 1;
    return isEdge ? line + rule("├", "┤") : line;
  });
  return rule("┌", "┐") + lines.join("") + rule("└", "┘");
}

const grow = (size: number): string => String(size).padStart(4);

/** Measures of the drawing, in its own units. */
const WORD = 24;
const BOX = { left: 90, width: 330 };
const TOP = 56;
const WIDTH = 560;

const STYLE = `
svg { background: #fff } text { fill: #24292f } .title { font-weight: bold } .dim { fill: #57606a }
rect { fill: #eef2f6; stroke: #57606a } .args { fill: #d8ebff } .saved { fill: #f4ecd8 } .gap { fill: none; stroke-dasharray: 3 3 }
line { stroke: #b42318; stroke-width: 2 } .mark { fill: #b42318 }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 } text { fill: #e6edf3 } .dim { fill: #9da7b1 }
rect { fill: #1c232c; stroke: #6e7781 } .args { fill: #123456 } .saved { fill: #3d3114 } .gap { fill: none }
line { stroke: #ff7b72 } .mark { fill: #ff7b72 }
}
`;

/** An SVG document; readable on light and on dark. A word is one unit high, whatever is larger at most three. */
export function frameSvg(title: string, subtitle: string, frame: readonly FrameSlot[]): string {
  const rows = rowsOf(frame);
  const out: string[] = [];
  let y = TOP;
  for (const { name, offset, size } of rows) {
    const height = WORD * Math.min(3, Math.max(1, size / 8));
    const middle = y + height / 2 + 4;
    const { left, width } = BOX;
    out.push(
      `<rect class="${classOf(name)}" x="${left}" y="${y}" width="${width}" height="${height}"/>`,
      `<text class="dim" x="${left - 10}" y="${middle}" text-anchor="end">${signed(offset)}</text>`,
      `<text x="${left + 12}" y="${middle}">${escapeXml(name ?? "")}</text>`,
      `<text class="dim" x="${left + width - 12}" y="${middle}" text-anchor="end">${size}</text>`,
    );
    y += height;
    if (offset === 0) {
      out.push(
        `<line x1="${left - 4}" x2="${left + width + 4}" y1="${y}" y2="${y}"/>`,
        `<text class="mark" x="${left + width + 10}" y="${y + 4}">frame register</text>`,
      );
    }
  }
  const height = y + 16;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="16" y="24">${escapeXml(title)}</text>`,
    `<text class="dim" x="16" y="42">${escapeXml(subtitle)}</text>`,
    ...out,
    "</svg>\n",
  ].join("\n");
}

/** Arguments, what is saved for others, gaps, and the rest look different. */
function classOf(name: string | undefined): string {
  if (name === undefined) return "gap";
  if (name.startsWith("argument") || name.startsWith("stack ")) return "args";
  return /return address|caller|^s1$|^rbx$|^x\d+|^s0/.test(name) ? "saved" : "own";
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => ESCAPES[letter]!);
}
