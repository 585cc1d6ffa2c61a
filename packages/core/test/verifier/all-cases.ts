// All cases of the verifier, read once for the tests of a worker.
import { readdirSync, readFileSync } from "node:fs";
import { type Case, readCases } from "./cases.mjs";

const FOLDER = new URL("cases/", import.meta.url);

export const CASES: readonly Case[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".yaml"))
  .flatMap((file) => readCases(readFileSync(new URL(file, FOLDER), "utf8")));
