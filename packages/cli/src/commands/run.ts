// (coming)
import type { Command } from "../arguments.ts";

export const run: Command = { name: "run", operands: [], summary: "", options: {}, examples: [], run: () => 5 };
