// Which structure a pointer leads to: keys of structures as numbers, for the AUX words of registers.
import type { Verification } from "./verification.ts";

/** Keys by AUX word: index + 1. */
export class StructNames {
  readonly #keys: string[] = [];
  readonly #numbers: Map<string, number> = new Map();

  numberOf(key: string): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#keys.push(key);
      this.#numbers.set(key, number);
    }
    return number;
  }

  /** The key behind an AUX word; undefined for 0. */
  key(aux: number): string | undefined {
    return this.#keys[aux - 1];
  }
}

/** The name of a structure in messages; empty where nothing is known. */
export function structName(v: Verification, aux: number): string {
  const key = v.structs.key(aux);
  if (key === undefined) return "";
  const name = v.types?.struct(key)?.name ?? key;
  return name === "" ? "(anon)" : name;
}
