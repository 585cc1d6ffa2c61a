// Compares what bpfkit emits and decides with a real kernel. BPFKIT_ORACLE is the folder that holds the kernel's side.
if (process.env.BPFKIT_ORACLE) {
  await import("./report.mjs");
} else {
  console.log("BPFKIT_ORACLE is not set: nothing to compare with, skipped");
}
