// Cookies of links that differ from function to function: a table in guest memory for each link, and the code that trampolines search it with.
import {
  Access,
  type Allocation,
  assemble,
  type Engine,
  type Executable,
  type Host,
  invariant,
  type Memory,
  trust,
} from "@bpfkit/core";

/**
 * r0 = the cookie of function r2 in the table r1, or 0. The table: how many, then per function its address and the cookie, ascending. In each round
 * one address is compared and half of what is left goes, so that ceil(log2 n) are compared, and the one that is left.
 */
const SEARCH = `
  r3 = *(u64 *)(r1 + 0)
  r1 += 8
halve:
  if r3 <= 1 goto last
  r4 = r3
  r4 >>= 1
  r3 -= r4
  r5 = r4
  r5 <<= 4
  r5 += r1
  r0 = *(u64 *)(r5 + 0)
  if r0 > r2 goto halve
  r1 = r5
  goto halve
last:
  r3 = *(u64 *)(r1 + 0)
  r0 = 0
  if r3 != r2 goto none
  r0 = *(u64 *)(r1 + 8)
none:
  exit`;

/** Bytes of a row, and in front of the rows. */
const ROW = 16;
const HEAD = 8;

/** The cookies of a link. It stays until its last holder lets go: the link, and trampolines that search it. */
export interface CookieTable {
  readonly address: bigint;
  hold(): void;
  drop(): void;
}

/** All tables of a kernel. The code that searches them is there while a table is. */
export class CookieTables {
  readonly #memory: Memory;
  readonly #engine: Engine;
  #tables = 0;
  #search: Executable | undefined;

  constructor(memory: Memory, engine: Engine) {
    this.#memory = memory;
    this.#engine = engine;
  }

  /** Tables that somebody holds. */
  get count(): number {
    return this.#tables;
  }

  /** Where the code that searches tables begins: (table, function's address) → cookie. For holders of a table. */
  get search(): bigint {
    return this.#search!.subprogAddress(0);
  }

  /** Makes a table, held once. Addresses ascend. @throws {BpfError} `limit` when guest memory is full */
  make(addresses: readonly bigint[], cookies: ArrayLike<bigint>, owner: string): CookieTable {
    const bytes = new Uint8Array(HEAD + ROW * addresses.length);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(addresses.length), true);
    for (let i = 0; i < addresses.length; i++) {
      view.setBigUint64(HEAD + ROW * i, addresses[i]!, true);
      view.setBigUint64(HEAD + ROW * i + 8, cookies[i]!, true);
    }
    this.#search ??= this.#engine.load(trust(assemble(SEARCH, { name: "cookie search" })), nothing(this.#memory));
    let allocation: Allocation;
    try {
      allocation = this.#memory.allocate("data", bytes.length, `cookies of ${owner}`, Access.READ);
    } catch (error) {
      this.#tidy();
      throw error;
    }
    this.#memory.write(allocation.address, bytes);
    this.#tables++;
    let holders = 1;
    return {
      address: allocation.address,
      hold: () => void holders++,
      drop: () => {
        if (--holders > 0) return;
        this.#memory.free(allocation);
        this.#tables--;
        this.#tidy();
      },
    };
  }

  #tidy(): void {
    if (this.#tables > 0) return;
    this.#search?.release();
    this.#search = undefined;
  }
}

/** For code that calls nothing. */
export function nothing(memory: Memory): Host {
  const refuse = (): never => invariant(false, "code that refers to nothing") as never;
  return { memory, address: refuse, function: refuse };
}
