// Programs of type syscall: the context is whatever bytes the caller gives, to read and to write.
import { type Allocation, BpfError, type Memory } from "@bpfkit/core";
import type { Context, ContextInput, ContextKind } from "./context.ts";

const MAX_CONTEXT = 0xffff;

/** r1 points to the bytes given; without any it is a null pointer. */
export const syscall: ContextKind = {
  type: "syscall",
  packetLoads: false,
  layout: [],
  create(memory, cpu) {
    let room: Allocation | undefined;
    return ({ data, context, repeat = 1 }: ContextInput): Context => {
      if (data !== undefined)
        throw new BpfError("argument", "packet data for a syscall program (EINVAL)", { expected: "a context" });
      if (repeat !== 1)
        throw new BpfError("argument", `repeat ${repeat} of a syscall program (EINVAL)`, { expected: "1" });
      const size = context?.length ?? 0;
      if (size > MAX_CONTEXT) {
        throw new BpfError("argument", `a context of ${size} bytes (EINVAL)`, {
          expected: `at most ${MAX_CONTEXT} bytes`,
        });
      }
      if (room !== undefined && room.size !== size) {
        memory.free(room);
        room = undefined;
      }
      if (context === undefined || size === 0) return NO_CONTEXT;
      room ??= memory.allocate("data", size, `context of cpu ${cpu}`);
      memory.write(room.address, context);
      return contextIn(memory, room);
    };
  },
};

const NO_CONTEXT: Context = {
  address: 0n,
  dataOut: () => undefined,
  contextOut: () => undefined,
  describe: () => undefined,
};

function contextIn(memory: Memory, { address, size }: Allocation): Context {
  return {
    address,
    dataOut: () => undefined,
    contextOut: () => memory.view(address, size).slice(),
    describe: () => undefined,
  };
}
