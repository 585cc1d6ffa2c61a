// The operands of the line being read: values in columns, where they stand in the text, and the errors that point at them.
import type { BpfError, ErrorCode, ErrorDetails } from "../errors.ts";
import { errorAt } from "./lexer.ts";

const MIN64 = -(1n << 63n);
const MAX64 = (1n << 64n) - 1n;

/** Filled by the parser, read by the encoder; used again for every line, so that a line costs no object. */
export class Operands {
  readonly source: string;
  count = 0;
  readonly values: (number | bigint)[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Whether the operand is a name, which is looked up at the end. */
  readonly named: boolean[] = [];

  constructor(source: string) {
    this.source = source;
  }

  push(value: number | bigint, start: number, end: number, named: boolean): void {
    const at = this.count++;
    this.values[at] = value;
    this.starts[at] = start;
    this.ends[at] = end;
    this.named[at] = named;
  }

  text(at: number): string {
    return this.source.slice(this.starts[at], this.ends[at]);
  }

  /** The operand as a number in a range; @throws {BpfError} `out-of-range`, with a hint when 64 bits would hold it and `wider` says how */
  number(at: number, min: number, max: number, what: string, wider?: (text: string) => string): number {
    const value = this.values[at]!;
    if (value >= min && value <= max) return Number(value);
    const hint = wider !== undefined && value >= MIN64 && value <= MAX64 ? { hint: wider(this.text(at)) } : {};
    throw this.error(
      at,
      `${this.text(at)} does not fit ${what}`,
      { expected: `${min}..${max}`, ...hint },
      "out-of-range",
    );
  }

  /** The two halves of a 64-bit operand. @throws {BpfError} `out-of-range` */
  wide(at: number): [low: number, high: number] {
    const value = BigInt(this.values[at]!);
    if (value < MIN64 || value > MAX64) {
      const expected = "-0x8000000000000000..0xffffffffffffffff";
      throw this.error(at, `${this.text(at)} does not fit 64 bits`, { expected }, "out-of-range");
    }
    return [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))];
  }

  error(at: number, message: string, details: ErrorDetails, code?: ErrorCode): BpfError {
    return errorAt(this.source, this.starts[at]!, this.ends[at]!, message, details, code);
  }

  /** The operand is not what the instruction needs there. */
  misplaced(at: number, expected: string): BpfError {
    return this.error(at, `${this.text(at)} cannot stand here`, { expected });
  }
}
