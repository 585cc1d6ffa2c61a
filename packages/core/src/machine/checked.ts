// The rule that an instruction is one parallel assignment, enforced on a reading; for tests. The rule is stated at Ops.
import { BpfError } from "../errors.ts";

/** Words that can stop the instruction or be seen from outside: none may follow a `set`. */
const EFFECTS = ["load", "store", "atomic", "trapIf", "call", "helper", "kfunc", "tailCall", "packetLoad"] as const;

type Words = Record<string, ((...args: never[]) => unknown) | undefined>;

/**
 * Makes a reading throw where a row breaks the rule: an effect after a `set`, a `get` or second `set` of a register that was set,
 * or a lazy value that looks at registers or memory. `begin` starts the next instruction.
 */
export function enforceAssignment(reading: object): void {
  const words = reading as Words;
  const written = new Set<number>();
  let producing = false;

  const wrap = (name: string, before: (...args: never[]) => void): void => {
    const original = words[name];
    if (original === undefined) return;
    words[name] = (...args: never[]): unknown => {
      before(...args);
      return original.apply(reading, args);
    };
  };
  const pure = (name: string): void => {
    if (producing) breach(`${name} inside a lazy value`);
  };
  const write = (reg: number): void => {
    if (written.has(reg)) breach(`a second set of register ${reg}`);
    written.add(reg);
  };

  wrap("begin", () => written.clear());
  for (const name of EFFECTS) {
    wrap(name, () => {
      pure(name);
      if (written.size > 0) breach(`${name} after a set of register ${[...written].join(", ")}`);
    });
  }
  wrap("get", (reg) => {
    pure("get");
    if (written.has(reg)) breach(`a get of register ${reg} after its set`);
  });
  wrap("set", write);

  const setLazy = words.setLazy as ((regs: readonly number[], value: (reg: number) => unknown) => void) | undefined;
  if (setLazy === undefined) return;
  const checkedSetLazy = (regs: readonly number[], value: (reg: number) => unknown): void => {
    regs.forEach(write);
    setLazy.call(reading, regs, (reg) => {
      producing = true;
      try {
        return value(reg);
      } finally {
        producing = false;
      }
    });
  };
  words.setLazy = checkedSetLazy as (...args: never[]) => unknown;
}

function breach(what: string): never {
  throw new BpfError("internal", what, { expected: "an instruction that is one parallel assignment" });
}
