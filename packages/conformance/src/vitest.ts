// The suite as vitest tests: a line or two in each backend's test folder.

// vitest/backend.ts
export { describeBackend } from "./vitest/backend.ts";
// vitest/mutants.ts
export { describeMutants } from "./vitest/mutants.ts";
// vitest/trampolines.ts
export { describeTrampolines } from "./vitest/trampolines.ts";
