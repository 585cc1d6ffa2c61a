// functions.btf is an excerpt of Linux 7.2's BTF: node tools/oracle/btf-excerpt.mjs vmlinux.btf NAMES functions.btf, with the NAMES below.
//
//   vfs_*,ksys_*,tcp_v?_*,udp_v6_*,udp_send*,ip_*_skb,ip_append_data,*vfsuid,_printk,snprintf,regmap_field_*,*sk_setsockopt,do_sock_setsockopt,
//   HUF_readStats_wksp
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bpfkit, type Outcome } from "./support.ts";

const FUNCTIONS: Uint8Array = new Uint8Array(readFileSync(new URL("functions.btf", import.meta.url)));

function plan(functions: string, ...more: readonly string[]): Outcome {
  return bpfkit(["multi", "plan", "--btf", "k.btf", "--functions", functions, ...more], { "k.btf": FUNCTIONS });
}

interface Report {
  readonly traceable: number;
  readonly programs: readonly {
    functions: number;
    made: number;
    split: number;
    inPlace: number;
    refusedFor: string[];
  }[];
  readonly classes: readonly { programs: number[]; arguments: string; functions: string[] }[];
  readonly refused: readonly { function: string; cause: string; reason: string }[];
  readonly counts: Readonly<Record<string, number>>;
}

const reportOf = (...args: Parameters<typeof plan>): Report => JSON.parse(plan(...args, "-j").out);

test("multi plan prints classes, what is refused, and how many classes other keys would make", () => {
  const { out, code } = plan("vfs_r*,tcp_v4_*,ip_*,HUF*,*printk,regmap_field_a*;vfs_re*");
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "195 functions, of which 187 have arguments that can be handed on
    program 0, fentry on 42 functions: 12 new classes
    program 1, fentry on 6 functions: 4 split off others

    16 classes on x86-64
      functions  programs  arguments                                                        of them
              6  0         3 words                                                          tcp_v4_ao_calc_key_rsk, tcp_v4_connect, tcp_v4_fill_cb, … 3 more
              6  0         1 word                                                           tcp_v4_destroy_sock, tcp_v4_init_sock, tcp_v4_mtu_reduced, … 3 more
              5  0         2 words                                                          ip_send_skb, tcp_v4_conn_request, tcp_v4_do_rcv, … 2 more
              5  0         4 words                                                          tcp_v4_ao_lookup, tcp_v4_ao_lookup_rsk, tcp_v4_get_syncookie, … 2 more
              4  0         5 words                                                          tcp_v4_md5_hash_hdr, tcp_v4_parse_ao, tcp_v4_parse_md5_keys, … 1 more
              3  0, 1      3 words                                                          vfs_readlink, vfs_remove_acl, vfs_removexattr
              2  0         10 words; 4 on the stack; upper half of 9 cleared                HUF_readStats_wksp, ip_make_skb
              2  0         6 words                                                          tcp_v4_ao_calc_key_sk, tcp_v4_ao_synack_hash
              2  0         7 words; 1 on the stack                                          tcp_v4_send_synack, tcp_v4_syn_recv_sock
              1  0         9 words; 3 on the stack; upper half of 8 cleared                 ip_append_data
              1  0         7 words; 1 on the stack; upper half of 6 cleared                 tcp_v4_ao_hash_skb
              1  0         0 words                                                          tcp_v4_init
              1  0         12 words; 6 on the stack; upper half of 6, 7, 9, 10, 11 cleared  tcp_v4_send_ack
              1  0, 1      4 words                                                          vfs_read
              1  0, 1      5 words                                                          vfs_readv
              1  0, 1      1 word                                                           vfs_rename

    3 refused: 1 for a variable number, 1 for an argument, 1 for the result
      function                    why
      _printk                     a variable number of arguments
      regmap_field_alloc          argument 1 is struct reg_field of 20 bytes
      tcp_v4_init_seq_and_ts_off  a result that is union tcp_seq_and_ts_off of 8 bytes

    classes of the same functions for one program
      by                     classes
      number of words             11
      what x86-64 compares        12
      what arm64 compares         28
      what riscv64 compares       28
      exact prototype             37
    "
  `);
});

describe.each([
  ["x86-64", 12],
  ["arm64", 95],
  ["riscv64", 95],
])("%s", (arch, classes) => {
  test("every function of a plan is in one class or refused, and classes are what the backend compares", () => {
    const report = reportOf("*", "--arch", arch);
    expect(report.classes.length).toBe(classes);
    expect(report.counts).toEqual({ words: 11, "x86-64": 12, arm64: 95, riscv64: 95, prototypes: 140 });
    const names = report.classes.flatMap(({ functions }) => functions);
    expect(names.length).toBe(report.traceable);
    expect(new Set([...names, ...report.refused.map((one) => one.function)]).size).toBe(195);
  });
});

test("sizes and signs are shown where they tell classes apart", () => {
  const [first] = reportOf("vfs_read", "--arch", "arm64").classes;
  expect(first).toEqual({ programs: [0], arguments: "s64 (u64, u64, u64, u64)", functions: ["vfs_read"] });
  expect(reportOf("vfs_read").classes[0]!.arguments).toBe("4 words");
});

test("words on the stack are shown, and which are cleared", () => {
  const { classes } = reportOf("HUF_readStats_wksp,tcp_v4_send_synack");
  expect(classes.map((one) => one.arguments)).toEqual([
    "10 words; 4 on the stack; upper half of 9 cleared",
    "7 words; 1 on the stack",
  ]);
});

test("programs behind a semicolon split classes, or change them in place", () => {
  const { programs, classes } = reportOf("vfs_read,vfs_write,vfs_readv;vfs_read;vfs_read*,vfs_write*");
  expect(programs.map(({ functions, made, split, inPlace }) => [functions, made, split, inPlace])).toEqual([
    [3, 2, 0, 0],
    [1, 0, 1, 0],
    [5, 2, 0, 3],
  ]);
  expect(classes.map((one) => [one.programs, one.functions])).toEqual([
    [[0, 1, 2], ["vfs_read"]],
    [[2], ["vfs_readlink"]],
    [[0, 2], ["vfs_readv"]],
    [[0, 2], ["vfs_write"]],
    [[2], ["vfs_writev"]],
  ]);
});

test("a function that is named in full and cannot be traced is a negative verdict; one that a pattern finds is left out", () => {
  const named = plan("vfs_read,_printk");
  expect(named.code).toBe(1);
  expect(named.out).toContain("1 new class; the kernel refuses all of it, since it names _printk\n");
  expect(reportOf("vfs_read,_printk").programs[0]!.refusedFor).toEqual(["_printk"]);
  const found = plan("vfs_read,*printk");
  expect(found.code).toBe(0);
  expect(found.out).toContain("_printk   a variable number of arguments");
  expect(plan("_printk").out).toContain("fentry on 0 functions: nothing to do");
});

test("multi plan shows the first few unless all are asked for", () => {
  expect(plan("*", "--arch", "arm64").out).toContain("… 75 more classes\n");
  const { out } = plan("*", "--arch", "arm64", "--all");
  expect(out).not.toContain("…");
  for (const { functions } of reportOf("*", "--arch", "arm64").classes) expect(out).toContain(functions.join(", "));
});

test("multi says what it cannot do", () => {
  const failure = (words: readonly string[], bytes: Uint8Array = FUNCTIONS): string => {
    const { code, err } = bpfkit(["multi", ...words], { "k.btf": bytes });
    return `${code} ${err}`;
  };
  const asked = ["--btf", "k.btf", "--functions"];
  expect(failure([])).toMatch(/^2 bpfkit: multi needs plan/);
  expect(failure(["split"])).toMatch(/^2 bpfkit: multi takes plan.*, not split/);
  expect(failure(["plan", "--functions", "*"])).toMatch(/^2 bpfkit: multi needs --btf FILE/);
  expect(failure(["plan", "--btf", "k.btf"])).toMatch(/^2 bpfkit: multi needs --functions NAMES/);
  expect(failure(["plan", ...asked, "vfs_*,nothing_*"])).toMatch(/^2 bpfkit: no function matches 'nothing_\*'/);
  expect(failure(["plan", ...asked, "vfs_*;"])).toMatch(/^2 bpfkit: no function matches ''/);
  expect(failure(["plan", ...asked, "*", "--kind", "fmod_ret"])).toMatch(/^2 bpfkit: --kind is one of fentry/);
  expect(failure(["plan", ...asked, "*"], new Uint8Array(30))).toMatch(/^3 bpfkit: k.btf: offset 0: BTF magic 0/);
  expect(failure(["plan", ...asked, "*"], FUNCTIONS.subarray(0, 5000))).toMatch(
    /^3 bpfkit: k.btf: offset 24: the BTF types/,
  );
});

test("a function that has all the programs it can have is refused to a further one", () => {
  const { programs, refused } = reportOf(`vfs_read${";vfs_read".repeat(38)}`);
  expect(programs.slice(-2).map((one) => one.refusedFor)).toEqual([[], ["vfs_read"]]);
  expect(refused).toMatchObject([
    { function: "vfs_read", cause: "state", reason: expect.stringMatching(/39 .* of at most 38.*E2BIG/) },
  ]);
});

describe("compare", () => {
  function compare(functions: string, ...more: readonly string[]): Outcome {
    return bpfkit(["multi", "compare", "--btf", "k.btf", "--functions", functions, ...more], { "k.btf": FUNCTIONS });
  }

  test("multi compare prints designs side by side", () => {
    const { out, code } = compare("vfs_r*,vfs_w*,tcp_v4_send*;vfs_re*", "--kind", "fexit");
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "fexit programs on x86-64

      attach program 0 to 12 functions
        design        made  given back  pokes  rows  waits  bytes  ms
        shared           6           0     12     0      0  1,291  0.0
        per-function    12           0     12     0      0  2,271  0.0
        global           6           0     12    12      0  4,070  0.0

      attach program 1 to 6 functions
        design        made  given back  pokes  rows  waits  bytes  ms
        shared           4           1      6     0      1  2,095  0.0
        per-function     6           6      6     0      1  2,685  0.0
        global           0           0      0     6      1  4,630  0.0

      detach program 0 from 12 functions
        design        made  given back  pokes  rows  waits  bytes  ms
        shared           4           9     21     0      1    680  0.0
        per-function     6          12     24     0      1    986  0.0
        global           0           2      6     6      1  2,828  0.0

      detach program 1 from 6 functions
        design        made  given back  pokes  rows  waits  bytes  ms
        shared           0           4     10     0      1      0  0.0
        per-function     0           6     12     0      1      0  0.0
        global           0           4      6     0      1      0  0.0

      with all programs attached
        design        trampolines  bytes
        shared                  9  2,095
        per-function           12  2,685
        global                  6  4,630

      what a call costs more, with one program that does nothing on 12 functions
        function                                                          design                 instructions  loads  stores
        void (u64, u64, u32)                                              per-function                     46      9      15
        void (u64, u64, u32)                                              shared                           48     10      16
        void (u64, u64, u32)                                              shared, a cookie each           117     20      18
        void (u64, u64, u32)                                              global, a cookie each           112     32      23
        void (u64, u64, u32, u32, u32, u32, u32, s32, u64, s32, u8, u32)  per-function                     86     24      40
        void (u64, u64, u32, u32, u32, u32, u32, s32, u64, s32, u8, u32)  shared                           88     25      41
        void (u64, u64, u32, u32, u32, u32, u32, s32, u64, s32, u8, u32)  shared, a cookie each           157     35      43
        void (u64, u64, u32, u32, u32, u32, u32, s32, u64, s32, u8, u32)  global, a cookie each           152     47      48

      pokes are places of code rewritten, rows are lists of programs written for one function each, waits are grace periods;
      bytes are those of trampolines and rows that there are then; times are of one attach or detach, while nobody calls
      "
    `);
  });

  interface Compared {
    readonly changes: readonly {
      readonly change: string;
      readonly functions: number;
      readonly designs: Readonly<
        Record<string, { made: number; retired: number; images: number; bytes: number; pokes: number; rows: number }>
      >;
    }[];
    readonly standing: Readonly<Record<string, { images: number; bytes: number }>>;
    readonly calls: readonly {
      design: string;
      cookies: boolean;
      functions: number;
      instructions: number;
      loads: number;
    }[];
  }

  test.each(["x86-64", "arm64", "riscv64"])("%s: what each design makes is there until it is given back", (arch) => {
    const report: Compared = JSON.parse(compare("vfs_*,ksys_*;*_r*;vfs_read", "--arch", arch, "-j").out);
    expect(report.changes.map(({ change }) => change)).toEqual([
      ...Array(3).fill("attach"),
      ...Array(3).fill("detach"),
    ]);
    for (const [design, { images }] of Object.entries(report.standing)) {
      const of = report.changes.map(({ designs }) => designs[design]!);
      let there = 0;
      for (const one of of) {
        there += one.made - one.retired;
        expect([one.images, one.bytes > 0], design).toEqual([there, there > 0]);
      }
      expect([there, of[2]!.images], design).toEqual([0, images]);
    }
    for (const { change, functions, designs } of report.changes) {
      const rows = Object.values(designs).map((one) => one.rows);
      expect(rows).toEqual([0, 0, change === "attach" ? functions : expect.any(Number)]);
    }
    const { shared, "per-function": own, global } = report.standing;
    expect(own!.images).toBe(130); // all functions that have a program
    expect(global!.images).toBeLessThan(shared!.images);
    expect(shared!.images).toBeLessThan(own!.images);
    expect(shared!.bytes).toBeLessThan(own!.bytes);
    const [one, many, searched, found] = report.calls;
    expect(report.calls.slice(0, 4).map(({ design, cookies }) => [design, cookies])).toEqual([
      ["per-function", false],
      ["shared", false],
      ["shared", true],
      ["global", true],
    ]);
    expect(many!.instructions).toBeGreaterThanOrEqual(one!.instructions);
    // one comparison for each halving of 103 functions, and the last
    expect(searched!.functions).toBe(103);
    expect(searched!.loads).toBeGreaterThanOrEqual(many!.loads + Math.ceil(Math.log2(103)) + 1);
    // a row costs more than to know it all, and less than to halve a table
    expect(found!.instructions).toBeGreaterThan(many!.instructions);
    expect(found!.instructions).toBeLessThan(searched!.instructions);
  });

  test("functions that are refused are left out, and programs without any", () => {
    const report: Compared = JSON.parse(compare("_printk;vfs_read,snprintf", "-j").out);
    expect(report.changes.length).toBe(2);
    expect(report.standing.shared!.images).toBe(1);
    expect(compare("_printk").out).not.toContain("what a call costs");
    expect(compare("vfs_read", "--all")).toMatchObject({ code: 2, err: "bpfkit: multi compare takes no --all\n" });
  });
});
