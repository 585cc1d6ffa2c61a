// The public surface of @bpfkit/conformance: explicit names, grouped by the file that defines them.

// generate.ts
export { type GenerateOptions, generateProgram, isSelfContained } from "./generate.ts";

// random.ts
export { Random } from "./random.ts";

// golden.ts
export { GOLDEN_CASES, type GoldenCase, goldenListing } from "./golden.ts";
