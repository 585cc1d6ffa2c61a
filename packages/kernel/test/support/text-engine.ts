// An engine with code to rewrite: programs run in the interpreter, and beside them lies an image with the sites of their direct tail calls.
import {
  Access,
  type Engine,
  type Image,
  interpreter,
  type PatchSite,
  type PokePhase,
  type PokePlan,
  type SiteState,
  type TextEngine,
  type TextSite,
  tailCallsOf,
} from "@bpfkit/core";

/** Bytes of a site: what it does, and where it leads. */
const SITE = 8;
const BREAKPOINT = 0xcc;
const KINDS = ["nop", "call", "jump"] as const;
/** Bytes behind the entry where tail calls enter. */
export const LANDING = 4;

/** The bytes of a site in a state. */
export function siteBytes(state: SiteState): Uint8Array {
  const bytes = new Uint8Array(SITE);
  bytes[0] = 1 + KINDS.indexOf(state.kind);
  if (state.kind !== "nop") new DataView(bytes.buffer).setUint32(1, Number(state.target), true);
  return bytes;
}

/** What bytes of a site say. */
export function siteState(bytes: Uint8Array): SiteState {
  const kind = KINDS[bytes[0]! - 1];
  if (kind === undefined) throw new Error(`no site: ${bytes}`);
  if (kind === "nop") return { kind };
  return { kind, target: BigInt(new DataView(bytes.buffer, bytes.byteOffset).getUint32(1, true)) };
}

function poke(site: TextSite, from: SiteState, to: SiteState): PokePlan {
  const [old, made] = [siteBytes(from), siteBytes(to)];
  if (old.every((byte, i) => byte === made[i])) return { phases: [] };
  const write = (at: number, expect: Uint8Array, bytes: Uint8Array): PokePhase => ({
    kind: "write",
    address: site.address + BigInt(at),
    expect,
    bytes,
  });
  const trap = Uint8Array.of(BREAKPOINT);
  return {
    phases: [
      write(0, old.subarray(0, 1), trap),
      { kind: "sync-cores" },
      write(1, old.subarray(1), made.subarray(1)),
      { kind: "sync-cores" },
      write(0, trap, made.subarray(0, 1)),
      { kind: "sync-cores" },
    ],
    trap: { address: site.address, resume: to },
  };
}

const refuse = (): never => {
  throw new Error("no functions and trampolines on this engine");
};

const TEXT: TextEngine = {
  arch: "none",
  capabilities: { layout: {}, features: {}, tailCallSchemes: [], fetchUnit: 1 },
  poke,
  pokeMany: () => undefined,
  disassemble: () => [],
  classifyArgs: refuse,
  funcModelEqual: refuse,
  planTrampoline: refuse,
  emitTrampoline: refuse,
  emitFunction: refuse,
  place: refuse,
};

/** @param fail - called before a program is compiled; what it throws is a compiler that gives up */
export function textEngine(fail: (name: string) => void = () => undefined): Engine {
  return {
    name: "text",
    text: TEXT,
    load(program, host, options) {
      fail(program.program.name);
      const inner = interpreter.load(program, host, options);
      const direct = tailCallsOf(program).filter(({ key }) => key !== undefined);
      const site = (kind: PatchSite["kind"], offset: number, subprog: number, insn: number): PatchSite => ({
        kind,
        offset,
        size: SITE,
        subprog,
        insn,
      });
      const pokes = direct.map(({ insn, subprog, map, key }, i) => ({
        insn,
        subprog,
        map: map!,
        key: key!,
        bypass: site("bypass", SITE + 2 * SITE * i, subprog, insn),
        target: site("target", 2 * SITE + 2 * SITE * i, subprog, insn),
      }));
      const code = new Uint8Array(SITE + 2 * SITE * pokes.length);
      const placed = host.memory.allocate("text", code.length, program.program.name, Access.READ | Access.EXECUTE);
      for (const { bypass, target } of pokes) {
        const skip = placed.address + BigInt(target.offset + SITE);
        code.set(siteBytes({ kind: "jump", target: skip }), bypass.offset);
        code.set(siteBytes({ kind: "nop" }), target.offset);
      }
      host.memory.write(placed.address, code);
      const image: Image = {
        arch: "none",
        code,
        relocations: [],
        patchSites: pokes.flatMap(({ bypass, target }) => [bypass, target]),
        pokes,
        landing: LANDING,
        counterCode: [],
        subprogs: program.structure.subprogs.map(({ name }) => ({
          name,
          start: 0,
          end: code.length,
          body: 0,
          frame: [],
          counter: undefined,
        })),
        boundaries: new Uint32Array(program.program.insns.length),
        ends: new Uint32Array(program.program.insns.length),
        layout: "",
      };
      return {
        program,
        image,
        imageAddress: placed.address,
        subprogAddress: (index) => inner.subprogAddress(index),
        start: (start) => inner.start(start),
        release: () => {
          host.memory.free(placed);
          inner.release();
        },
      };
    },
  };
}
