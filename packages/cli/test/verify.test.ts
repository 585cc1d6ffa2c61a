import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bpfkit } from "./support.ts";

const object = (path: string) => new Uint8Array(readFileSync(new URL(`../../../${path}`, import.meta.url)));
const text = (...lines: string[]) => new TextEncoder().encode(lines.join("\n"));
const FILES = {
  // Two functions of Linux 6.12: node tools/oracle/btf-excerpt.mjs vmlinux.btf do_exit,do_unlinkat targets.btf
  "targets.btf": object("packages/cli/test/targets.btf"),
  "dissect.o": object("examples/tail-calls/dissect.bpf.o"),
  "slots.o": object("packages/object/test/objects/slots.o"),
  "sections.o": object("packages/object/test/objects/sections.o"),
  "isa.o": object("packages/object/test/objects/isa-v4.o"),
  "good.s": text("r0 = *(u32 *)(r1 + 0)", "if r0 > 5 goto out", "r0 = 1", "out:", "exit"),
  "bad.s": text("r2 = *(u32 *)(r1 + 0)", "if r2 == 0 goto out", "r0 = 0", "out:", "exit"),
  "loop.s": text("r0 = 0", "again:", "r0 += 1", "if r0 < 1000 goto again", "exit"),
};

const verify = (...words: string[]) => bpfkit(["verify", ...words], FILES);

test("verify accepts a program as text, and says whose rules it took", () => {
  expect(verify("good.s")).toEqual({
    code: 0,
    out: "main (socket_filter): accepted by the rules of Linux 7.2\n",
    err: "",
  });
  expect(verify("good.s", "--kernel", "6.12").out).toContain("Linux 6.12");
});

test("verify rejects with the reason and the instruction", () => {
  expect(verify("bad.s")).toMatchInlineSnapshot(`
    {
      "code": 1,
      "err": "",
      "out": "main (socket_filter): rejected by the rules of Linux 7.2
      R0 !read_ok (error 13)
      at 3: (95) exit
    ",
    }
  `);
});

test("verify -l 1 prints the log of the path that led there, -l 2 that of all paths", () => {
  const { out } = verify("bad.s", "-l", "1");
  const [head, ...log] = out.split(/^(?=0: R1)/m);
  expect(head).toBe(verify("bad.s").out);
  const lines = log.join("").split("\n");
  expect(lines[0]).toBe("0: R1=ctx() R10=fp0");
  expect(lines[2]).toBe("1: (15) if r2 == 0x0 goto pc+1 3: R2=0 R10=fp0");
  expect(lines.slice(-4)).toMatchInlineSnapshot(`
    [
      "3: (95) exit",
      "R0 !read_ok",
      "processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
      "",
    ]
  `);
  const all = verify("good.s", "-l", "2").out;
  expect(all).toContain("\nfunc#0 @0\n");
  expect(all).toContain("\n\nfrom 1 to 3: R0=scalar(smin=umin=umin32=6,");
  expect(verify("good.s", "--log-level", "1").out.split("\n")).toHaveLength(3);
});

test("verify takes every program of an object, or the one that is asked for", () => {
  const { code, out } = verify("dissect.o");
  expect(code).toBe(0);
  expect(out.match(/^\w+ \(xdp\): accepted by/gm)).toHaveLength(7);
  expect(verify("dissect.o", "--program", "gre").out).toBe("gre (xdp): accepted by the rules of Linux 7.2\n");
  expect(verify("dissect.o", "--program", "nope")).toMatchObject({ code: 2, out: "" });
});

test("verify says of the firewall what the kernels say: accepted by 7.2, rejected by 6.12", () => {
  expect(verify("firewall.bpf.o")).toMatchObject({
    code: 0,
    out: "firewall (xdp): accepted by the rules of Linux 7.2\n",
  });
  const { code, out } = verify("firewall.bpf.o", "--kernel", "6.12");
  expect(code).toBe(1);
  expect(out).toContain(
    "math between pkt pointer and register with unbounded min value is not allowed (error 22)\n  at 57: ",
  );
});

test("verify names the source line where an object has lines", () => {
  const { code, out } = verify("isa.o", "--program", "arithmetic");
  expect({ code, out }).toMatchInlineSnapshot(`
    {
      "code": 1,
      "out": "arithmetic (syscall): rejected by the rules of Linux 7.2
      BPF_ATOMIC stores into R1 ctx is not allowed (error 13)
      at 12: (db) lock *(u64 *)(r1 +8) += r3
      ; __sync_fetch_and_add((__u64 *)(ctx + 2), b); @ ./isa.c:11
    ",
    }
  `);
});

test("verify --stats has veristat's columns", () => {
  expect(verify("dissect.o", "--stats").out).toMatchInlineSnapshot(`
    "vlan (xdp): accepted by the rules of Linux 7.2
    ipv4 (xdp): accepted by the rules of Linux 7.2
    ipv6 (xdp): accepted by the rules of Linux 7.2
    tcp (xdp): accepted by the rules of Linux 7.2
    udp (xdp): accepted by the rules of Linux 7.2
    gre (xdp): accepted by the rules of Linux 7.2
    dissect (xdp): accepted by the rules of Linux 7.2

      file_name  prog_name  verdict  duration  total_insns  total_states  peak_states  max_states_per_insn  prog_size  stack_depth  prog_type  attach_type
      dissect.o  vlan       success         0          124            11           11                    0         86           16  xdp        xdp
      dissect.o  ipv4       success         0          194            17           17                    0        135            8  xdp        xdp
      dissect.o  ipv6       success         0          181            15           15                    0        120           16  xdp        xdp
      dissect.o  tcp        success         0           88             7            7                    0         59           16  xdp        xdp
      dissect.o  udp        success         0           61             5            5                    0         56           16  xdp        xdp
      dissect.o  gre        success         0          151            15           15                    0        101            8  xdp        xdp
      dissect.o  dissect    success         0          138            11           11                    0         95           16  xdp        xdp
    "
  `);
  expect(verify("bad.s", "--stats").out).toMatchInlineSnapshot(`
    "main (socket_filter): rejected by the rules of Linux 7.2
      R0 !read_ok (error 13)
      at 3: (95) exit

      file_name  prog_name  verdict  duration  total_insns  total_states  peak_states  max_states_per_insn  prog_size  stack_depth  prog_type      attach_type
      bad.s      main       failure         0            5             0            0                    0          4  -            socket_filter  -
    "
  `);
});

test("verify -j gives verdict, reason, place, log and statistics", () => {
  const { code, out } = verify("bad.s", "-j", "-l", "1");
  expect(code).toBe(1);
  const { kernel, programs } = JSON.parse(out);
  expect(kernel).toBe("7.2");
  const { explanation, log, stats, ...rest } = programs[0];
  expect(rest).toEqual({
    name: "main",
    type: "socket_filter",
    verdict: "rejected",
    reason: "R0 !read_ok",
    errno: 13,
    kind: "uninitialised-register",
    class: "uninitialised",
    at: { insn: 3, text: "(95) exit" },
  });
  expect(explanation).toMatchObject({ kind: "uninitialised-register", register: "R0", at: { insn: 3 } });
  expect(log.at(-2)).toBe("R0 !read_ok");
  expect(stats).toMatchObject({ verdict: "failure", total_insns: 5, prog_size: 4, prog_type: "socket_filter" });
  expect(JSON.parse(verify("good.s", "-j").out)).toMatchObject({
    kernel: "7.2",
    programs: [{ name: "main", type: "socket_filter", verdict: "accepted", stack: [{ bytes: 0 }] }],
  });
});

test("verify says when the budget is spent, which is no verdict", () => {
  expect(verify("loop.s").code).toBe(0);
  expect(verify("loop.s", "--budget", "100")).toMatchInlineSnapshot(`
    {
      "code": 4,
      "err": "",
      "out": "main (socket_filter): undecided with the rules of Linux 7.2
      the budget of 100 instructions is used up
      at 2: (a5) if r0 < 0x3e8 goto pc-2
    ",
    }
  `);
});

test("verify takes the type of a text from --type", () => {
  expect(verify("good.s", "--type", "xdp").out).toContain("main (xdp): ");
  expect(verify("good.s", "--type", "nonsense")).toMatchObject({ code: 2, out: "" });
  expect(verify("slots.o", "--type", "xdp")).toMatchObject({ code: 2, out: "" });
});

test("verify refuses a program of an object whose section says no type, and takes the others by name", () => {
  expect(verify("sections.o")).toEqual({
    code: 3,
    out: "",
    err: 'bpfkit: sections.o: program stranger of section "no such thing", whose type is not known\n',
  });
  expect(verify("sections.o", "--program", "second").code).toBe(0);
});

test("verify tells malformed input from a rejection", () => {
  expect(bpfkit(["verify", "odd.s"], { "odd.s": text("r0 = = 1") })).toMatchObject({ code: 3, out: "" });
  const cut = FILES["slots.o"].subarray(0, 100);
  expect(bpfkit(["verify", "cut.o"], { "cut.o": cut })).toMatchObject({ code: 3, out: "" });
  expect(verify("good.s", "--kernel", "5.4")).toMatchObject({ code: 2, out: "" });
});

test("verify --btf asks what a program is attached to", () => {
  const enter = ["sections.o", "--program", "enter"];
  expect(verify(...enter).code).toBe(0);
  const { code, out } = verify(...enter, "--btf", "targets.btf");
  expect([code, out]).toEqual([1, expect.stringContaining("do_unlinkat is not sleepable")]);
  expect(verify("sections.o", "--program", "first", "--btf", "targets.btf").code).toBe(0);
  expect(verify(...enter, "--btf", "good.s")).toMatchObject({ code: 3, err: expect.stringContaining("good.s") });
});
