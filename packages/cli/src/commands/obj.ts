// (coming)
import type { Command } from "../arguments.ts";

export const obj: Command = { name: "obj", operands: [], summary: "", options: {}, examples: [], run: () => 5 };
