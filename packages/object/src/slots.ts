// Programs that a definition of a prog array puts into its slots: relocations of `.maps` inside its `values` (libbpf's rules).
import { BpfError } from "@bpfkit/core";
import { type Elf, type ElfSection, RELOCATION_SIZE, SHT_REL } from "./elf.ts";
import type { Budget, Reader } from "./reader.ts";

/** A slot of a prog array and what it holds from the start. */
export interface ProgramSlot {
  readonly slot: number;
  /** Name of a program of the same object. */
  readonly program: string;
}

/** Bytes of a pointer in `values`. */
const POINTER = 8;
/** What is counted for a relocation, and for a slot. */
const SLOT_COST = 64;

/** The relocations of a section by the offset that they change. */
export class SlotTable {
  readonly #elf: Elf;
  readonly #rows: readonly { readonly offset: number; readonly table: Reader; readonly at: number }[];

  /** O(relocations × log relocations) */
  constructor(elf: Elf, section: ElfSection, budget: Budget) {
    this.#elf = elf;
    this.#rows = elf.sections
      .filter(({ type, info }) => type === SHT_REL && info === section.index)
      .flatMap((header) => {
        const table = elf.contents(header);
        const count = Math.floor(table.length / RELOCATION_SIZE);
        budget.take(count * SLOT_COST, `relocations of ${section.name}`);
        return Array.from({ length: count }, (_, i) => {
          const at = i * RELOCATION_SIZE;
          return { offset: table.u64(at, "offset of a relocation"), table, at };
        });
      })
      .sort((a, b) => a.offset - b.offset);
  }

  /**
   * The slots of map `name`, whose `values` begin at `start` in the section. O(log relocations + slots).
   *
   * @throws {BpfError} `malformed` for one that is no pointer of the array, or does not name a function
   */
  slotsOf(name: string, start: number, maxEntries: number, budget: Budget): ProgramSlot[] {
    const slots: ProgramSlot[] = [];
    for (let i = this.#firstFrom(start); i < this.#rows.length; i++) {
      const { offset, table, at } = this.#rows[i]!;
      if (offset >= start + POINTER * maxEntries) break;
      const slot = (offset - start) / POINTER;
      if (!Number.isInteger(slot))
        throw table.malformed(`relocation at ${offset}, inside a slot of map ${name}`, at, `slots of ${POINTER} bytes`);
      const symbol = this.#elf.symbols[table.u32(at + 12)];
      if (symbol?.kind !== "function")
        throw table.malformed(`slot ${slot} of map ${name} with ${symbol?.name ?? "nothing"} in it`, at, "a function");
      budget.take(SLOT_COST, "slots of prog arrays");
      slots.push({ slot, program: symbol.name });
    }
    return slots;
  }

  #firstFrom(offset: number): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#rows[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** @throws {BpfError} `malformed` for a slot whose program is not there */
export function checkSlots(
  maps: readonly { readonly name: string; readonly programs?: readonly ProgramSlot[] }[],
  programs: ReadonlySet<string>,
): void {
  for (const { name, programs: slots = [] } of maps) {
    const wrong = slots.find(({ program }) => !programs.has(program));
    if (wrong === undefined) continue;
    throw new BpfError("malformed", `slot ${wrong.slot} of map ${name} with ${wrong.program} in it`, {
      expected: "a program of the object",
    });
  }
}
