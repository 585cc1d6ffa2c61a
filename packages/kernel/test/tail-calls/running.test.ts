import { interpreter, trackedInterpreter } from "@bpfkit/core";
import { describe } from "vitest";
import { tailCallScenarios } from "../support/tail-call-scenarios.ts";
import { textEngine } from "../support/text-engine.ts";

describe("tail calls in the interpreter", () => tailCallScenarios(interpreter));
describe("tail calls in the tracked interpreter", () => tailCallScenarios(trackedInterpreter));
describe("tail calls beside code that is rewritten", () => tailCallScenarios(textEngine()));
