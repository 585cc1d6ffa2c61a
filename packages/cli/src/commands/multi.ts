// `bpfkit multi`: one program on many functions, which share trampolines where their arguments lie alike.
import type { LinkKind } from "@bpfkit/core";
import { type Call, type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { FUNCTION_OPTIONS, readFunctions, selectFunctions } from "../btf-functions.ts";
import { compareReport } from "../multi-compare.ts";
import { compareText } from "../multi-compare-text.ts";
import { planReport } from "../multi-plan.ts";
import { planText } from "../multi-plan-text.ts";
import { EXIT, printJson } from "../output.ts";

const ARCHES: readonly string[] = BACKENDS.map(({ arch }) => arch);
const KINDS: readonly LinkKind[] = ["fentry", "fexit", "fsession"];

/** Plans attaches to functions of a kernel, and compares ways to carry them out. */
export const multi: Command = {
  name: "multi",
  operands: ["plan|compare"],
  summary: "print which functions of a kernel share a trampoline, or what three designs for many functions cost",
  options: {
    ...FUNCTION_OPTIONS,
    arch: { value: "ARCH", help: `${ARCHES.join(", ")}; the first unless told` },
    kind: { value: "KIND", help: `when programs run: ${KINDS.join(", ")}; the first unless told` },
    all: { help: "plan: every class and every name, not the first few" },
  },
  examples: [
    "plan --btf vmlinux.btf --functions 'vfs_*'",
    "plan --btf vmlinux.btf --functions 'tcp_*,udp_*;*_sendmsg' --arch arm64 -j",
    "compare --btf vmlinux.btf --functions '*;vfs_*,ksys_*' --kind fexit",
  ],
  run(call) {
    const [action] = call.arguments.operands;
    if (action === "plan") return plan(call);
    if (action === "compare") return compare(call);
    throw new UsageError(`multi takes plan or compare, not ${action}`);
  },
};

/** What both are asked for. */
function asked(call: Call): Parameters<typeof planReport> {
  const { arguments: args } = call;
  const backend = BACKENDS.find(({ arch }) => arch === args.choice("arch", ARCHES, ARCHES[0]!))!;
  const kind = args.choice("kind", KINDS, "fentry");
  const functions = readFunctions(call);
  return [functions, selectFunctions(call, functions), backend, kind];
}

function plan(call: Call): number {
  const { io, style, arguments: args } = call;
  const report = planReport(...asked(call));
  if (args.has("json") || args.has("pretty")) printJson(io, report, args.has("pretty"));
  else io.out(planText(report, args.has("all"), style));
  return report.programs.some(({ refusedFor }) => refusedFor.length > 0) ? EXIT.NEGATIVE : EXIT.OK;
}

function compare(call: Call): number {
  const { io, style, arguments: args } = call;
  if (args.has("all")) throw new UsageError("multi compare takes no --all");
  const report = compareReport(...asked(call), () => io.now());
  if (args.has("json") || args.has("pretty")) printJson(io, report, args.has("pretty"));
  else io.out(compareText(report, style));
  return EXIT.OK;
}
