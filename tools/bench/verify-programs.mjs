// Programs for the verifier to walk, of several shapes, as text; seeded. `turns` says how long the walk is.

function randomFrom(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % n;
  };
}

/** A piece of code that is walked `turns` times, each time with another r9; the piece begins with r9 known and ends at `next`. */
const repeated = (turns, before, piece) => `r6 = r1
${before}
r9 = 0
again:
${piece}
next:
r9 += 1
if r9 != ${turns} goto again
r0 = 0
exit
`;

/**
 * Numbers and short branches forward, whose sides come together again and are covered by one another. One branch in `rare` can go both ways,
 * the others are decided.
 */
const branches = (rare) => (turns) => {
  const random = randomFrom(1);
  const lines = [];
  for (let i = 0; i < 200; i++) {
    const dst = 2 + random(4);
    const isOpen = i % rare === 0;
    lines.push(
      isOpen ? `r${dst} = *(u32 *)(r6 + ${4 * random(8)})` : `r${dst} = ${random(256)}`,
      `r${dst} &= ${1 + random(255)}`,
    );
    lines.push(`if r${dst} ${[">", "==", "s<"][random(3)]} ${random(64)} goto b${i}`);
    lines.push(`r${2 + random(4)} = ${random(100)}`, `r${dst} += ${random(9)}`, `b${i}:`, `r${dst} <<= ${random(5)}`);
  }
  return repeated(turns, "r2 = 0\nr3 = 0\nr4 = 0\nr5 = 0", lines.join("\n"));
};

/** A loop of a hundred turns within the one that all shapes have. */
const loops = (turns) =>
  repeated(
    turns,
    "r7 = 0",
    `r8 = 0
inner:
r7 += r8
r2 = r7
r2 &= 63
r3 = r10
r3 += -64
*(u64 *)(r10 - 8) = r8
r8 += 1
if r8 != 100 goto inner`,
  );

/** Calls of static subprograms, two deep, with pointers into the caller's frame. */
function calls(turns) {
  const piece = Array.from({ length: 20 }, (_, i) => `r1 = r10\nr1 += -16\nr2 = ${i}\ncall outer`).join("\n");
  return `${repeated(turns, "*(u64 *)(r10 - 16) = 0", piece)}outer:
r6 = r1
r7 = r2
r3 = *(u64 *)(r1 + 0)
r3 += r2
*(u64 *)(r1 + 0) = r3
if r2 > 10 goto large
r1 = r7
call inner
*(u64 *)(r6 + 0) = r0
large:
r0 = r7
exit
inner:
r0 = r1
r0 <<= 3
if r0 s> 40 goto done
r0 = 1
done:
exit
`;
}

/** Much of the stack in use: 60 slots that are spilled to and filled from, between branches of which one in `rare` can go both ways. */
const spills = (rare) => (turns) => {
  const random = randomFrom(2);
  const before = Array.from({ length: 60 }, (_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = ${i % 3 === 0 ? "r1" : i}`);
  const lines = [];
  for (let i = 0; i < 60; i++) {
    const [from, to] = [8 * (1 + random(60)), 8 * (1 + random(60))];
    lines.push(
      i % rare === 0 ? `r2 = *(u32 *)(r6 + ${4 * random(8)})` : `r2 = ${random(2000)}`,
      `*(u64 *)(r10 - ${to}) = r2`,
    );
    lines.push(
      `if r2 > ${random(1000)} goto s${i}`,
      `r3 = *(u64 *)(r10 - ${from})`,
      `*(u64 *)(r10 - ${from}) = r3`,
      `s${i}:`,
    );
  }
  return repeated(turns, before.join("\n"), lines.join("\n"));
};

/** A packet's headers one behind the other, each looked at before `fields` of its fields are read; short packets go on with the next turn. */
const packets = (fields) => (turns) => {
  const lines = ["r2 = *(u32 *)(r6 + 0)", "r3 = *(u32 *)(r6 + 4)", "r7 = 0"];
  for (let i = 0; i < 4; i++) {
    lines.push("r4 = r2", "r4 += 60", "if r4 > r3 goto next");
    for (let field = 0; field < fields; field++)
      lines.push(`r8 = *(u16 *)(r2 + ${field % 59})`, "r8 = be16 r8", "r7 += r8");
    lines.push(`r5 = *(u8 *)(r2 + ${i})`, "r5 &= 15", "r5 <<= 2", "r2 += r5");
  }
  return repeated(turns, "", lines.join("\n"));
};

/** Text of each shape, and the type of its program. On one path there are at most 8192 branches that can go both ways. */
export const SHAPES = {
  branches: { type: "sched_cls", text: branches(40) },
  loops: { type: "sched_cls", text: loops },
  calls: { type: "sched_cls", text: calls },
  spills: { type: "sched_cls", text: spills(60) },
  packets: { type: "xdp", text: packets(60) },
};

/** The same with branches that go both ways everywhere: too many for long programs. */
export const FORKING = {
  branches: { type: "sched_cls", text: branches(1) },
  spills: { type: "sched_cls", text: spills(1) },
  packets: { type: "xdp", text: packets(2) },
};
