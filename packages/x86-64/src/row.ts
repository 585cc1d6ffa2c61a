// Reads the two strings of a table row: Intel SDM volume 2, section 3.1.1.1 (opcode column) and 3.1.1.3 (instruction column).
import { invariant } from "@bpfkit/core";
import { INSNS, type Op } from "./insns.ts";

/** Where an operand is written: ModRM.reg, ModRM.rm (register or memory, or memory only), VEX.vvvv, the opcode byte, or behind. */
export type Place = "reg" | "rm" | "m" | "vvvv" | "opcode" | "imm" | "rel" | "fixed";

/** One operand of a row. */
export interface Operand {
  readonly name: string;
  readonly place: Place;
  /** Bytes of the register, access or immediate; 0 for an address nobody accesses (`lea`). */
  readonly size: 0 | 1 | 2 | 4 | 8;
}

/** A row taken apart. */
export interface Row {
  readonly op: Op;
  readonly mnemonic: string;
  readonly operands: readonly Operand[];
  /** 0x66, 0xf0, 0xf2 or 0xf3; 0 without. In a VEX row it travels in the `pp` field. */
  readonly prefix: number;
  readonly vex: boolean;
  /** REX.W or VEX.W. */
  readonly w: 0 | 1;
  /** 0: one opcode byte; 1: behind 0F; 2: behind 0F 38; 3: behind 0F 3A. VEX calls it `mmmmm`. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  /** A ModRM byte that belongs to the opcode (`0F AE E8`), or −1. */
  readonly modrm: number;
  /** ModRM.reg where it extends the opcode (`/4`), or −1. */
  readonly digit: number;
  /** Bytes of the immediate or branch distance. */
  readonly immSize: 0 | 1 | 2 | 4 | 8;
  /** Whether the immediate is narrower than the operation and its sign is extended, or it is a distance. */
  readonly immExtends: boolean;
  /** Whether the immediate is a count of bits, which has no sign. */
  readonly immIsCount: boolean;
  /** Whether REX.W changes nothing: the row's width is a byte, or 64 bits in any case. */
  readonly ignoresW: boolean;
}

const IMM_SIZES: Readonly<Record<string, 1 | 2 | 4 | 8>> = { ib: 1, iw: 2, id: 4, io: 8, cb: 1, cd: 4 };
const FIXED_SIZES: Readonly<Record<string, 1 | 4 | 8>> = { eax: 4, rax: 8, cl: 1, "1": 1 };
const ALWAYS_64 = /^(push|pop|call|j[a-z]+)$/;
const SHIFT = /^(shl|shr|sar|rol|ror|rorx)$/;

function parseOperand(name: string, enc: string): Operand {
  const fixed = FIXED_SIZES[name];
  if (fixed !== undefined) return { name, place: "fixed", size: fixed };
  const match = /^(rm|r|m|imm|rel)(8|16|32|64)?(a|b)?$/.exec(name);
  invariant(match !== null, `operand ${name} in the notation of the table`);
  const [, kind, bits = "0", suffix] = match;
  const size = (Number(bits) / 8) as Operand["size"];
  if (kind === "r") return { name, place: enc.includes("+rd") ? "opcode" : suffix === "b" ? "vvvv" : "reg", size };
  return { name, place: kind as Place, size };
}

function parseRow(op: Op): Row {
  const { enc, asm } = INSNS[op];
  const [, mnemonic, list] = /^((?:lock )?\S+) ?(.*)$/.exec(asm)!;
  const operands = list === "" ? [] : list!.split(", ").map((name) => parseOperand(name, enc));
  const row = {
    prefix: 0,
    vex: false,
    w: 0 as 0 | 1,
    map: 0 as Row["map"],
    opcode: 0,
    modrm: -1,
    digit: -1,
    immSize: 0 as Row["immSize"],
  };
  const opcode: number[] = [];
  for (const token of enc.split(" ")) {
    if (token === "REX.W") row.w = 1;
    else if (token.startsWith("VEX.")) {
      const [, , pp, map, w] = token.split(".");
      row.vex = true;
      row.prefix = Number.parseInt(pp!, 16);
      row.map = map === "0F38" ? 2 : 3;
      row.w = w === "W1" ? 1 : 0;
    } else if (/^\/[0-7]$/.test(token)) row.digit = Number(token[1]);
    else if (IMM_SIZES[token] !== undefined) row.immSize = IMM_SIZES[token];
    else if (token !== "/r") {
      const byte = Number.parseInt(token, 16);
      if (opcode.length === 0 && row.prefix === 0 && (byte === 0x66 || byte === 0xf0 || byte === 0xf2 || byte === 0xf3))
        row.prefix = byte;
      else opcode.push(byte);
    }
  }
  if (opcode[0] === 0x0f) {
    row.map = 1;
    opcode.shift();
  }
  row.opcode = opcode[0]!;
  row.modrm = opcode[1] ?? -1;
  invariant(opcode.length <= 2, `opcode of ${op} in the notation of the table`);
  const immIsCount = row.immSize === 1 && SHIFT.test(mnemonic!);
  const width = operands[0]?.size ?? 0;
  return {
    op,
    mnemonic: mnemonic!,
    operands,
    ...row,
    immExtends: row.immSize > 0 && (row.immSize < width || ALWAYS_64.test(mnemonic!)) && !immIsCount,
    immIsCount,
    ignoresW: width === 1 || ALWAYS_64.test(mnemonic!),
  };
}

/** Every row taken apart, in the order of the table. */
export const ROWS: readonly Row[] = (Object.keys(INSNS) as Op[]).map(parseRow);

const BY_OP: ReadonlyMap<string, Row> = new Map(ROWS.map((row) => [row.op, row]));

/** The row behind a key, or undefined where the table has none. */
export function rowOf(op: string): Row | undefined {
  return BY_OP.get(op);
}
