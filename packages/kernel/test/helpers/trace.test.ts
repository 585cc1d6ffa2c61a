import { describe, expect, test } from "vitest";
import { le32, le64, scriptKernel, signed, type Tools } from "../support/scripted.ts";

const text = (value: string): Uint8Array => Uint8Array.from(`${value}\0`, (character) => character.charCodeAt(0));
const print = ({ helper, put }: Tools, format: string, ...args: (bigint | number)[]): number =>
  signed(helper("trace_printk", put(text(format)), format.length + 1, ...args));

describe("trace_printk", () => {
  test("formats as the kernel does", () => {
    const { kernel, run } = scriptKernel([]);
    run((tools) => {
      const name = tools.put(text("lo"));
      print(tools, "%d %u %x", -1, 0xffff_ffffn, 0xabc_0000_00efn);
      print(tools, "%lld %llx %lu", -5n, -1n, 1n << 40n);
      print(tools, "[%5d] [%-5d] [%05d]", 42, 42, -42);
      print(tools, "%+d %X %i\n", 3, 0xbeef, -0x8000_0000);
      print(tools, "if %s and %s|", name, 0);
      print(tools, "%c%% %p", 65, 0x1234n);
      print(tools, "%p %px %ps", 0, 0x1234n, 0x1234n);
      const address = tools.put([10, 0, 0, 255]);
      print(tools, "%pI4 %pi4", address, address);
      print(tools, "%pI6", tools.put([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
      return undefined;
    });
    expect(kernel.trace).toEqual([
      "-1 4294967295 ef",
      "-5 ffffffffffffffff 1099511627776",
      "[   42] [42   ] [-0042]",
      "+3 BEEF -2147483648",
      "if lo and |",
      "A% 0000000000001234",
      "          (null) 0000000000001234 0x1234",
      "10.0.0.255 010.000.000.255",
      "2001:0db8:0000:0000:0000:0000:0000:0001",
    ]);
  });

  test("takes letters behind a pointer's format for a part of it", () => {
    const { kernel, run } = scriptKernel([]);
    run((tools) => {
      print(tools, "%pKx %pxab1_%pI4c", 1, 2, tools.put([1, 2, 3, 4]));
      return undefined;
    });
    expect(kernel.trace).toEqual(["0000000000000001 0000000000000002_1.2.3.4"]);
  });

  test("gives the length, and EINVAL for formats that the kernel refuses", () => {
    const { kernel, run } = scriptKernel([]);
    run((tools) => {
      expect(print(tools, "%d\n", 100)).toBe(4);
      for (const bad of [
        "%f",
        "%n",
        "%pZ",
        "%pxa".replace("a", "%q"),
        "%d %d %d %d",
        "%ls",
        "%sx",
        "%pks1",
        "ab\x01",
        "%",
      ]) {
        expect(print(tools, bad), bad).toBe(-22);
      }
      expect(signed(tools.helper("trace_printk", tools.put([97, 98]), 2))).toBe(-22);
      expect(signed(tools.helper("trace_printk", tools.put([97, 98]), 0))).toBe(-22);
      return undefined;
    });
    expect(kernel.trace).toEqual(["100"]);
  });

  test("keeps the last 10,000 lines", () => {
    const { kernel, run } = scriptKernel([]);
    run((tools) => {
      const format = tools.put(text("%d"));
      for (let i = 0; i < 10_005; i++) tools.helper("trace_printk", format, 3, i);
      return undefined;
    });
    expect([kernel.trace.length, kernel.trace[0], kernel.trace.at(-1)]).toEqual([10_000, "5", "10004"]);
  });
});

describe("arguments in memory", () => {
  test("trace_vprintk takes up to twelve", () => {
    const { kernel, run } = scriptKernel([]);
    run(({ helper, put }) => {
      const format = text("%d %d %d %d");
      const args = put([...le64(1), ...le64(2), ...le64(3), ...le64(-4)]);
      expect(helper("trace_vprintk", put(format), format.length, args, 32)).toBe(8n);
      expect(signed(helper("trace_vprintk", put(format), format.length, args, 24))).toBe(-22);
      expect(signed(helper("trace_vprintk", put(format), format.length, args, 12))).toBe(-22);
      return undefined;
    });
    expect(kernel.trace).toEqual(["1 2 3 -4"]);
  });

  test("snprintf cuts to its buffer and gives the length of the whole", () => {
    const { run } = scriptKernel([]);
    run(({ helper, put, bytes }) => {
      const to = put(new Uint8Array(8).fill(0x2a));
      const format = put(text("n=%d"));
      expect(helper("snprintf", to, 8, format, put(le64(1234)), 8)).toBe(7n);
      expect(bytes(to, 8)).toEqual([...text("n=1234"), 0x2a]);
      expect(helper("snprintf", to, 4, format, put(le64(1234)), 8)).toBe(7n);
      expect(bytes(to, 4)).toEqual([...text("n=1")]);
      expect(helper("snprintf", 0, 0, format, put([...le32(5), 0, 0, 0, 0]), 8)).toBe(4n);
      return undefined;
    });
  });
});
