// Whether a program asks for the address of the function that it is attached to.
import { helperByName, INSNS, OPS, opAt, type VerifiedProgram } from "@bpfkit/core";

const KNOWN = new WeakMap<VerifiedProgram, boolean>();

const GET_FUNC_IP: number = helperByName("get_func_ip")!.id;

/** Whether it calls `bpf_get_func_ip`. O(instructions) the first time */
export function asksForIp(verified: VerifiedProgram): boolean {
  let asks = KNOWN.get(verified);
  if (asks === undefined) {
    asks = callsFor(verified);
    KNOWN.set(verified, asks);
  }
  return asks;
}

function callsFor({ program: { insns } }: VerifiedProgram): boolean {
  for (let at = 0; at < insns.length; at += insns.width(at)) {
    const row = opAt(insns, at);
    if (row >= 0 && INSNS[OPS[row]!].kind === "callHelper" && insns.imm(at) === GET_FUNC_IP) return true;
  }
  return false;
}
