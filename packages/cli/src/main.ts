#!/usr/bin/env node
// The `bpfkit` executable.
import { main } from "./cli.ts";
import { processIo } from "./io.ts";

// A reader that has seen enough (`bpfkit dis … | head`) closes the pipe; that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
process.exitCode = main(process.argv.slice(2), processIo());
