#!/usr/bin/env node
// The `bpfkit` executable.
import { main } from "./cli.ts";
import { processIo } from "./io.ts";
import { EXIT } from "./output.ts";

// A reader that has seen enough (`bpfkit dis … | head`) closes the pipe; that is no failure. A full disk is one.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  process.stderr.write(`bpfkit: standard output: ${error.message}\n`);
  process.exit(EXIT.INTERNAL);
});
process.exitCode = main(process.argv.slice(2), processIo());
