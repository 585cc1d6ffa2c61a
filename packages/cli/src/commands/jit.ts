// (coming)
import type { Command } from "../arguments.ts";

export const jit: Command = { name: "jit", operands: [], summary: "", options: {}, examples: [], run: () => 5 };
