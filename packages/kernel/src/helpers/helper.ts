// What a helper implementation sees of the kernel, and how it takes its arguments apart.
import { Fault, type GuestCall, type HostCall, type Memory } from "@bpfkit/core";
import type { VirtualClock } from "../clock.ts";
import type { Context } from "../context/context.ts";
import type { LiveMap } from "../maps/map.ts";

/** The kernel as helpers see it. */
export interface HelperSite {
  readonly memory: Memory;
  readonly clock: VirtualClock;
  readonly cpus: number;
  random(cpu: number): number;
  mapAt(address: bigint): LiveMap | undefined;
  /** The context of the run that is going on on a CPU. */
  contextOf(cpu: number): Context | undefined;
  /** Of the innermost program that a trampoline has entered on a CPU: its run context, and whether it sees what the function returned. */
  runContextOf(cpu: number): bigint | undefined;
  seesResult(cpu: number): boolean;
  print(line: string): void;
}

/** A helper: r0, or a generator that runs callbacks. Wrong pointers are {@link Fault}s, wrong values error numbers. */
export type Helper = (site: HelperSite, call: HostCall) => bigint | Generator<GuestCall, bigint, bigint>;

/** A row of the table of helpers. */
export interface HelperRow {
  readonly run: Helper;
  /** Program types that may call it; all, where left out. */
  readonly types?: readonly string[];
}

/** The map that an argument points to; @throws {Fault} */
export function mapIn(site: HelperSite, address: bigint): LiveMap {
  const map = site.mapAt(address);
  if (map === undefined) throw new Fault("load", `not a map: ${site.memory.describe(address)}`, address, 8);
  return map;
}

/** An `int` or `u32` argument: helpers take the low half of the register. */
export function s32(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

export function u32(value: bigint): number {
  return Number(BigInt.asUintN(32, value));
}

/** A signed result as r0 holds it. */
export function u64(value: bigint | number): bigint {
  return BigInt.asUintN(64, BigInt(value));
}
