import { expect, test } from "vitest";
import { HistoryBuffer, packHistory, unpackHistory } from "../../src/verifier/history.ts";
import { Packing } from "../../src/verifier/pack.ts";
import { randomFrom } from "./random-programs.ts";

/** A path's history as it is noted: instructions in runs and jumps, some with a slot of the stack, some with numbers narrowed together. */
function randomHistory(random: () => number, steps: number): Int32Array {
  const words: number[] = [];
  let insn = 0;
  for (let i = 0; i < steps; i++) {
    const touch = random() < 0.2 ? 1 + Math.floor(random() * 64 * 16) : 0;
    words.push(insn | (touch << 20));
    if (random() < 0.1) for (let k = 0; k <= random() * 3; k++) words.push(~Math.floor(random() * 100));
    insn = random() < 0.1 ? Math.floor(random() * 1_000_000) : Math.min(insn + (random() < 0.9 ? 1 : 2), 0xf_ffff);
  }
  return Int32Array.from(words);
}

test("histories are packed and unpacked without loss", () => {
  const random = randomFrom(7);
  const buffer = new HistoryBuffer();
  for (let i = 0; i < 2000; i++) {
    const history = randomHistory(random, Math.floor(random() * 400));
    const packing = new Packing();
    for (let k = 0; k < 3; k++) packing.push(-1);
    packHistory(history, history.length, packing);
    expect(packing.length - 3).toBeLessThanOrEqual(history.length);
    const length = unpackHistory(packing.words, 3, packing.length, buffer);
    expect(buffer.words.slice(0, length)).toEqual(history);
  }
});

test("code that only computes takes two words", () => {
  const packing = new Packing();
  packHistory(
    Int32Array.from({ length: 300 }, (_, i) => 1000 + i),
    300,
    packing,
  );
  expect(packing.length).toBe(2);
});
