// `oracle-verdicts --types`: the part of a kernel's types that the verifier's cases need, from its BTF. Structures are those that this
// verifier asks for when it verifies the cases; of large ones only the members that are named here are kept.
import { writeFileSync } from "node:fs";
import { attachTarget, kernelTypes, loadBtf } from "@bpfkit/object";
import { answerHere } from "../../packages/core/test/verifier/agreement.mjs";
import { memberText, targetKey } from "../../packages/core/test/verifier/kernel-types.mjs";
import { askKernel } from "./kernel.mjs";

/** Members of structures that are too large to be kept whole. */
const KEPT = {
  task_struct:
    "__state stack usage flags pid tgid stack_canary real_parent parent children group_leader mm active_mm comm cred cgroups cpus_ptr last_wakee start_time fs files nsproxy in_execve signal",
  net_device: "ifindex name flags mtu netdev_ops dev_addr stats type",
  mm_struct: "",
  sock: "__sk_common sk_rcvbuf sk_sndbuf sk_socket sk_mark sk_type sk_protocol sk_wmem_queued",
  tcp_sock: "inet_conn snd_cwnd snd_ssthresh srtt_us",
  inet_connection_sock: "icsk_inet icsk_rto",
  inet_sock: "sk pinet6 inet_saddr",
  inode: "i_mode i_uid i_flags i_op i_sb i_ino i_size i_rdev",
  super_block: "s_dev s_magic s_flags",
  vm_area_struct: "vm_start vm_end vm_mm vm_file vm_flags",
  cgroup: "self flags level kn subsys",
  signal_struct: "",
};

/** Asks a kernel for its types, and writes what `cases` need of them into a file. */
export function writeTypes(verify, cases, kernel, file) {
  const { results } = askKernel("x86_64", [{ name: "types", readfile: "/sys/kernel/btf/vmlinux" }], kernel);
  const btf = loadBtf(new Uint8Array(Buffer.from(results[0].file, "hex")));
  const all = kernelTypes(btf);
  const asked = new Map();
  const types = {
    struct(key) {
      const found = all.struct(key);
      if (found !== undefined) asked.set(key, found);
      return found;
    },
  };
  const targets = {};
  for (const entry of cases) {
    const target = entry.target === undefined ? undefined : targetOf(btf, entry);
    if (target !== undefined) targets[targetKey(entry)] = { id: idOf(btf, entry), ...memberOf(btf, entry), ...target };
    answerHere(verify, entry, kernel, { typed: { types, ...(target === undefined ? {} : { target }) } });
  }
  const structs = Object.fromEntries(
    [...asked].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, struct]) => [key, excerptOf(struct)]),
  );
  const lines = (rows) =>
    Object.entries(rows).map(([key, row]) => `    ${JSON.stringify(key)}: ${JSON.stringify(row)}`);
  const text = `{\n  "targets": {\n${lines(targets).join(",\n")}\n  },\n  "structs": {\n${lines(structs).join(",\n")}\n  }\n}\n`;
  writeFileSync(file, text);
  console.log(
    `Linux ${kernel}: ${Object.keys(targets).length} targets, ${asked.size} structures, ${text.length} bytes`,
  );
}

function targetOf(btf, { type, attach, target }) {
  try {
    return attachTarget(btf, { type, attachType: attach, target });
  } catch (error) {
    console.log(`  ${target}: ${error.message}`);
    return undefined;
  }
}

/** The number that a program is loaded with. */
function idOf(btf, { type, attach, target }) {
  if (type === "struct_ops") return btf.find(target.split(".")[0], "struct");
  if (attach === "trace_raw_tp") return btf.find(`btf_trace_${target}`, "typedef");
  return btf.find(target, "func");
}

/** Of a struct_ops program: the position of its function among the members, which takes the place of an attach type. */
function memberOf(btf, { type, target }) {
  if (type !== "struct_ops") return {};
  const [ops, member] = target.split(".");
  return { member: btf.type(btf.find(ops, "struct")).members.findIndex(({ name }) => name === member) };
}

function excerptOf({ members, ...rest }) {
  const kept = KEPT[rest.name]?.split(" ");
  return {
    ...rest,
    members: members.filter(({ name }) => kept === undefined || name === "" || kept.includes(name)).map(memberText),
  };
}
