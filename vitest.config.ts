import { defineConfig, type ViteUserConfig } from "vitest/config";

// Tests of one package run on the sources of the others: nothing has to be built first.
const conditions = ["@bpfkit/source", "module", "node", "development|production"];

const config: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["@bpfkit/source", "node"] } },
  test: {
    include: ["**/test/**/*.test.ts"],
    testTimeout: 30_000,
    // No module keeps state that a test changes: what one file has loaded serves the next, and loading was a third of the time.
    isolate: false,
    reporters: ["default", ["json", { outputFile: ".reports/vitest.json" }]],
  },
});

export default config;
