// Which functions can share trampolines: equal places give equal bytes, and what a trampoline has to treat differently gives others.
import { type ArgPlaces, type Backend, type CompileOptions, type LinkKind, parseFuncModel } from "@bpfkit/core";
import { FUNCTION_MODELS } from "./cases.ts";
import type { TrampolineBreach } from "./law.ts";

const LISTS: readonly (readonly LinkKind[])[] = [["fentry"], ["fexit"], ["fmod_ret"], ["fsession", "fexit"]];

/** The models, with pointers in place of `u64`, and with small numbers of another size: some of these can share, some cannot. */
export function relatedModels(models: readonly string[] = FUNCTION_MODELS): readonly string[] {
  const related = models.flatMap((model) => [
    model,
    model.replaceAll("u64", "void *"),
    model.replaceAll("u8", "s32"),
    model.replaceAll("s8", "u16"),
  ]);
  return [...new Set(related)];
}

/** Of how many pairs of functions the code was compared, how many of those can share theirs, and the first pair that goes against it. */
export interface SharingReport {
  readonly pairs: number;
  readonly equal: number;
  readonly breach: TrampolineBreach | undefined;
}

/** Compares the trampolines of every two models. */
export function checkSharing(
  backend: Backend,
  compile?: CompileOptions,
  models: readonly string[] = relatedModels(),
): SharingReport {
  const functions = models.map((text) => {
    const model = parseFuncModel(text);
    const codes = LISTS.map((kinds) => {
      const links = kinds.map((kind) => ({ kind }));
      return backend.emitTrampoline({ model, links, original: "from-stack" }, compile).code.join();
    });
    return { text, model, codes, shape: shapeOf(backend, backend.classifyArgs(model)) };
  });
  let [pairs, equal] = [0, 0];
  for (const [i, one] of functions.entries()) {
    for (const other of functions.slice(i + 1)) {
      pairs++;
      const canShare = backend.funcModelEqual(one.model, other.model);
      if (canShare) equal++;
      const isSame = one.codes.every((code, list) => code === other.codes[list]);
      if (canShare ? isSame : one.shape === other.shape || !isSame) continue;
      const what = `trampolines of ${one.text} and ${other.text}`;
      const [expected, found] = canShare ? ["equal code", "different code"] : ["different code", "equal code"];
      return { pairs, equal, breach: { what, expected, found, listing: "" } };
    }
  }
  return { pairs, equal, breach: undefined };
}

/** What of the places every trampoline has to go by: where each word is, and what is cleared of it. */
function shapeOf({ trampolines: { smallOnStack } }: Backend, { slots }: ArgPlaces): string {
  const ways = [smallOnStack.seen, smallOnStack.passed];
  const words = slots.map(({ in: where, index, clear, size }) => {
    if (where === "register") return `register ${index}`;
    const cleared = [ways.includes("lower-half") && clear, ways.includes("own-bytes") && size];
    return `stack ${index} ${cleared.join(" ")}`;
  });
  return words.join(", ");
}
