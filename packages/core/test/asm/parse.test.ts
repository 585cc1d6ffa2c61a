import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GRAMMAR, type Node } from "../../src/asm/grammar.ts";
import { type AssembleOptions, assemble, BpfError, OPS, opAt, printInsn, tryAssemble } from "../../src/index.ts";

const map = (name: string): NonNullable<AssembleOptions["maps"]>[number] => ({
  name,
  type: 1,
  keySize: 4,
  valueSize: 8,
  maxEntries: 16,
  flags: 0,
});
const OPTIONS: AssembleOptions = {
  maps: [map("counts"), map(".rodata")],
  kfuncs: ["bpf_dynptr_from_skb", "bpf_rcu_read_lock"],
};

/** What a text stands for, in this library's own spelling. */
function meaning(text: string, options: AssembleOptions = OPTIONS): string {
  const { insns } = assemble(text, options);
  return `${OPS[opAt(insns, 0)]}  ${printInsn(insns, 0)}`;
}

function refusal(text: string, options: AssembleOptions = OPTIONS): string {
  const result = tryAssemble(text, options);
  return result.ok
    ? `accepted: ${printInsn(result.program.insns, 0)}`
    : `${result.error.code}: ${result.error.message}`;
}

describe("spellings", () => {
  test.each([
    // Which of two readings a text has.
    ["r1 = 5", "mov64_imm  r1 = 5"],
    ["r1 = -5", "mov64_imm  r1 = -5"],
    ["r1 = -r1", "neg64  r1 = -r1"],
    ["r1 = 5 ll", "lddw  r1 = 0x5 ll"],
    ["r1 = -1 ll", "lddw  r1 = 0xffffffffffffffff ll"],
    ["r1 = 18446744073709551615 ll", "lddw  r1 = 0xffffffffffffffff ll"],
    ["r1 = 0x1122334455667788 ll", "lddw  r1 = 0x1122334455667788 ll"],
    ["w1 = 0xffffffff", "mov32_imm  w1 = -1"],
    ["if w1 > 0xffffffff goto +1", "jgt32_imm  if w1 > -1 goto +1"],
    ["*(u32 *)(r1 + 0) = 0xffffffff", "store32_imm  *(u32 *)(r1 + 0) = -1"],
    ["call 12", "tail_call  call bpf_tail_call"],
    // Memory.
    ["w0 = *(u32 *)(r1 + 0)", "load32  r0 = *(u32 *)(r1 + 0)"],
    ["r0 = *(u32 *)(r1+0)", "load32  r0 = *(u32 *)(r1 + 0)"],
    ["r0 = *(u32 *)(r1 +4)", "load32  r0 = *(u32 *)(r1 + 4)"],
    ["r0=*(u32*)(r1-0x4)", "load32  r0 = *(u32 *)(r1 - 4)"],
    ["*(u32 *)(r10 - 4) = w1", "store32_reg  *(u32 *)(r10 - 4) = r1"],
    ["*(u8 *)(r10 - 4) = r1", "store8_reg  *(u8 *)(r10 - 4) = r1"],
    ["r0 = *(u16 *)skb[14]", "ld_abs16  r0 = *(u16 *)skb[14]"],
    ["r0 = *(u16 *)skb[r7]", "ld_ind16  r0 = *(u16 *)skb[r7]"],
    ["r0 = *(u16 *)skb[r7 + 14]", "ld_ind16  r0 = *(u16 *)skb[r7 + 14]"],
    ["lock *(u32 *)(r1 + 0) += r2", "atomic_add32  lock *(u32 *)(r1 + 0) += w2"],
    ["r2 = atomic64_fetch_or((u64 *)(r1 +8), r2)", "atomic_fetch_or64  r2 = atomic_fetch_or((u64 *)(r1 + 8), r2)"],
    ["r0 = atomic_cmpxchg((u32 *)(r1 +8), r0, r2)", "cmpxchg32  w0 = cmpxchg32_32(r1 + 8, w0, w2)"],
    ["w1 = load_acquire((u8 *)(r2 + 0x4))", "load_acquire8  w1 = load_acquire((u8 *)(r2 + 4))"],
    // Operators with and without room around them.
    ["r1 s>>= 3", "arsh64_imm  r1 s>>= 3"],
    ["r1 s/=3", "sdiv64_imm  r1 s/= 3"],
    ["w1 s%= w2", "smod32_reg  w1 s%= w2"],
    ["if r1 s>= -5 goto +1", "jsge64_imm  if r1 s>= -5 goto +1"],
    ["if r1 s>-5 goto +1", "jsgt64_imm  if r1 s> -5 goto +1"],
    ["if r1&5 goto +1", "jset64_imm  if r1 & 5 goto +1"],
    ["r1/=2//half", "div64_imm  r1 /= 2"],
    // Distances.
    ["goto pc+3", "ja  goto +3"],
    ["goto pc-3", "ja  goto -3"],
    ["goto -0x3", "ja  goto -3"],
    ["gotol +70000", "gotol  gotol +70000"],
    ["may_goto +2", "may_goto  may_goto +2"],
    // Calls.
    ["call 1", "call_helper  call bpf_map_lookup_elem"],
    ["call bpf_map_lookup_elem", "call_helper  call bpf_map_lookup_elem"],
    ["call map_lookup_elem", "call_helper  call bpf_map_lookup_elem"],
    ["call map_lookup_elem#1", "call_helper  call bpf_map_lookup_elem"],
    ["call bpf_from_the_future#4711", "call_helper  call 4711"],
    ["call bpf_rcu_read_lock", "call_kfunc  call kfunc[1]"],
    ["call bpf_rcu_read_lock#87654", "call_kfunc  call kfunc[1]"],
    ["call kfunc[0]", "call_kfunc  call kfunc[0]"],
    ["call pc+3", "call_subprog  call pc+3"],
    ["call +3", "call_subprog  call pc+3"],
    // Two-slot loads.
    ["r1 = map[counts]", "lddw_map_idx  r1 = map[idx:0]"],
    ["r1 = map[.rodata][0]+16", "lddw_map_idx_value  r1 = map[idx:1][0]+16"],
    ["r1 = map[fd:3]", "lddw_map_fd  r1 = map[fd:3]"],
    ["r1 = counts ll", "lddw_map_idx  r1 = map[idx:0]"],
    ["r1 = subprog[+5]", "lddw_subprog  r1 = subprog[+5]"],
    ["ld_pseudo r1, 0x6, 0x1", "lddw_map_idx_value  r1 = map[idx:1][0]+0"],
    // Listings.
    ["  12:  b7 01 00 00 05 00 00 00  r1 = 5", "mov64_imm  r1 = 5"],
    ["12: (b7) r1 = 5 ; R1_w=5", "mov64_imm  r1 = 5"],
    ["(18) r1 = 0x5", "lddw  r1 = 0x5 ll"],
    ["(15) if r1 == 0xffffffff goto pc+1", "jeq64_imm  if r1 == -1 goto +1"],
    ["       0:\tb7 01 00 00 05 00 00 00\tr1 = 0x5", "mov64_imm  r1 = 5"],
    ["if r1 > 0x5 goto +0x3 <entry+0xd8>", "jgt64_imm  if r1 > 5 goto +3"],
  ])("%s", (text, expected) => {
    expect(meaning(text)).toBe(expected);
  });

  test("no two instructions share one", () => {
    const shared: string[] = [];
    const visit = (node: Node, path: string): void => {
      const ops = [...new Set(node.forms.map(({ op }) => OPS[op]!))];
      if (ops.length > 1) shared.push(`${path}: ${ops.join(" ")}`);
      for (const [literal, next] of node.literals) visit(next, `${path} ${literal}`);
      for (const edge of ["r64", "w32", "number", "offset", "jump", "name"] as const)
        if (node[edge]) visit(node[edge], `${path} <${edge}>`);
    };
    visit(GRAMMAR, "");
    // The pseudo source, a number, tells these apart.
    expect(shared.filter((each) => !each.startsWith(" ld_pseudo"))).toEqual([]);
  });
});

describe("labels and subprograms", () => {
  test("jumps reach labels before and behind them", () => {
    const { insns } = assemble("start: r1 += 1\n if r1 < 10 goto start\n goto end\n gotol end\n end: exit");
    expect([insns.off(1), insns.off(2), insns.imm(3)]).toEqual([-2, 1, 0]);
  });

  test("a label that is called or taken the address of begins a subprogram", () => {
    const { subprogs, name } = assemble(
      "call a\n r2 = b ll\n r2 = subprog[c]\n exit\na: exit\nb: exit\nc: exit\nnot_one: exit",
    );
    expect(subprogs.map((each) => `${each.start} ${each.name}`)).toEqual(["0 main", "6 a", "7 b", "8 c"]);
    expect(name).toBe("main");
  });

  test("a numeric call takes the label of its target as the name", () => {
    expect(assemble("call pc+1\n exit\n twice: exit").subprogs[1]).toEqual({ name: "twice", start: 2 });
    expect(assemble("call pc+1\n exit\n exit").subprogs[1]).toEqual({ name: "sub_2", start: 2 });
  });

  test("the first label names the program, unless it is a loop's", () => {
    expect(assemble("entry: r0 = 0\n exit").name).toBe("entry");
    expect(assemble("loop: if r0 > 0 goto loop\n exit").name).toBe("main");
    expect(assemble("entry: exit", { name: "told" })).toMatchObject({ name: "told", subprogs: [{ name: "entry" }] });
  });

  test("comments of three kinds, and an empty text, are no instructions", () => {
    expect(assemble("// a\n; b\n# c\n\n \t\r\n").insns.length).toBe(0);
    expect(assemble("r0 = 0 // a\nr0 = 0 ; b\nr0 = 0 # c").insns.length).toBe(3);
    expect(assemble("r0 = 0\r\nexit\r\n").insns.length).toBe(2);
  });

  test("text says nothing about what the options say", () => {
    expect(assemble("exit", { type: "xdp", attachType: "xdp", license: "MIT" })).toMatchObject({
      type: "xdp",
      attachType: "xdp",
      license: "MIT",
    });
    expect(assemble("exit")).toMatchObject({ name: "main", type: "syscall", license: "GPL", maps: [], kfuncs: [] });
  });
});

describe("refusals", () => {
  test.each([
    "r0 = r99",
    "r0",
    "r0 += w1",
    "r0 = 0; exit",
    "r0 = 0x1122334455667788",
    "r0 += 0xffffffff",
    "r0 = 0x11223344556677889 ll",
    "r0 = 12ab",
    "r0 = *(u32 *)(r1 + 32768)",
    "r0 = *(u24 *)(r1 + 0)",
    "r1 = -r2",
    "r1 = be16 r2",
    "r1 = atomic_fetch_add((u64 *)(r3 + 0), r2)",
    "r1 = cmpxchg_64(r10 - 8, r0, r2)",
    "goto 3",
    "goto nowhere",
    "goto +40000",
    "if r1 = 5 goto +1",
    "if r1 == 5 goto",
    "call nobody",
    "call map_lookup_elem#2",
    "r1 = map[absent]",
    "r1 = absent ll",
    "frobnicate r1",
    "r1 = 5 6",
    "twice:\ntwice:",
    "r1: exit",
    ".text",
    ".subprog",
    ".8byte 0x10000000000000000",
    "(b7) r1 += 5",
    "(zz) r1 += 5",
    "12 r1 = 5",
    "r1 = 5 /* five */",
    "r1 = ☃",
    "exit exit",
    `r1 = ${"5".repeat(200)}`,
    `r1 = ${"x".repeat(200)}`,
    `${" ".repeat(300)}r1 = ?${" ".repeat(300)}r2`,
  ])("%s", (text) => {
    expect(refusal(text)).toMatchSnapshot();
  });

  test("say where they are", () => {
    const result = tryAssemble("r0 = 0\n\n  goto out\nexit");
    expect(!result.ok && result.error.details).toMatchObject({ line: 3, column: 8, offset: 15 });
  });

  test("a label out of reach of 16 bits", () => {
    const body = "r0 = 0\n".repeat(40_000);
    expect(refusal(`goto far\n${body}far: exit`)).toMatchInlineSnapshot(`
      "out-of-range: label far is 40000 slots away, expected a distance in -32768..32767

        1:  goto far
                 ^^^

      \`gotol\` reaches farther"
    `);
    expect(tryAssemble(`gotol far\n${body}far: exit`).ok).toBe(true);
  });
});

describe("hostile text", () => {
  const pieces = [
    ..."rw=+-*/&|^<>()[]{},:;#.!~\"'\\\n\t\0 \u2028\ud800é",
    ..."r0 r10 w3 r11 0 1 -1 0x7fffffff 0xffffffff 99999999999999999999 goto if call ll map[ ][0]+ subprog[ lock *(u32 *)( s>>= s/ pc+3".split(
      " ",
    ),
    ..."exit .8byte .subprog name: atomic_fetch_add kfunc[ <x> 0000: (b7) // /* load_acquire((u8 ld_pseudo".split(" "),
  ];
  const anyText = fc
    .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })), { maxLength: 40 })
    .map((parts) => parts.join(""));
  const spaced = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join(" "));

  test("is a program or a BpfError with a place, nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, spaced), (text) => {
        const result = tryAssemble(text, OPTIONS);
        if (result.ok) return;
        expect(result.error).toBeInstanceOf(BpfError);
        expect(["syntax", "unknown-symbol", "out-of-range"]).toContain(result.error.code);
        expect(result.error.details.line).toBeGreaterThan(0);
        expect(result.error.details.listing).toMatch(/\^/);
        expect(result.error.details.listing!.length).toBeLessThan(400);
      }),
      { numRuns: 2_000 },
    );
  });

  test("that breaks one character of a good text is met the same way", () => {
    const good =
      "entry: r1 = map[counts]\n if r1 s> 5 goto out\n lock *(u64 *)(r1 + 8) += r2\n call map_lookup_elem#1\n call sub\nout: exit\nsub: exit\n";
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom(...pieces), fc.nat(2), (at, piece, removed) => {
        const result = tryAssemble(good.slice(0, at) + piece + good.slice(at + removed), OPTIONS);
        if (!result.ok) expect(result.error.details.listing).toMatch(/\^/);
      }),
      { numRuns: 1_500 },
    );
  });

  test.each([
    ["one endless line", "r0 = ".padEnd(4_000_000, "x")],
    ["one endless number", "r0 = ".padEnd(4_000_000, "9")],
    ["endless comments in a line", `r0 = 0 ${";".repeat(2_000_000)}`],
    ["endless spaces", " ".repeat(4_000_000)],
    ["endless labels in a line", "a:".repeat(500_000)],
    ["endless lines", "\n".repeat(4_000_000)],
    ["endless hex bytes", `0: ${"b7 ".repeat(1_000_000)}`],
    ["endless zeros", "0".repeat(4_000_000)],
    ["endless operators", `r0 ${"-".repeat(2_000_000)}`],
    ["endless semicolons with instructions", `r0 = 0${" ; r0 = 0 x".repeat(300_000)}`],
  ])("%s ends quickly", (_, text) => {
    tryAssemble(text);
  });

  test("ten megabytes of good text are a program", () => {
    const line = "if r1 != 5 goto out\n";
    const text = `${line.repeat(30_000)}out: r0 = 0\n${"  r0 += 1 // and so on\n".repeat(400_000)}exit\n`;
    expect(text.length).toBeGreaterThan(9_000_000);
    expect(assemble(text).insns.length).toBe(430_002);
  });
});
