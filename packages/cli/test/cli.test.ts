import { describe, expect, test } from "vitest";
import { bpfkit, example, seeded } from "./support.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** The example with another instruction at a slot of its section `xdp`. */
function withInsn(slot: number, bytes: readonly number[]): Uint8Array {
  const object = example("firewall.bpf.o");
  const { sections } = JSON.parse(bpfkit(["obj", "firewall.bpf.o", "-j"]).out) as {
    sections: { name: string; offset: number }[];
  };
  object.set(bytes, sections.find(({ name }) => name === "xdp")!.offset + 8 * slot);
  return object;
}

/** r4 = *(u64 *)(r0 + 0), where r0 is 6. */
const TRAPPING = () => withInsn(10, [0x79, 0x04, 0, 0, 0, 0, 0, 0]);
/** goto -1 */
const ENDLESS = () => withInsn(10, [0x05, 0, 0xff, 0xff, 0, 0, 0, 0]);
const PACKET = new Uint8Array(64);

describe("exit codes", () => {
  test.each([
    ["no command", [], 2, /^bpfkit: .*usage:/s],
    [
      "a command that does not exist",
      ["frobnicate"],
      2,
      /no command frobnicate; there are obj, dis, verify, explain, jit, patch, tail, tramp, multi, poke, run, demo, conform, plugin, help and version/,
    ],
    ["a cut command that could be two", ["d"], 2, /d could be dis, demo/],
    ["an option that does not exist", ["obj", "x.o", "--frob"], 2, /obj has no option --frob/],
    ["an option without its value", ["run", "x.o", "--pcap"], 2, /--pcap needs a value: FILE/],
    ["a flag with a value", ["obj", "x.o", "--json=1"], 2, /--json takes no value/],
    [
      "the standard input for two files",
      ["run", "-", "--pcap", "-"],
      2,
      /- is the standard input, which can be read as one/,
    ],
    ["an option twice", ["obj", "x.o", "-j", "--json"], 2, /--json is given twice/],
    ["an operand too few", ["obj"], 2, /obj needs FILE/],
    ["an operand too many", ["obj", "a", "b"], 2, /obj takes no b/],
    [
      "a value that is no number",
      ["run", "firewall.bpf.o", "--budget", "1e3"],
      2,
      /--budget is a whole number from 1 to \d+, not 1e3/,
    ],
    [
      "a value out of bounds",
      ["run", "firewall.bpf.o", "--cpus", "0"],
      2,
      /--cpus is a whole number from 1 to 1024, not 0/,
    ],
    [
      "an engine that does not exist",
      ["run", "firewall.bpf.o", "--engine", "z80"],
      2,
      /--engine is one of interpreter, x86-64, arm64, riscv64, all, not z80/,
    ],
    ["a name of a property of objects", ["constructor"], 2, /no command constructor/],
    [
      "an option named like a property of objects",
      ["obj", "x.o", "--constructor"],
      2,
      /obj has no option --constructor/,
    ],
    ["a file that is not there", ["obj", "missing.o"], 2, /missing\.o: no such file/],
    [
      "repeat in lockstep",
      ["run", "firewall.bpf.o", "--engine", "all", "--repeat", "2"],
      2,
      /--repeat goes with one engine/,
    ],
    [
      "a capture beside a packet",
      ["run", "firewall.bpf.o", "--pcap", "a", "--data", "b"],
      2,
      /--pcap goes without --data/,
    ],
    [
      "a packet that XDP does not take",
      ["run", "firewall.bpf.o", "--data", "rules.json", "--ctx", "rules.json"],
      2,
      /firewall\.bpf\.o: /,
    ],
    ["a file that is no object", ["dis", "rules.json"], 3, /rules\.json: offset 0: file that begins with 7b 0a 20 20/],
    [
      "a file that is no capture",
      ["run", "firewall.bpf.o", "--pcap", "rules.json"],
      3,
      /rules\.json: offset 0: magic number/,
    ],
    [
      "map contents that are no JSON",
      ["run", "firewall.bpf.o", "--maps", "firewall.bpf.c"],
      3,
      /firewall\.bpf\.c: text that is not JSON/,
    ],
  ])("%s", (_, argv, code, message) => {
    const outcome = bpfkit(argv);
    expect(outcome.code).toBe(code);
    expect(outcome.out).toBe("");
    expect(outcome.err).toMatch(message);
  });

  test.each(["interpreter", "x86-64", "all"])(
    "a program that traps is 1, with instruction, line and the nearest allocation (%s)",
    (engine) => {
      const files = { "trap.o": TRAPPING(), packet: PACKET };
      const { code, err } = bpfkit(["run", "trap.o", "--data", "packet", "--engine", engine, "--unverified"], files);
      expect(code).toBe(1);
      expect(err.split("\n")[0]).toBe(
        "bpfkit: trap.o: trap: insn 10: examples/firewall/firewall.bpf.c:148: load of 8 bytes at 0x6: 6 bytes past a null pointer",
      );
    },
  );

  test.each(["interpreter", "x86-64", "all"])("a program that does not end within its budget is 4 (%s)", (engine) => {
    const files = { "endless.o": ENDLESS(), packet: PACKET };
    const { code, err } = bpfkit(
      ["run", "endless.o", "--data", "packet", "--engine", engine, "--budget", "1000", "--unverified"],
      files,
    );
    expect(err).toMatch(/^bpfkit: endless\.o: still running after \d+ instructions\n/);
    expect(code).toBe(4);
  });

  test("a program that cannot run on any engine is 3", () => {
    const files = { "bad.o": withInsn(10, [0x05, 0, 0xff, 0x7f, 0, 0, 0, 0]) };
    expect(bpfkit(["jit", "bad.o", "--unverified"], files)).toMatchObject({
      code: 3,
      out: "",
      err: expect.stringMatching(/^bpfkit: bad\.o: insn 10: /),
    });
  });
});

describe("a program that the verifier rejects", () => {
  const REASON = [
    "firewall (xdp): rejected by the rules of Linux 7.2",
    "  R0 invalid mem access 'scalar' (error 13)",
    "  at 10: (79) r4 = *(u64 *)(r0 +0)",
  ];

  test.each([
    ["run", ["--data", "packet"]],
    ["run", ["--data", "packet", "--engine", "all"]],
    ["jit", []],
    ["patch", []],
    ["tail", []],
  ])("is not let in by %s, which says why and what says more", (command, rest) => {
    const { code, out, err } = bpfkit([command, "trap.o", ...rest], { "trap.o": TRAPPING(), packet: PACKET });
    expect(code).toBe(1);
    expect(out).toBe("");
    const [first, second, third, source, hint] = err.split("\n");
    expect([first, second, third]).toEqual([`bpfkit: trap.o: ${REASON[0]}`, REASON[1], REASON[2]]);
    expect(source).toMatch(/^ {2}; .* @ examples\/firewall\/firewall\.bpf\.c:148$/);
    expect(hint).toBe("  why: bpfkit verify trap.o --program firewall --explain");
  });

  test.each(["jit", "patch", "tail"])("is let in by %s --unverified, which says so", (command) => {
    const { code, out } = bpfkit([command, "trap.o", "--unverified"], { "trap.o": TRAPPING() });
    expect(code).toBe(0);
    expect(out).toMatch(/; unverified: entered through trust\(\), its safety is not checked\n/);
    expect(JSON.parse(bpfkit([command, "trap.o", "--unverified", "-j"], { "trap.o": TRAPPING() }).out)).toMatchObject(
      command === "tail" ? { programs: [{ basis: "trusted" }] } : { basis: "trusted" },
    );
  });

  test("is judged by the kernel that is asked for", () => {
    const { code, err } = bpfkit(["jit", "firewall.bpf.o", "--kernel", "6.12"]);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^bpfkit: firewall\.bpf\.o: firewall \(xdp\): rejected by the rules of Linux 6\.12\n {2}math between pkt/,
    );
    expect(bpfkit(["jit", "firewall.bpf.o", "--kernel", "6.12", "--unverified"]).code).toBe(2);
  });
});

describe("help", () => {
  test("lists the commands, on the standard output when asked for", () => {
    const { code, out, err } = bpfkit(["help"]);
    expect([code, err]).toEqual([0, ""]);
    expect(bpfkit(["--help"]).out).toBe(out);
    expect(bpfkit(["-h"]).out).toBe(out);
    expect(bpfkit([])).toMatchObject({ out: "", err: out });
  });

  test.each(["obj", "dis", "jit", "run", "demo", "conform", "plugin"])("says what %s does", (name) => {
    const { code, out } = bpfkit(["help", name]);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`usage: bpfkit ${name}`));
    expect(bpfkit([name, "--help"]).out).toBe(out);
    expect(bpfkit([name, "-h"]).out).toBe(out);
  });

  test("says which version this is", () => {
    expect(bpfkit(["version"]).out).toMatch(/^bpfkit \d+\.\d+\.\d+/);
    expect(bpfkit(["-V"])).toEqual(bpfkit(["--version"]));
  });

  test("a command may be cut short where that leaves no doubt", () => {
    expect(bpfkit(["o", "firewall.bpf.o"])).toEqual(bpfkit(["obj", "firewall.bpf.o"]));
  });
});

describe("streams", () => {
  test("- is the standard input", () => {
    const files = { "-": example("firewall.bpf.o") };
    expect(bpfkit(["dis", "-"], files).out.replaceAll("<_.", "<firewall.")).toBe(bpfkit(["dis", "firewall.bpf.o"]).out);
  });

  test("files may come as buffers of Node.js, which are left as they are", () => {
    const names = ["firewall.bpf.o", "traffic.pcap", "rules.json"];
    const buffers = Object.fromEntries(names.map((name) => [name, Buffer.from(example(name))]));
    const argv = ["run", "firewall.bpf.o", "--maps", "rules.json", "--pcap", "traffic.pcap"];
    expect(bpfkit(argv, buffers)).toEqual(bpfkit(argv));
    for (const name of names) expect(buffers[name]!.equals(example(name))).toBe(true);
  });

  test("colours appear on terminals, and never where NO_COLOR is set", () => {
    const terminal = { out: true, err: true };
    const argv = ["obj", "firewall.bpf.o"];
    const plain = bpfkit(argv).out;
    expect(plain).not.toContain("\u001b");
    expect(bpfkit(argv, {}, { terminal }).out).toContain("\u001b[1m");
    expect(bpfkit(argv, {}, { terminal, env: { NO_COLOR: "1" } }).out).toBe(plain);
    expect(bpfkit([...argv, "--color", "never"], {}, { terminal }).out).toBe(plain);
    expect(bpfkit([...argv, "--color", "always"]).out).toContain("\u001b[1m");
  });

  test("a long run draws a bar on a terminal and wipes it", () => {
    let time = 0;
    const world = { terminal: { out: false, err: true }, now: () => (time += 50) };
    const argv = ["run", "firewall.bpf.o", "--pcap", "traffic.pcap"];
    const { err, out } = bpfkit(argv, {}, world);
    expect(err).toMatch(/\rpackets \[#{15}\.{15}\] {2}5\d %/);
    expect(err).toMatch(/\r +\r$/);
    expect(bpfkit([...argv, "--quiet"], {}, world)).toEqual({ code: 0, out, err: "" });
    expect(bpfkit(argv)).toEqual({ code: 0, out, err: "" });
  });

  test("the same command prints the same twice", () => {
    const argv = [
      "run",
      "firewall.bpf.o",
      "--pcap",
      "traffic.pcap",
      "--maps",
      "rules.json",
      "--engine",
      "x86-64",
      "-j",
    ];
    expect(bpfkit(argv)).toEqual(bpfkit(argv));
  });
});

describe("hostile files never end in an internal error", () => {
  const scale = Number(process.env.BPFKIT_FUZZ ?? 20_000) / 20_000;
  const run = ["run", "--data", "packet", "--budget", "5000"];

  test.each([
    { command: ["obj"], mutants: 200 },
    { command: ["dis", "-S", "-r"], mutants: 100 },
    { command: ["jit", "-S"], mutants: 100 },
    { command: run, mutants: 50 },
    { command: [...run, "--engine", "all"], mutants: 50 },
  ])("$command on mutants of the example", ({ command, mutants }) => {
    const random = seeded(0xc11);
    const original = example("firewall.bpf.o");
    for (let i = 0; i < mutants * scale; i++) {
      const object = original.slice();
      for (let changes = 1 + (random() % 3); changes > 0; changes--)
        object[random() % (random() % 2 ? 3600 : object.length)] = random();
      const { code, err } = bpfkit([command[0]!, "mutant.o", ...command.slice(1)], {
        "mutant.o": object,
        packet: PACKET,
      });
      expect(code, err).toBeLessThan(5);
      // Machine code cannot tell a dead frame from a live one; the interpreter does.
      if (!err.includes("outside the live frames")) expect(err).not.toContain("the engines differ");
    }
  });

  test.each([
    "",
    "{",
    "[]",
    '"x"',
    "null",
    '{"blocked": 1}',
    '{"blocked": [1]}',
    '{"blocked": [{"key": "0"}]}',
    '{"blocked": [{"key": 1, "value": ""}]}',
    '{"__proto__": [{"key": "", "value": ""}]}',
  ])("map contents %s are refused", (json) => {
    const { code, err } = bpfkit(["run", "firewall.bpf.o", "--maps", "maps.json"], { "maps.json": text(json) });
    expect([2, 3], err).toContain(code);
  });
});
