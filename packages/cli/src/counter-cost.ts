// What counting tail calls costs at each edge: the instructions that an image has for it, and what they do to memory.
import { Access, type Backend, type CounterCode, type Image, Memory } from "@bpfkit/core";

/** The code for one kind of edge in one subprogram, all places together. */
export interface CounterCost {
  readonly subprog: number;
  readonly edge: CounterCode["edge"];
  readonly bytes: number;
  readonly instructions: number;
  readonly loads: number;
  readonly stores: number;
}

/** The counter's code in the order of the image; every instruction of it is counted once, taken or not. */
export function counterCosts(backend: Backend, image: Image): CounterCost[] {
  const costs = new Map<string, CounterCost>();
  for (const { edge, start, end, subprog } of image.counterCode) {
    const key = `${subprog} ${edge}`;
    let { bytes, instructions, loads, stores } = costs.get(key) ?? { bytes: 0, instructions: 0, loads: 0, stores: 0 };
    bytes += end - start;
    for (const line of backend.disassemble(image.code.subarray(start, end))) {
      const counts = accessesOf(backend, image, start + line.offset, line.bytes.length);
      instructions++;
      loads += counts.loads;
      stores += counts.stores;
    }
    costs.set(key, { subprog, edge, bytes, instructions, loads, stores });
  }
  return [...costs.values()];
}

/** What one instruction loads and stores: it is executed by itself, with every register that it may go through leading to some memory. */
function accessesOf(backend: Backend, image: Image, offset: number, length: number): { loads: number; stores: number } {
  const sizes = { host: PAGE, text: PAGE, stack: PAGE, data: PAGE };
  const memory = new Memory({ sizes });
  const text = memory.allocate("text", length, "instruction", Access.READ | Access.EXECUTE);
  memory.write(text.address, image.code.subarray(offset, offset + length));
  const scratch = memory.allocate("data", PAGE / 2, "memory");
  const cpu = backend.createCpu(memory, { counting: true });
  const { abi } = backend;
  const places = image.subprogs.flatMap(({ counter }) =>
    counter === undefined ? [] : [counter.in === "register" ? counter.register : counter.base],
  );
  for (const register of [...abi.bpf, ...abi.callerSaved, abi.stackPointer, ...places])
    cpu.set(register, scratch.address + BigInt(PAGE / 4));
  cpu.pc = text.address;
  cpu.run(1);
  const { loads = 0, stores = 0 } = cpu.counts ?? {};
  return { loads, stores };
}

const PAGE = 64 << 10;
