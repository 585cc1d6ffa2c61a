// The two-site protocol as a model: sites that change in one go, and readers that only look at them.
import type { PokeProtocol } from "@bpfkit/kernel";
import type { Move, Reader } from "./rules.ts";
import type { Callee, Trace, TraceStep } from "./trace.ts";

/** What a site of the model holds, as one byte: the bypass 0 (skip) or 1 (pass), the target 0 (nothing), 1 (f) or 2 (g). */
const TARGETS: readonly Callee[] = ["none", "f", "g"];
const BYPASS = 0n;
const TARGET = 1n;

/** What a site holds while the slot holds `callee`. */
function stateOf(site: "bypass" | "target", callee: Callee): number {
  return site === "target" ? TARGETS.indexOf(callee) : Number(callee !== "none");
}

/** The steps of a history under a protocol. */
export function modelTrace(protocol: PokeProtocol, history: readonly Callee[]): Trace {
  const steps: TraceStep[] = [];
  const sites = { bypass: 0, target: 0 };
  let slot: Callee = "none";
  for (const [update, next] of history.entries()) {
    steps.push({ kind: "begin", update });
    for (const move of slot === next ? [] : protocol.moves(slot !== "none", next !== "none")) {
      if (move === "wait") {
        steps.push({ kind: "wait-readers" });
        continue;
      }
      const before = sites[move];
      if (protocol.compares === "slot" && before !== stateOf(move, slot)) {
        steps.push({ kind: "refused", reason: `the ${move} is not what ${slot} implies (EBUSY)` });
        return traceOf(history, steps);
      }
      const after = stateOf(move, next);
      if (after === before) continue;
      sites[move] = after;
      const address = move === "bypass" ? BYPASS : TARGET;
      steps.push({ kind: "write", what: move, address, before: Uint8Array.of(before), bytes: Uint8Array.of(after) });
    }
    slot = next;
    steps.push({ kind: "end", update });
  }
  return traceOf(history, steps);
}

function traceOf(history: readonly Callee[], steps: readonly TraceStep[]): Trace {
  return { history, steps, traps: Array.from({ length: steps.length + 1 }, () => []) };
}

/** Places of a reader of the model. */
const [AT_BYPASS, AT_TARGET, IN_F, IN_G] = [0, 1, 2, 3];

/** A reader of the model: looks at the bypass, then, with its frame gone, at the target. */
export function modelReader({ steps }: Trace): Reader {
  const bypass = [0];
  const target = [0];
  for (const step of steps) {
    const isWrite = step.kind === "write";
    bypass.push(isWrite && step.address === BYPASS ? step.bytes[0]! : bypass.at(-1)!);
    target.push(isWrite && step.address === TARGET ? step.bytes[0]! : target.at(-1)!);
  }
  return {
    entry: AT_BYPASS,
    pc: () => 0n,
    inside: (place) => (place === IN_F ? "f" : place === IN_G ? "g" : undefined),
    next(place, count): readonly Move[] {
      if (place === AT_BYPASS) {
        return bypass[count] === 1
          ? [{ what: "passes the bypass and leaves its frame", to: AT_TARGET }]
          : [{ what: "skips", to: { kind: "returned", callee: "none" } }];
      }
      if (place !== AT_TARGET) {
        const callee = place === IN_F ? "f" : "g";
        return [{ what: `runs ${callee}`, to: { kind: "returned", callee } }];
      }
      const callee = TARGETS[target[count]!]!;
      if (callee === "none") {
        return [
          {
            what: "finds nothing at the target",
            to: { kind: "broken", what: "leaves its frame, then finds nothing to call" },
          },
        ];
      }
      return [{ what: `jumps to ${callee}`, to: callee === "f" ? IN_F : IN_G }];
    },
  };
}
