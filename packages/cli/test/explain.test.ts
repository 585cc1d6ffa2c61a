import { expect, test } from "vitest";
import { bpfkit } from "./support.ts";

const text = (...lines: string[]) => new TextEncoder().encode(lines.join("\n"));
const LOG = text(
  "0: R1=ctx() R10=fp0",
  "; void *data = (void *)(long)ctx->data; @ xdp.c:12",
  "0: (61) r2 = *(u32 *)(r1 +0)          ; R1=ctx() R2_w=pkt(r=0)",
  "; if (eth->h_proto) @ xdp.c:15",
  "1: (69) r0 = *(u16 *)(r2 +12)",
  "invalid access to packet, off=12 size=2, R2(id=0,off=12,r=0)",
  "R2 min value is outside of the allowed memory range",
  "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
  "",
);

test("explain finds the last message of a log, where it was, and its kind by two lines", () => {
  expect(bpfkit(["explain", "xdp.log"], { "xdp.log": LOG })).toMatchInlineSnapshot(`
    {
      "code": 0,
      "err": "",
      "out": "R2 min value is outside of the allowed memory range
      at 1: (69) r0 = *(u16 *)(r2 +12)
      ; if (eth->h_proto) @ xdp.c:15

    An access to the packet lies outside of what was checked.

    The program reads or writes bytes of the packet that may not be there. How long a packet is, is not
    known before the program runs; what a comparison with data_end has shown to be there can be
    accessed, and nothing else. \`r=0\` is how many bytes were shown, \`off\` and \`size\` what was asked for.

    What helps: Compare data plus the end of the access with data_end first, and leave where it is
    greater.

    docs/verifier-messages/outside-packet.md has a program that is rejected with it, and one that is accepted
    ",
    }
  `);
  expect(bpfkit(["explain", "-"], { "-": LOG }).out).toBe(bpfkit(["explain", "xdp.log"], { "xdp.log": LOG }).out);
});

test("explain -j has the same as JSON", () => {
  const { code, out } = bpfkit(["explain", "xdp.log", "-j"], { "xdp.log": LOG });
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    kind: "outside-packet",
    class: "packet",
    message: "R2 min value is outside of the allowed memory range",
    page: "docs/verifier-messages/outside-packet.md",
    at: { insn: 1, text: "(69) r0 = *(u16 *)(r2 +12)", source: "if (eth->h_proto) @ xdp.c:15" },
  });
});

test.each([
  ["R0 !read_ok", "uninitialised-register"],
  ["load program: permission denied: 3: (95) exit: R0 !read_ok (5 line(s) omitted)", "uninitialised-register"],
  ["[  12.345678] R0 !read_ok", "uninitialised-register"],
  ["libbpf: prog 'main': unreachable insn 4", "unreachable-insn"],
  ["        | ^-- error: R0 !read_ok", "uninitialised-register"],
])("explain --text %s", (message, kind) => {
  expect(JSON.parse(bpfkit(["explain", "--text", message, "-j"]).out).kind).toBe(kind);
});

test("explain reads the report of Linux 7.3 as well", () => {
  const bad = text("r2 = *(u32 *)(r1 + 0)", "r0 = *(u16 *)(r2 + 12)", "r0 = 2", "exit");
  const report = bpfkit(["verify", "bad.s", "--type", "xdp", "--explain"], { "bad.s": bad }).out;
  const [, own] = report.split(/^(?=Verification failed)/m);
  expect(JSON.parse(bpfkit(["explain", "-", "-j"], { "-": text(own!) }).out)).toMatchObject({
    kind: "outside-memory", // the line that tells packets from other memory is not in a report
    at: { insn: 1, text: "(69) r0 = *(u16 *)(r2 +12)" },
  });
});

test("explain ends with 1 where there is no known message, and with 2 for a wrong command line", () => {
  expect(bpfkit(["explain", "--text", "all is well"])).toEqual({
    code: 1,
    out: "",
    err: "bpfkit: --text: no message that is in the catalogue\n",
  });
  expect(bpfkit(["explain"]).code).toBe(2);
  expect(bpfkit(["explain", "a.log", "--text", "R0 !read_ok"]).code).toBe(2);
});

test("explain --list names every kind", () => {
  const kinds = JSON.parse(bpfkit(["explain", "--list", "-j"]).out) as { readonly id: string }[];
  expect(kinds.length).toBeGreaterThan(120);
  expect(bpfkit(["explain", "--list"]).out.split("\n")).toHaveLength(kinds.length + 1);
});
