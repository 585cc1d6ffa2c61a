// What bpfkit does in the situations with trampolines.
import { BpfError, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describeRecords, LOG, LOG_SIZE, recorder, recordsOf } from "./trampoline-recorder.mjs";

const ATTACH_TYPES = {
  fentry: "trace_fentry",
  fexit: "trace_fexit",
  fmod_ret: "modify_return",
  fsession: "trace_fsession",
};
/** A small guest is made faster. */
const MIB = 1 << 20;
const MEMORY = { sizes: { host: MIB, text: MIB, data: MIB } };
/** What stands for arguments and results that nobody knows. */
const SOMETHING = 0xffff_8881_0000_1000n;

/** A function did not return. */
class Ended extends Error {}

/** `{ refused }`, `{ ended }` where a function did not return, or `{ seen, events }`, as the kernel's. */
export function runSituation(engine, version, { trigger, links: linksOf }) {
  const functions = trigger.functions(version);
  const missing = Object.keys(functions).find((name) => functions[name] === undefined);
  if (missing !== undefined) return { refused: `no ${missing} in ${version}` };
  const kernel = new Kernel({ engine, memory: MEMORY });
  const log = kernel.createMap(LOG);
  const links = linksOf(version);
  try {
    const targets = Object.fromEntries(
      Object.entries(functions).map(([name, each]) => [name, define(kernel, name, each)]),
    );
    for (const link of links) {
      const words = functions[link.on].bits.length;
      const program = trust({ ...recorder({ ...link, words }), type: "tracing", attachType: ATTACH_TYPES[link.kind] });
      kernel.attach(kernel.load(program), targets[link.on], { cookie: link.cookie ?? 0n });
    }
    const scratch = kernel.memory.allocate("data", 8, "scratch").address;
    const call = (name, args) => {
      const words = args.map((value, i) =>
        BigInt.asUintN(64, value ?? functions[name].like[i] ?? SOMETHING + BigInt(i)),
      );
      const { value, stop } = targets[name].run(words);
      if (value === undefined) throw new Ended(`${name} ends with ${stop.kind}`);
      return value;
    };
    const seen = trigger.calls(call, kernel.memory, scratch, version);
    const functionOf = ({ on }) => ({ ...functions[on], address: targets[on].address });
    const records = recordsOf(log.lookup(new Uint8Array(4)).slice(0, LOG_SIZE));
    return { seen, events: describeRecords(records, links, functionOf) };
  } catch (error) {
    if (error instanceof BpfError) return { refused: error.message };
    if (error instanceof Ended) return { ended: error.message };
    throw error;
  }
}

function define(kernel, name, { model, bits, signs, result }) {
  const body = ({ words }, { memory }) => {
    if (typeof result !== "function") return BigInt.asUintN(64, result ?? SOMETHING + 99n);
    const args = words.map((word, i) => (signs[i] ? BigInt.asIntN : BigInt.asUintN)(bits[i], word));
    return BigInt.asUintN(64, result(args, memory));
  };
  return kernel.defineFunction(name, model, body, { errorInjection: true });
}
