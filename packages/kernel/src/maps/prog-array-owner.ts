// Which programs may share a prog array: the kernel's rules, told by what differs from what.
import { BpfError } from "@bpfkit/core";
import type { Resident } from "../resident.ts";

/** What all programs that use a prog array, or are in it, have in common; the first of them decides. */
export interface ProgArrayOwner {
  /** Name of the program that decided. */
  readonly program: string;
  /** Program type; of an extension, that of the program it extends. */
  readonly type: string;
  /** Whether there is machine code of it. */
  readonly jited: boolean;
  readonly attachType: string | undefined;
  readonly sleepable: boolean;
  /** Whether it takes packets in several fragments. */
  readonly frags: boolean;
}

export function ownerBy({ name, type, jited, verified: { program } }: Resident): ProgArrayOwner {
  const { attachType, sleepable = false, frags = false } = program;
  return { program: name, type, jited, attachType, sleepable, frags };
}

/** @throws {BpfError} `argument` (EINVAL) where a program does not fit */
export function checkFits(map: string, owner: ProgArrayOwner, program: Resident): void {
  const other = ownerBy(program);
  for (const part of ["type", "jited", "attachType", "sleepable", "frags"] as const) {
    if (owner[part] === other[part]) continue;
    throw new BpfError(
      "argument",
      `program '${program.name}' and prog array '${map}' (EINVAL): it ${WORDS[part](other)}, but the array is for programs like '${owner.program}', which ${WORDS[part](owner)}`,
      { hint: "the first program that uses a prog array, or is put into it, decides which others fit" },
    );
  }
}

type Words = Readonly<
  Record<"type" | "jited" | "attachType" | "sleepable" | "frags", (owner: ProgArrayOwner) => string>
>;

const WORDS: Words = {
  type: ({ type }) => `is of type ${type}`,
  jited: ({ jited }) => (jited ? "is machine code" : "is interpreted"),
  attachType: ({ attachType }) => (attachType === undefined ? "has no attach type" : `has attach type ${attachType}`),
  sleepable: ({ sleepable }) => (sleepable ? "may sleep" : "may not sleep"),
  frags: ({ frags }) => (frags ? "takes packets in fragments" : "takes packets in one piece"),
};
