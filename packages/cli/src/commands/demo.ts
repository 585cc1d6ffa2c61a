// (coming)
import type { Command } from "../arguments.ts";

export const demo: Command = { name: "demo", operands: [], summary: "", options: {}, examples: [], run: () => 5 };
