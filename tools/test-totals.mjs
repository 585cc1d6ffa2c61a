// Adds up the reports that vitest leaves in each package. Turbo restores the report of a package whose tests it does not
// need to run again, so the sum covers all packages of a run, fresh or replayed.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { workspacePackages } from "./workspace.mjs";

const reports = () => workspacePackages().map(({ dir }) => join(dir, ".reports", "vitest.json"));

/** Forgets earlier runs, so that only the packages of the next one are counted. */
export function clearReports() {
  for (const report of reports()) rmSync(report, { force: true });
}

/** Prints `[label]N passed, N failed[, N skipped]`. A test file that does not even load counts as one failure. */
export function printTotals(label = "") {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const report of reports().filter(existsSync)) {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, "utf8"),
    );
    const unloaded = testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
    total.passed += numPassedTests;
    total.failed += numFailedTests + unloaded.length;
    total.skipped += numPendingTests + numTodoTests;
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`${label}${total.passed} passed, ${total.failed} failed${skipped}`);
  return total;
}
