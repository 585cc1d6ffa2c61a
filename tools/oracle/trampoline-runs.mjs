// What bpfkit does in the situations with trampolines.
import { BpfError, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describeRecords, describeRun, LOG, LOG_SIZE, recorder, recordsOf } from "./trampoline-recorder.mjs";
import { LEAD, TABLE, TARGETS } from "./trampoline-targets.mjs";

/** Leads to a target. */
const ENTRIES = { ...TABLE };

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
    const target = trigger.target === undefined ? undefined : loadTarget(kernel, TARGETS[trigger.target]);
    const targets = Object.fromEntries(
      Object.entries(functions).map(([name, each]) => [
        name,
        target === undefined ? define(kernel, name, each) : target.subprog(name, each.model),
      ]),
    );
    for (const link of links) {
      const words = functions[link.on].bits.length;
      const program = trust({
        ...recorder({ ...link, words }),
        type: "tracing",
        sleepable: false,
        attachType: ATTACH_TYPES[link.kind],
      });
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
    const read = () => log.lookup(new Uint8Array(4)).slice(0, LOG_SIZE);
    const seen =
      target === undefined ? trigger.calls(call, kernel.memory, scratch, version) : describeRun(target.run(), read());
    const functionOf = ({ on }) => ({ ...functions[on], address: targets[on].address });
    return { seen, events: describeRecords(recordsOf(read()), links, functionOf) };
  } catch (error) {
    if (error instanceof BpfError) return { refused: error.message };
    if (error instanceof Ended) return { ended: error.message };
    throw error;
  }
}

/** Loads a target, and what leads to it. */
function loadTarget(kernel, { main, f }) {
  const load = ({ program }) => kernel.load(trust(program));
  const program = load(main);
  const chain = f && load(f);
  if (chain !== undefined) kernel.progArray(TABLE).set(0, chain);
  const lead = kernel.load(trust({ ...LEAD, maps: [ENTRIES] }));
  kernel.progArray(ENTRIES).set(0, program);
  return {
    subprog: (subprog, model) => {
      const { image, imageAddress, program: verified } = program.executable;
      const index = verified.program.subprogs.findIndex(({ name }) => name === subprog);
      return { program, subprog, model, address: imageAddress + BigInt(image.subprogs[index].start) };
    },
    run: () => {
      const { returnValue, stop } = lead.run({ data: new Uint8Array(64) });
      if (returnValue === undefined) throw new Ended(`the target ends with ${stop.kind}`);
      return returnValue;
    },
  };
}

function define(kernel, name, { model, bits, signs, decides, result }) {
  const body = ({ words }, { memory }) => {
    if (typeof result !== "function") return BigInt.asUintN(64, result ?? SOMETHING + 99n);
    const args = words.map((word, i) => (signs[i] ? BigInt.asIntN : BigInt.asUintN)(bits[i], word));
    return BigInt.asUintN(64, result(args, memory));
  };
  return kernel.defineFunction(name, model, body, { errorInjection: decides });
}
