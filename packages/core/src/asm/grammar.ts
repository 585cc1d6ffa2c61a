// The texts of all instructions folded into one tree, so that a line is matched token by token without going back.
import { OPS } from "../isa/decode.ts";
import { piecesOf } from "../isa/template.ts";
import { spellingsOf } from "./spelling.ts";

/** A leaf: the instruction, and for each captured operand the field it goes to. `r0` and `w0` stand for themselves. */
export interface Form {
  /** Index in OPS. */
  readonly op: number;
  readonly fields: readonly string[];
  /** Whether a field has to have a certain value: `r0`, `w0` or `P`. */
  readonly pinned: boolean;
}

/** What may come next in a line. At most one edge fits a token. */
export interface Node {
  readonly literals: Map<string, Node>;
  /** Registers, numbers, `+ 4` and `- 4`, `+3` or a label, names. */
  r64?: Node;
  w32?: Node;
  number?: Node;
  offset?: Node;
  jump?: Node;
  name?: Node;
  /** Instructions that end here; more than one only where an operand's value decides. */
  readonly forms: Form[];
}

type Edge = "r64" | "w32" | "number" | "offset" | "jump" | "name";

const LETTER = /\b([PN])\b/;
const TOKEN = /s?(?:>>=|<<=|[/%]=|[<>]=?)|[-+*|&^=!]=|[A-Za-z_]\w*|\d+|\S/g;

/** Splits a text into literal tokens and field names, marked by a leading `$`. */
function tokensOf(text: string): readonly string[] {
  return piecesOf(text).flatMap((piece, place) =>
    place % 2 === 1
      ? [`$${piece}`]
      : piece.split(LETTER).flatMap((part, inner) => (inner % 2 === 1 ? [`$${part}`] : (part.match(TOKEN) ?? []))),
  );
}

function edgeOf(field: string, afterPlus: boolean): Edge {
  if (field[0] === "r") return "r64";
  if (field[0] === "w") return "w32";
  if (field[0] === "L") return "jump";
  if (field === "N") return "name";
  return afterPlus ? "offset" : "number";
}

function emptyNode(): Node {
  return { literals: new Map(), forms: [] };
}

function step(node: Node, edge: Edge): Node {
  const next = node[edge] ?? emptyNode();
  node[edge] = next;
  return next;
}

function add(root: Node, op: number, text: string): void {
  const fields: string[] = [];
  const tokens = tokensOf(text);
  let node = root;
  for (const [index, token] of tokens.entries()) {
    const isField = token[0] === "$";
    if (isField || token === "r0" || token === "w0") {
      const field = isField ? token.slice(1) : token;
      fields.push(field);
      node = step(node, edgeOf(field, tokens[index - 1] === "+"));
    } else if (token !== "+" || tokens[index + 1]?.[0] !== "$") {
      const next = node.literals.get(token) ?? emptyNode();
      node.literals.set(token, next);
      node = next;
    }
  }
  node.forms.push({ op, fields, pinned: fields.some((field) => field === "r0" || field === "w0" || field === "P") });
}

/** The tree's root: what a line can begin with. */
export const GRAMMAR: Node = emptyNode();
for (const op of OPS.keys()) {
  for (const text of spellingsOf(OPS[op]!)) {
    add(GRAMMAR, op, text);
    if (text.startsWith("ld_pseudo")) add(GRAMMAR, op, text.replace(", H", ""));
  }
}

/** What a node takes, in words. */
export function expectedAt(node: Node): string {
  if (node === GRAMMAR) return "an instruction, a label or a directive";
  const words: string[] = [];
  if (node.r64) words.push("a register (r0..r10)");
  if (node.w32) words.push("a 32-bit register (w0..w10)");
  if (node.number) words.push("a number");
  if (node.offset) words.push("an offset (+ 4)");
  if (node.jump) words.push("a distance (+3) or a label");
  if (node.name && !node.jump) words.push("a name");
  const literals = [...node.literals.keys()];
  if (literals.length > 8)
    words.push(literals.every((literal) => /\W/.test(literal)) ? "an operator" : "an expression");
  else words.push(...literals.map((literal) => `\`${literal}\``));
  if (node.forms.length > 0) words.push("the end of the line");
  return words.length < 2 ? (words[0] ?? "nothing") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
