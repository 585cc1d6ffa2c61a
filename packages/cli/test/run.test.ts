import { createHash } from "node:crypto";
import { loadObject } from "@bpfkit/object";
import { describe, expect, test } from "vitest";
import { readMapFile } from "../src/map-file.ts";
import { hexBytes } from "../src/output.ts";
import { openCapture } from "../src/pcap.ts";
import { openSession } from "../src/session.ts";
import { bpfkit, capture, example, exampleText } from "./support.ts";

const LINUX = JSON.parse(exampleText("linux-7.2.json")) as {
  returns: string;
  packetsOut: { sha256: string; changed: number };
  verdicts: string[];
  packetsSeen: number;
};
const FIREWALL = ["run", "firewall.bpf.o", "--maps", "rules.json"];
const packets = () => [...openCapture(example("traffic.pcap")).packets()];

interface Report {
  readonly engines: readonly {
    readonly name: string;
    readonly executed: number;
    readonly returns: number[];
    readonly outcomes: Record<string, number>;
  }[];
  readonly lockstep?: { readonly boundaries: number; readonly instructions: number };
  readonly maps: readonly {
    readonly name: string;
    readonly entries: readonly { readonly key: string; readonly values: string[]; readonly decoded: unknown }[];
  }[];
}
const report = (argv: readonly string[], files = {}) =>
  JSON.parse(bpfkit([...FIREWALL, ...argv, "-j"], files).out) as Report;

/** The capture's first packets as a file of their own. */
function firstPackets(count: number): Uint8Array {
  const { offset } = packets()[count]!;
  return example("traffic.pcap").slice(0, offset);
}

describe.each(["interpreter", "x86-64"])("the firewall on %s does what Linux 7.2 did", (engine) => {
  test("packet by packet, in what it returns, what it makes of the packet and what it counts", () => {
    const [program] = loadObject(example("firewall.bpf.o"), { name: "firewall" }).programs;
    const session = openSession(program!, { engine, maps: readMapFile(example("rules.json")) });
    const out = createHash("sha256");
    let returns = "";
    let changed = 0;
    for (const { data } of packets()) {
      const { returnValue, dataOut } = session.run({ data })[0]!;
      returns += returnValue;
      out.update(dataOut!);
      if (!Buffer.from(dataOut!).equals(data)) changed++;
    }
    expect(returns).toBe(LINUX.returns);
    expect({ sha256: out.digest("hex"), changed }).toEqual(LINUX.packetsOut);
    const { kernel } = session.lanes[0]!;
    expect([...kernel.map("verdicts").entries()].map(({ value }) => hexBytes(value, ""))).toEqual(LINUX.verdicts);
    expect(kernel.map("firewall.bss").lookup(new Uint8Array(4))).toEqual(
      Uint8Array.of(LINUX.packetsSeen & 255, LINUX.packetsSeen >> 8, 0, 0, 0, 0, 0, 0),
    );
  });
});

describe("run over a capture", () => {
  test("keeps both engines equal at every instruction", () => {
    const { engines, lockstep } = report(["--pcap", "some.pcap", "--engine", "all"], {
      "some.pcap": firstPackets(300),
    });
    expect(engines.map(({ name }) => name)).toEqual(["interpreter", "x86-64"]);
    expect(engines[0]!.returns.join("")).toBe(LINUX.returns.slice(0, 300));
    expect(engines[1]!.returns).toEqual(engines[0]!.returns);
    expect(lockstep!.instructions).toBe(engines[0]!.executed);
    expect(lockstep!.boundaries).toBeGreaterThan(0.95 * lockstep!.instructions);
  });

  test("gives the same in every dialect of the format", () => {
    const plain = report(["--pcap", "some.pcap"], { "some.pcap": firstPackets(50) });
    for (const little of [true, false]) {
      for (const nanoseconds of [true, false]) {
        const data = packets()
          .slice(0, 50)
          .map((packet) => ({ seconds: 1, fraction: 2, data: packet.data }));
        expect(report(["--pcap", "some.pcap"], { "some.pcap": capture(data, { little, nanoseconds }) })).toEqual(plain);
      }
    }
  });

  test("spreads packets over the CPUs, whose counters add up", () => {
    const one = report(["--pcap", "some.pcap"], { "some.pcap": firstPackets(50) });
    const three = report(["--pcap", "some.pcap", "--cpus", "3"], { "some.pcap": firstPackets(50) });
    const packetsIn = ({ maps }: Report) =>
      maps
        .find(({ name }) => name === "verdicts")!
        .entries.map(({ values }) => values.reduce((sum, value) => sum + Number.parseInt(value.slice(0, 2), 16), 0));
    expect(three.maps.find(({ name }) => name === "verdicts")!.entries[0]!.values).toHaveLength(3);
    expect(packetsIn(three)).toEqual(packetsIn(one));
  });

  test("counts packets that the kernel's test run refuses and goes on", () => {
    const data = [
      { seconds: 0, fraction: 0, data: new Uint8Array(13) },
      { seconds: 0, fraction: 0, data: new Uint8Array(60) },
    ];
    const { engines } = report(["--pcap", "short.pcap"], { "short.pcap": capture(data) });
    expect(engines[0]).toMatchObject({ outcomes: { pass: 1, refused: 1 }, returns: [null, 2] });
  });

  test("refuses what are no Ethernet frames", () => {
    const { code, err } = bpfkit([...FIREWALL, "--pcap", "raw.pcap"], { "raw.pcap": capture([], { linkType: 101 }) });
    expect(code).toBe(3);
    expect(err).toBe("bpfkit: raw.pcap: offset 20: a capture of link type 101, expected 1 (Ethernet)\n");
  });

  test("says where a capture is cut off", () => {
    const { code, err } = bpfkit([...FIREWALL, "--pcap", "cut.pcap"], { "cut.pcap": firstPackets(3).subarray(0, -1) });
    expect(code).toBe(3);
    expect(err).toMatch(
      /^bpfkit: cut\.pcap: offset \d+: a packet of \d+ bytes, expected at most the \d+ that are left of the file\n$/,
    );
  });

  test("decodes keys and values after their types", () => {
    const { maps } = report(["--pcap", "some.pcap"], { "some.pcap": firstPackets(50) });
    expect(maps.map(({ name }) => name)).toEqual(["verdicts", "blocked", "ports", "sources", "firewall.bss"]);
    expect(maps[0]!.entries[3]).toMatchObject({
      key: "03000000",
      decoded: { key: "BLOCKED_SOURCE", values: [{ packets: "2", bytes: expect.any(String) }] },
    });
    expect(maps[2]!.entries[0]!.decoded).toMatchObject({
      key: { number: 23, protocol: 6 },
      values: [{ id: 100 }],
    });
    expect(maps[4]!.entries[0]!.decoded).toEqual({ values: [{ packets_seen: "50" }] });
  });
});

describe("run on one packet", () => {
  const ping = () => packets().find(({ index }) => LINUX.returns[index] === "3")!.data;

  test("shows what came out of it", () => {
    const { code, out } = bpfkit([...FIREWALL, "--data", "ping", "--engine", "x86-64"], { ping: ping() });
    expect(code).toBe(0);
    expect(out).toMatch(/^firewall \(xdp\), verified by the rules of Linux 7\.2\n/);
    expect(out).toMatch(/ {2}tx +1\n/);
    const swapped = hexBytes(ping().subarray(6, 12));
    expect(out).toContain(`packet out   ${swapped}`);
  });

  test("can repeat it, as the kernel does: an answered ping is no ping any more", () => {
    const { engines } = JSON.parse(
      bpfkit([...FIREWALL, "--data", "ping", "--repeat", "2", "-j"], { ping: ping() }).out,
    ) as {
      engines: { result: { returnValue: number } }[];
    };
    expect(engines[0]!.result.returnValue).toBe(2);
  });
});
