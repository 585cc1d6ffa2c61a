// Why a program is rejected: thrown inside the verifier, a value outside.

/** Error numbers that the kernel gives with a rejection. */
export const Errno = { EPERM: 1, E2BIG: 7, EACCES: 13, EFAULT: 14, EINVAL: 22, ENOTSUPP: 524, EOPNOTSUPP: 95 } as const;

/** Ends a verification. */
export class Refusal {
  readonly errno: number;
  /** Lines as the kernel's log ends. */
  readonly lines: readonly string[];
  /** The budget that ran out, where that is the reason. */
  readonly budget: "instructions" | "states" | "milliseconds" | undefined;
  /** The instruction, where it is not the one that the path has come to. */
  readonly insn: number | undefined;

  /** The line that says why: the last one, but for loops, where states follow it. */
  get reason(): string {
    return this.lines.find((line) => line.startsWith("infinite loop")) ?? this.lines.at(-1) ?? "";
  }

  constructor(
    errno: number,
    lines: readonly string[],
    budget?: "instructions" | "states" | "milliseconds",
    insn?: number,
  ) {
    this.errno = errno;
    this.lines = lines;
    this.budget = budget;
    this.insn = insn;
  }
}
