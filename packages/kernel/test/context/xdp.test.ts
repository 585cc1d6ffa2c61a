import { assemble, interpreter, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { scriptKernel, signed, type Tools } from "../support/scripted.ts";

const packet = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i + 1);
const fields = ({ memory, context }: Tools): number[] =>
  [0, 4, 8, 12, 16, 20].map((offset) => Number(memory.load(4, context + BigInt(offset))));
const md = (data: number, end: number, meta = 0, ingress = 0, queue = 0, egress = 0): Uint8Array =>
  new Uint8Array(Uint32Array.of(data, end, meta, ingress, queue, egress).buffer);

describe("xdp context", () => {
  test("shows struct xdp_md: pointers to the packet, the loopback device, queue 0", () => {
    const { run } = scriptKernel([], { type: "xdp" });
    run(
      (tools) => {
        const [data, end, meta, ...rest] = fields(tools);
        expect([end! - data!, meta! - data!, ...rest]).toEqual([60, 0, 1, 0, 0]);
        expect(tools.bytes(BigInt(data!), 60)).toEqual(Array.from(packet(60)));
        return undefined;
      },
      { data: packet(60) },
    );
  });

  test("lets programs touch the packet to the byte, and write nothing of xdp_md", () => {
    const { run } = scriptKernel([], { type: "xdp" });
    const attempt = (script: (tools: Tools, data: bigint) => bigint | undefined): unknown =>
      run((tools) => script(tools, BigInt(fields(tools)[0]!)), { data: packet(61) }).stop;
    expect(attempt(({ memory }, data) => memory.load(1, data + 60n))).toEqual({ kind: "returned", value: 61n });
    expect(attempt(({ memory }, data) => memory.load(2, data + 60n))).toMatchObject({ kind: "trap", cause: "load" });
    expect(attempt(({ memory }, data) => memory.load(1, data + 64n))).toMatchObject({
      detail: "3 bytes past the end of a packet of 61 bytes",
    });
    expect(attempt(({ memory }, data) => memory.load(1, data - 2n))).toMatchObject({
      detail: "2 bytes before a packet of 61 bytes",
    });
    expect(
      attempt(({ memory, context }) => {
        memory.store(4, context, 0n);
        return 0n;
      }),
    ).toMatchObject({ kind: "trap", cause: "store", detail: expect.stringContaining("xdp_md of cpu 0") });
  });

  test("gives the packet and the context back", () => {
    const { run } = scriptKernel([], { type: "xdp" });
    const { dataOut, contextOut } = run(
      (tools) => {
        tools.memory.store(2, BigInt(fields(tools)[0]!), 0xffffn);
        return undefined;
      },
      { data: packet(14), context: md(0, 14, 0, 3, 1) },
    );
    expect(dataOut).toEqual(Uint8Array.of(255, 255, ...packet(14).subarray(2)));
    expect(contextOut).toEqual(md(0, 14, 0, 3, 1));
  });

  test("takes metadata in front of the packet", () => {
    const { run } = scriptKernel([], { type: "xdp" });
    const { dataOut, contextOut } = run(
      (tools) => {
        const [data, end, meta] = fields(tools);
        expect([data! - meta!, end! - data!]).toEqual([8, 14]);
        expect(tools.memory.load(1, BigInt(meta!))).toBe(1n);
        return undefined;
      },
      { data: packet(22), context: md(8, 22) },
    );
    expect(dataOut).toEqual(packet(22));
    expect(contextOut).toEqual(md(8, 22));
  });

  test.each([
    ["a packet without an Ethernet header", { data: packet(13) }],
    ["a packet of more than one buffer", { data: new Uint8Array(3521) }],
    ["a context with data_meta", { data: packet(22), context: md(0, 22, 4) }],
    ["a context that ends behind the data", { data: packet(22), context: md(0, 24) }],
    ["a context that ends before the data", { data: packet(22), context: md(0, 20) }],
    ["metadata that is no whole number of words", { data: packet(22), context: md(6, 22) }],
    ["a context with an egress device", { data: packet(22), context: md(0, 22, 0, 1, 0, 1) }],
    ["a queue without a device", { data: packet(22), context: md(0, 22, 0, 0, 1) }],
    ["a context that is too long", { data: packet(22), context: new Uint8Array(25).fill(1) }],
    ["a CPU that is not there", { cpu: 1 }],
    ["no repetitions", { repeat: 0 }],
  ])("refuses %s", (_what, options) => {
    const { run } = scriptKernel([], { type: "xdp" });
    expect(() => run(() => 0n, options)).toThrowErrorMatchingSnapshot();
  });
});

describe("xdp helpers", () => {
  const at = (
    options = {},
  ): ((script: (tools: Tools, move: (name: string, by: number) => number) => void) => unknown) => {
    const { run } = scriptKernel([], { type: "xdp" });
    return (script) =>
      run(
        (tools) => {
          script(tools, (name, by) => signed(tools.helper(name, tools.context, by)));
          return undefined;
        },
        { data: packet(60), ...options },
      );
  };

  test("xdp_adjust_head moves data inside the headroom and leaves an Ethernet header", () => {
    at()((tools, move) => {
      const [data] = fields(tools);
      expect(move("xdp_adjust_head", 4)).toBe(0);
      expect(
        fields(tools)
          .slice(0, 3)
          .map((field) => field - data!),
      ).toEqual([4, 60, 4]);
      expect(move("xdp_adjust_head", -8)).toBe(0);
      expect(tools.helper("xdp_get_buff_len", tools.context)).toBe(64n);
      tools.memory.store(4, BigInt(data!) - 4n, 0xffff_ffffn);
      expect(move("xdp_adjust_head", -212)).toBe(0);
      expect(move("xdp_adjust_head", -1)).toBe(-22);
      expect(move("xdp_adjust_head", 216 + 46)).toBe(0);
      expect(move("xdp_adjust_head", 1)).toBe(-22);
    });
  });

  test("xdp_adjust_tail shrinks to an Ethernet header and grows with zeroes to the end of the buffer", () => {
    at()((tools, move) => {
      const [data] = fields(tools);
      expect(move("xdp_adjust_tail", -46)).toBe(0);
      expect(move("xdp_adjust_tail", -1)).toBe(-22);
      expect(move("xdp_adjust_tail", 10)).toBe(0);
      expect(tools.bytes(BigInt(data!) + 12n, 12)).toEqual([13, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      expect(move("xdp_adjust_tail", 3520 - 24)).toBe(0);
      expect(move("xdp_adjust_tail", 1)).toBe(-22);
    });
  });

  test("xdp_adjust_meta makes room in front of the packet, in words; the head takes it along", () => {
    at()((tools, move) => {
      const [data] = fields(tools);
      expect(move("xdp_adjust_meta", -8)).toBe(0);
      tools.memory.store(8, BigInt(data!) - 8n, 0x1122n);
      expect(move("xdp_adjust_meta", -2)).toBe(-13);
      expect(move("xdp_adjust_meta", 9)).toBe(-22);
      expect(move("xdp_adjust_meta", -212)).toBe(-22);
      expect(move("xdp_adjust_head", -16)).toBe(0);
      const [head, , meta] = fields(tools);
      expect([head! - data!, meta! - data!]).toEqual([-16, -24]);
      expect(tools.memory.load(8, BigInt(meta!))).toBe(0x1122n);
      expect(move("xdp_adjust_head", -193)).toBe(-22);
    });
  });

  test("xdp_load_bytes and xdp_store_bytes stay in the packet", () => {
    at()(({ helper, context, put, bytes }) => {
      const buffer = put(new Uint8Array(12));
      expect(helper("xdp_load_bytes", context, 48, buffer, 12)).toBe(0n);
      expect(bytes(buffer, 12)).toEqual(Array.from(packet(60).subarray(48)));
      expect(signed(helper("xdp_load_bytes", context, 49, buffer, 12))).toBe(-22);
      expect(signed(helper("xdp_load_bytes", context, 0x1_0000, buffer, 12))).toBe(-14);
      expect(helper("xdp_store_bytes", context, 0, buffer, 12)).toBe(0n);
      expect(signed(helper("xdp_store_bytes", context, -1, buffer, 12))).toBe(-14);
    });
  });

  test("redirect says where, and only without flags", () => {
    const { run } = scriptKernel([], { type: "xdp" });
    expect(run(({ helper }) => helper("redirect", 7, 0))).toMatchObject({ returnValue: 4, redirect: { ifindex: 7 } });
    expect(run(({ helper }) => helper("redirect", 7, 1))).toMatchObject({ returnValue: 0, redirect: undefined });
  });

  test("trap on a context that is not this run's", () => {
    const { run } = scriptKernel([], { type: "xdp" });
    expect(run(({ helper, context }) => helper("xdp_adjust_head", context + 4n, 0)).stop).toMatchObject({
      kind: "trap",
      cause: "load",
    });
  });

  test("leave packet and context as they are between repetitions", () => {
    const kernel = new Kernel({ engine: interpreter });
    const program = kernel.load(trust(assemble("r2 = 1\ncall xdp_adjust_head\nr0 = 2\nexit", { type: "xdp" })));
    expect(program.run({ data: packet(60), repeat: 3 })).toMatchObject({
      returnValue: 2,
      dataOut: packet(60).subarray(3),
      executed: 12,
    });
  });
});
