// Linux 7.2.
import type { KernelProfile } from "./kernel-profile.ts";
import { MAX_CALL_FRAMES } from "./limits.ts";

/** What Linux 7.2 allows. */
export const LINUX_7_2: KernelProfile = {
  version: "7.2",
  limits: {
    programInsns: 1_000_000,
    processedInsns: 1_000_000,
    pendingBranches: 8192,
    statesPerInsn: 64,
    callFrames: MAX_CALL_FRAMES,
    stackBytes: 512,
    stackBytesAboveTailCall: 256,
    subprograms: 256,
    maps: 64,
    pointerOffset: 2 ** 29,
    memorySize: 2 ** 29,
    packetOffset: 0xffff,
    tailCalls: 33,
    mayGotoIterations: 2 ** 23,
    loopIterations: 2 ** 23,
  },
  registersBytes: 168,
  privateStacks: ["kprobe", "tracepoint", "perf_event", "raw_tracepoint", "tracing"],
  tailCallsChangePacket: false,
  attachTypes: 62,
  mapTypes: 36,
  sleeplessMaps: [],
  lacks: [],
  mapPointers: { 40: "ops", 48: "inner_map_meta", 56: "security", 96: "record", 120: "btf", 128: "objcg" },
  contexts: {},
};
