// The trampolines of functions: which there are follows from the class table, and plans of core say how to get from one table to the next.
import {
  applyPlan,
  type MultiLink,
  type MultiPlan,
  type MultiRequest,
  MultiState,
  type MultiStrategyName,
  NO_CLASS,
  planAttach,
  planDetach,
} from "@bpfkit/core";
import { locked, Mutex, type Operation, surely } from "../operation.ts";
import type { Resident } from "../resident.ts";
import type { CookieTable, CookieTables } from "./cookies.ts";
import type { DesignSite, LiveLink, MultiDesign } from "./design.ts";
import { FunctionTable } from "./functions.ts";
import { GlobalDesign } from "./global.ts";
import { PerFunctionDesign } from "./per-function.ts";
import { SharedDesign } from "./shared.ts";

/** What the programs of a kernel's functions need. */
export interface FunctionTrampolinesSite extends Omit<DesignSite, "functions" | "state" | "links"> {
  readonly design: MultiStrategyName;
}

const DESIGNS: Readonly<Record<MultiStrategyName, new (site: DesignSite) => MultiDesign>> = {
  shared: SharedDesign,
  "per-function": PerFunctionDesign,
  global: GlobalDesign,
};

/**
 * Has programs run around functions, each at one or at many. A plan says which functions get which links; a design says how calls of these find the programs.
 *
 * A change first makes what is new, to which nothing leads, then leads all calls there together, and at last gives back what is not needed any more.
 * So a call runs the programs that there were before, or those that there are after it. Where a step fails, everything is as before.
 *
 * Cost of a change: linear in its functions and in the classes that they are in; as many syncs as one entry needs, twice where a link goes.
 */
export class FunctionTrampolines {
  readonly functions: FunctionTable = new FunctionTable();
  readonly state: MultiState;
  readonly mutex: Mutex = new Mutex("the trampolines of functions");
  readonly design: MultiDesign;
  readonly #tables: CookieTables;
  readonly #links = new Map<number, LiveLink>();

  constructor({ design, ...site }: FunctionTrampolinesSite) {
    const { functions } = this;
    this.state = new MultiState(functions);
    this.#tables = site.tables;
    this.design = new DESIGNS[design]({ ...site, functions, state: this.state, links: this.#links });
  }

  /** The links of a function, in the order in which they were attached. */
  linksOf(functionId: number): readonly Pick<LiveLink, "link" | "program">[] {
    const inClass = this.state.classOf(functionId);
    if (inClass === NO_CLASS) return [];
    return Array.from(this.state.class(inClass).links, (id) => this.#links.get(id)!);
  }

  /**
   * Attaches a program; gives its link. Programs whose subprograms it is attached to stay as long as it does.
   *
   * @param settle - what is to be settled first, while nobody else changes anything
   * @throws {BpfError} as `planAttach`; `limit` for a trampoline of more than a page, and where memory is full
   */
  *attaching(
    program: Resident,
    request: Omit<MultiRequest, "program">,
    settle: () => void = () => {},
  ): Operation<MultiLink> {
    const { functions = [] } = request;
    program.hold();
    this.functions.hold(functions);
    try {
      return yield* locked(this, () => {
        settle();
        return this.#attach(program, request);
      });
    } catch (error) {
      this.functions.drop(functions);
      program.drop();
      throw error;
    }
  }

  /** Detaches a link; nothing where it has gone. */
  *detaching(link: number): Operation<void> {
    yield* locked(this, () => this.#detach(link));
  }

  *#attach(program: Resident, request: Omit<MultiRequest, "program">): Operation<MultiLink> {
    const plan = planAttach(this.state, { ...request, program: program.id });
    const { link } = plan;
    let table: CookieTable | undefined;
    try {
      if (typeof link.cookies !== "bigint" && !link.typed && this.design.looksUpCookies) {
        yield { kind: "make", what: `the cookies of '${program.name}'` };
        table = this.#makeTable(link, program.name);
      }
      this.#links.set(link.id, { link, program, table });
      yield* this.#carryOut(plan, undefined);
    } catch (error) {
      this.#links.delete(link.id);
      table?.drop();
      throw error;
    }
    return link;
  }

  *#detach(id: number): Operation<void> {
    const gone = this.#links.get(id);
    if (gone === undefined) return;
    yield* this.#carryOut(planDetach(this.state, id), id);
    this.#links.delete(id);
    gone.table?.drop();
    this.functions.drop(gone.link.functions);
    gone.program.drop();
  }

  /** @param gone - the link whose runs are over, in calls that are in a trampoline, too */
  *#carryOut(plan: MultiPlan, gone: number | undefined): Operation<void> {
    const change = yield* this.design.preparing(plan);
    let isLed = false;
    try {
      yield* change.leading();
      isLed = true;
      if (gone !== undefined) yield* change.silencing(gone);
    } catch (error) {
      if (isLed) yield* surely(change.leadingBack());
      change.drop();
      throw error;
    }
    applyPlan(this.state, plan);
    change.keep();
  }

  #makeTable({ functions, cookies }: MultiLink, owner: string): CookieTable {
    const rows = Array.from(functions, (id, i) => ({
      address: this.functions.target(id).address,
      cookie: (cookies as BigUint64Array)[i]!,
    })).sort((a, b) => Number(a.address - b.address));
    return this.#tables.make(
      rows.map(({ address }) => address),
      rows.map(({ cookie }) => cookie),
      owner,
    );
  }
}
