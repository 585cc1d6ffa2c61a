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

/** Numbers and short branches forward, whose sides come together again and are covered by one another. */
function branches(turns) {
  const random = randomFrom(1);
  const lines = [];
  for (let i = 0; i < 200; i++) {
    const dst = 2 + random(4);
    lines.push(`r${dst} = *(u32 *)(r6 + ${4 * random(8)})`, `r${dst} &= ${1 + random(255)}`);
    lines.push(`if r${dst} ${[">", "==", "s<"][random(3)]} ${random(64)} goto b${i}`);
    lines.push(`r${2 + random(4)} = ${random(100)}`, `r${dst} += ${random(9)}`, `b${i}:`, `r${dst} <<= ${random(5)}`);
  }
  return repeated(turns, "r2 = 0\nr3 = 0\nr4 = 0\nr5 = 0", lines.join("\n"));
}

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

/** Much of the stack in use: 60 slots that are spilled to and filled from, between branches. */
function spills(turns) {
  const random = randomFrom(2);
  const before = Array.from({ length: 60 }, (_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = ${i % 3 === 0 ? "r1" : i}`);
  const lines = [];
  for (let i = 0; i < 60; i++) {
    const [from, to] = [8 * (1 + random(60)), 8 * (1 + random(60))];
    lines.push(`r2 = *(u32 *)(r6 + ${4 * random(8)})`, `*(u64 *)(r10 - ${to}) = r2`);
    lines.push(
      `if r2 > ${random(1000)} goto s${i}`,
      `r3 = *(u64 *)(r10 - ${from})`,
      `*(u64 *)(r10 - ${from}) = r3`,
      `s${i}:`,
    );
  }
  return repeated(turns, before.join("\n"), lines.join("\n"));
}

/** A packet's headers one behind the other, each looked at before it is read; short packets go on with the next turn. */
function packets(turns) {
  const lines = ["r2 = *(u32 *)(r6 + 0)", "r3 = *(u32 *)(r6 + 4)", "r7 = 0"];
  for (let i = 0; i < 24; i++) {
    lines.push("r4 = r2", "r4 += 20", "if r4 > r3 goto next", `r5 = *(u8 *)(r2 + ${i % 13})`, "r8 = *(u16 *)(r2 + 12)");
    lines.push(`if r8 == ${0x0800 + i} goto p${i}`, "r7 += 1", `p${i}:`, "r5 &= 15", "r5 <<= 2", "r2 += r5");
  }
  return repeated(turns, "", lines.join("\n"));
}

/** Text of each shape, and the type of its program. */
export const SHAPES = {
  branches: { type: "sched_cls", text: branches },
  loops: { type: "sched_cls", text: loops },
  calls: { type: "sched_cls", text: calls },
  spills: { type: "sched_cls", text: spills },
  packets: { type: "xdp", text: packets },
};
