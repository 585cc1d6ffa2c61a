// (coming)
import type { Command } from "../arguments.ts";

export const dis: Command = { name: "dis", operands: [], summary: "", options: {}, examples: [], run: () => 5 };
