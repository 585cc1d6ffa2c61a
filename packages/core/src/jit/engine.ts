// The engine that runs a backend's machine code on its emulated CPU.
import { invariant } from "../errors.ts";
import type { Engine } from "../machine/engine.ts";
import { Placed } from "../machine/placed.ts";
import type { Backend, CompileOptions, CpuOptions } from "./backend.ts";
import { Code, Loaded, type Setting } from "./code.ts";
import type { Image } from "./image.ts";

/**
 * Runs programs as machine code of `backend`.
 *
 * @example
 * ```ts
 * const engine = jit(backend, { features: {} });
 * const kernel = new Kernel({ engine });
 * ```
 */
export function jit<R extends string>(backend: Backend<R>, options: CompileOptions & CpuOptions = {}): Engine {
  const setting: Setting<R> = { backend, options, placed: new Placed(), idle: new WeakMap() };
  let functionImage: Image | undefined;
  const { arch, poke, pokeMany, capabilities, disassemble, classifyArgs, funcModelEqual, planTrampoline } = backend;
  return {
    name: arch,
    text: {
      arch,
      poke,
      pokeMany,
      capabilities,
      disassemble,
      classifyArgs,
      funcModelEqual,
      planTrampoline,
      emitTrampoline: (spec) => backend.emitTrampoline(spec, options),
      emitFunction: () => {
        functionImage ??= backend.emitFunction(options);
        return functionImage;
      },
      place: (image, name, host) => new Code(setting, image, name, host, noSubprog),
    },
    load: (program, host, loadOptions) => new Loaded(setting, program, host, loadOptions),
  };
}

function noSubprog(): never {
  return invariant(false, "a subprogram outside of programs") as never;
}
