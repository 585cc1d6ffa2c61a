// Forms in which `bpfkit verify` reports: several kernels, explanations, states, SARIF, annotations.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bpfkit } from "./support.ts";

const object = (path: string) => new Uint8Array(readFileSync(new URL(`../../../${path}`, import.meta.url)));
const text = (...lines: string[]) => new TextEncoder().encode(lines.join("\n"));
const FILES = {
  "isa.o": object("packages/object/test/objects/isa-v4.o"),
  "bad.s": text("r2 = *(u32 *)(r1 + 0)", "if r2 == 0 goto out", "r0 = 0", "out:", "exit"),
  "good.s": text("r0 = *(u32 *)(r1 + 0)", "if r0 > 5 goto out", "r0 = 1", "out:", "exit"),
  "loop.s": text("r0 = 0", "again:", "r0 += 1", "if r0 < 1000 goto again", "exit"),
  "packet.s": text("r2 = *(u32 *)(r1 + 0)", "r0 = *(u16 *)(r2 + 12)", "r0 = 2", "exit"),
  "calls.s": text("*(u64 *)(r10 - 24) = 0", "call sub", "exit", "sub:", "*(u64 *)(r10 - 40) = 0", "r0 = 0", "exit"),
};

const verify = (...words: string[]) => bpfkit(["verify", ...words], FILES);

test("verify --kernel 6.12,7.2 has a table, says why below it, and ends with 1 when any kernel rejects", () => {
  expect(verify("firewall.bpf.o", "--kernel", "6.12,7.2")).toMatchInlineSnapshot(`
    {
      "code": 1,
      "err": "",
      "out": "  program   type  6.12      7.2
      firewall  xdp   rejected  accepted

    firewall (xdp): rejected by the rules of Linux 6.12
      math between pkt pointer and register with unbounded min value is not allowed (error 22)
      at 57: (0f) r5 += r4
      ; if (total < length || !read(packet, total, &rest)) @ examples/firewall/firewall.bpf.c:212
    ",
    }
  `);
  expect(verify("good.s", "--kernel", "6.12,7.2").code).toBe(0);
  expect(verify("good.s", "--kernel", "6.12,5.4").code).toBe(2);
  const { kernels, programs } = JSON.parse(verify("firewall.bpf.o", "--kernel", "6.12,7.2", "-j").out);
  expect(kernels).toEqual(["6.12", "7.2"]);
  expect(programs).toMatchObject([
    { name: "firewall", kernel: "6.12", verdict: "rejected" },
    { name: "firewall", kernel: "7.2", verdict: "accepted" },
  ]);
});

test("verify --explain prints the report of Linux 7.3", () => {
  const { code, out } = verify("bad.s", "--explain");
  expect(code).toBe(1);
  expect(out).toContain("Verification failed: Register Type Safety: Unreadable register");
  for (const heading of ["Reason:", "At:", "Causal path:", "Suggestion:"]) expect(out).toContain(`\n${heading}\n`);
});

test("verify --states lists the states of each instruction", () => {
  expect(verify("good.s", "--states").out).toMatchInlineSnapshot(`
    "main (socket_filter): accepted by the rules of Linux 7.2

    states:
    0: (61) r0 = *(u32 *)(r1 +0)
        R1=ctx() R10=fp0
    1: (25) if r0 > 0x5 goto pc+1
        R0=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0
    2: (b7) r0 = 1
        R0=scalar(smin=smin32=0,smax=umax=smax32=umax32=5,var_off=(0x0; 0x7)) R10=fp0
    3: (95) exit
        R0=1 R10=fp0
        R0=scalar(smin=umin=umin32=6,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0
    "
  `);
  const { states } = JSON.parse(verify("good.s", "-s", "-j").out).programs[0];
  expect(states.map(({ insn }: { insn: number }) => insn)).toEqual([0, 1, 2, 3]);
  expect(states[3].states).toHaveLength(2);
  expect(states[2].states[0].frames[0].registers[0]).toMatchObject({ type: "scalar", unsigned64: ["0", "5"] });
});

test("verify --not-pruned tells what kept a loop from ending", () => {
  const { out } = verify("loop.s", "--not-pruned");
  expect(out).toMatch(/^1: \(07\) r0 \+= 1: [\d,]+ in vain, \d+ ended a path$/m);
  expect(out).toMatch(/^ {4}[\d,]+ × R0: /m);
  expect(JSON.parse(verify("loop.s", "--not-pruned", "-j").out).programs[0].notPruned[0]).toMatchObject({ insn: 1 });
  expect(verify("good.s", "--not-pruned").out).toContain("no state was compared in vain");
});

test("verify --stats adds up the stack along chains of calls", () => {
  expect(verify("calls.s", "--stats").out).toContain("main: stack of main 24 + sub 40 = 80 bytes\n");
  expect(JSON.parse(verify("calls.s", "-j").out).programs[0].stack).toEqual([
    {
      bytes: 80,
      frames: [
        { name: "main", bytes: 24 },
        { name: "sub", bytes: 40 },
      ],
    },
  ]);
});

test("verify -j has the kind of a rejection and its explanation", () => {
  expect(JSON.parse(verify("packet.s", "--type", "xdp", "-j").out).programs[0]).toMatchObject({
    verdict: "rejected",
    kind: "outside-packet",
    class: "packet",
    reason: "R2 min value is outside of the allowed memory range",
    explanation: { kind: "outside-packet", register: "R2", at: { insn: 1 } },
  });
});

test("verify --sarif has a rule for the kind, a result with its place, and the steps as a flow", () => {
  const { code, out } = verify("packet.s", "--type", "xdp", "--sarif", "--pages", "https://docs.example/messages/");
  expect(code).toBe(1);
  const log = JSON.parse(out) as Sarif;
  checkSarif(log);
  const [run] = log.runs;
  expect(run!.tool.driver.rules).toMatchObject([
    { id: "outside-packet", helpUri: "https://docs.example/messages/outside-packet.md" },
  ]);
  expect(run!.results).toMatchObject([
    {
      ruleId: "outside-packet",
      level: "error",
      locations: [
        {
          physicalLocation: { artifactLocation: { uri: "packet.s" } },
          logicalLocations: [{ name: "main", fullyQualifiedName: "main/main+1" }],
        },
      ],
    },
  ]);
  const flow = run!.results[0]!.codeFlows![0]!.threadFlows[0]!.locations;
  expect(flow.at(-1)!.location.message!.text).toContain("(69) r0 = *(u16 *)(r2 +12): R2 min value");
  expect(flow.length).toBeGreaterThan(1);
});

test("verify --sarif names the source line where an object has lines, one result for each program and kernel", () => {
  const log = JSON.parse(verify("isa.o", "--sarif", "--kernel", "6.12,7.2").out) as Sarif;
  checkSarif(log);
  const places = log.runs[0]!.results.map(({ locations }) => locations[0]!.physicalLocation);
  expect(places.find(({ region }) => region !== undefined)).toMatchObject({
    artifactLocation: { uri: "isa.c" },
    region: { startLine: expect.any(Number) },
  });
  const good = JSON.parse(verify("good.s", "--sarif").out) as Sarif;
  checkSarif(good);
  expect(good.runs[0]!.results).toEqual([]);
});

test("verify --sarif calls what a budget ended open, and takes no --json", () => {
  const log = JSON.parse(verify("loop.s", "--budget", "100", "--sarif").out) as Sarif;
  checkSarif(log);
  expect(log.runs[0]!.results).toMatchObject([{ ruleId: "budget-spent", kind: "open", level: "none" }]);
  expect(verify("good.s", "--sarif", "-j").code).toBe(2);
  expect(verify("good.s", "--pages", "https://docs.example").code).toBe(2);
});

test("verify --annotate github writes workflow commands where GITHUB_ACTIONS is set", () => {
  const inActions = (...words: string[]) => bpfkit(["verify", ...words], FILES, { env: { GITHUB_ACTIONS: "true" } });
  const { err } = inActions("isa.o", "--program", "arithmetic", "--annotate", "github");
  expect(err).toMatch(
    /^::error file=isa\.c,line=11,col=\d+,title=arithmetic%3A rejected by Linux 7\.2::BPF_ATOMIC stores/,
  );
  expect(err).toContain("%0Aat 12: (db) lock *(u64 *)(r1 +8) += r3%0A");
  expect(err.trimEnd().split("\n")).toHaveLength(1);
  expect(inActions("bad.s", "--annotate", "github").err).toMatch(/^::error file=bad\.s,title=main%3A /);
  expect(inActions("bad.s").err).toBe("");
  expect(verify("bad.s", "--annotate", "github").err).toBe("");
  expect(verify("bad.s", "--annotate", "other").code).toBe(2);
});

interface Location {
  readonly physicalLocation: {
    readonly artifactLocation: { readonly uri: string };
    readonly region?: { readonly startLine: number; readonly startColumn?: number };
  };
  readonly logicalLocations: readonly { readonly name: string; readonly fullyQualifiedName: string }[];
  readonly message?: { readonly text: string };
}

interface Sarif {
  readonly $schema: string;
  readonly version: string;
  readonly runs: readonly {
    readonly tool: { readonly driver: { readonly name: string; readonly rules: readonly Rule[] } };
    readonly results: readonly Result[];
  }[];
}

interface Rule {
  readonly id: string;
  readonly helpUri?: string;
  readonly shortDescription: { readonly text: string };
}

interface Result {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly kind: string;
  readonly level: string;
  readonly message: { readonly text: string };
  readonly locations: readonly Location[];
  readonly codeFlows?: readonly {
    readonly threadFlows: readonly { readonly locations: readonly { readonly location: Location }[] }[];
  }[];
}

/** What the standard asks of the members that are used here; numbers of its sections behind each. */
function checkSarif(log: Sarif): void {
  expect(log.version).toBe("2.1.0"); // 3.13.2
  for (const { tool, results } of log.runs) {
    expect(tool.driver.name).not.toBe(""); // 3.19.8
    const { rules } = tool.driver;
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length); // 3.19.23
    for (const { shortDescription, helpUri } of rules) {
      expect(shortDescription.text).toMatch(/\.$|catalogue$/); // 3.49.9
      if (helpUri !== undefined) expect(() => new URL(helpUri)).not.toThrow(); // 3.49.12
    }
    for (const { ruleId, ruleIndex, kind, level, message, locations, codeFlows = [] } of results) {
      expect(rules[ruleIndex]!.id).toBe(ruleId); // 3.27.6
      expect(level === "none").toBe(kind !== "fail"); // 3.27.10
      expect(message.text).not.toBe(""); // 3.11.8
      const flows = codeFlows.flatMap(({ threadFlows }) => threadFlows);
      for (const flow of flows) expect(flow.locations.length).toBeGreaterThan(0); // 3.37.6
      for (const place of [...locations, ...flows.flatMap((flow) => flow.locations.map(({ location }) => location))]) {
        const { artifactLocation, region } = place.physicalLocation;
        expect(new URL(artifactLocation.uri, "file:///").pathname).not.toContain(" "); // 3.4.3
        if (region !== undefined) expect(region.startLine).toBeGreaterThan(0); // 3.30.5
        if (region?.startColumn !== undefined) expect(region.startColumn).toBeGreaterThan(0); // 3.30.6
        for (const { name } of place.logicalLocations) expect(name).not.toBe(""); // 3.33.4
      }
    }
  }
}
