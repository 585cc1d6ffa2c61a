// A trampoline that goes by the rows of functions, from when it is placed to when the last CPU has left it.
import {
  type Image,
  invariant,
  type PlacedCode,
  type SiteState,
  type Symbol as SymbolRef,
  type TrampolineSpec,
} from "@bpfkit/core";
import { CallsInside } from "../tracing/calls-inside.ts";
import type { ImageLink, ImageSite } from "../tracing/image.ts";
import type { RowIndex } from "./row-index.ts";
import type { FunctionRow } from "./rows.ts";

/** What it finds its programs with. */
export interface RowLookup {
  readonly index: RowIndex;
  row(address: bigint): FunctionRow;
  /** What an entry of a row stands for. */
  link(object: bigint): ImageLink;
}

/** The trampoline of all functions of a model. */
export class RowTrampoline {
  readonly #site: ImageSite;
  readonly #lookup: RowLookup;
  readonly #code: PlacedCode;
  readonly #image: Image;
  /** Calls of originals. */
  readonly #inside = new CallsInside();

  /** @throws {BpfError} `limit` where memory is full; nothing is left then */
  constructor(site: ImageSite, spec: TrampolineSpec, lookup: RowLookup) {
    this.#site = site;
    this.#lookup = lookup;
    const { index } = lookup;
    index.hold();
    try {
      this.#image = site.text.emitTrampoline(spec);
      this.#code = site.text.place(this.#image, "trampoline of a model", {
        memory: site.host.memory,
        address: (symbol) => {
          if (symbol.kind === "rows") return index.address;
          invariant(symbol.kind === "row-search", `${symbol.kind} of a trampoline that goes by rows`);
          return index.search;
        },
        function: (symbol) => this.#function(symbol),
      });
    } catch (error) {
      index.drop();
      throw error;
    }
    site.sites.add("trampoline of a model", this.#image, this.#code.address);
  }

  /** Bytes of its code. */
  get bytes(): number {
    return this.#image.code.length;
  }

  /** What leads an entry here. */
  get entry(): SiteState {
    return { kind: "call", target: this.#code.address };
  }

  /**
   * Nothing leads to it any more: its memory goes when the last CPU has left it. It is to its rows what they make of it, so this waits for all that
   * may be there: whoever is on the way to a call of an original (tasks), those calls (counted), programs that may sleep, and who is behind them (tasks).
   */
  retire(): void {
    const { rcu } = this.#site;
    const behindAll = (): void => rcu.defer(() => this.discard(), ["tasks"]);
    rcu.defer(() => this.#inside.whenLeft(() => rcu.defer(behindAll, ["sleepable"])), ["tasks"]);
  }

  /** It was never live, or is not any more. */
  discard(): void {
    this.#site.sites.remove(this.#image, this.#code.address);
    this.#code.release();
    this.#lookup.index.drop();
  }

  #function(symbol: SymbolRef): ReturnType<Parameters<ImageSite["text"]["place"]>[2]["function"]> {
    invariant(symbol.kind === "trampoline", `${symbol.kind} in a trampoline`);
    const { entered } = this.#site;
    switch (symbol.part) {
      case "program-enter":
        return ({ args: [object, context], cpu }) => {
          const { program, kind } = this.#lookup.link(object);
          return entered.enter(program, kind, cpu, context);
        };
      case "program-exit":
        return ({ cpu }) => {
          entered.exit(cpu);
          return 0n;
        };
      case "enter":
        return ({ args: [address], cpu }) => {
          const row = this.#lookup.row(address);
          row.enter();
          this.#inside.enter();
          entered.call(cpu, {
            left: () => {
              row.left();
              this.#inside.left();
            },
          });
          return 0n;
        };
      case "exit":
        return ({ cpu }) => {
          entered.returned(cpu);
          return 0n;
        };
      default:
        return invariant(false, `a function ${symbol.part}`) as never;
    }
  }
}
