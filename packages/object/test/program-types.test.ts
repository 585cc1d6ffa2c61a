import { expect, test } from "vitest";
import { SECTION_NAMES, sectionMeaning } from "../src/program-types.ts";
import { load } from "./objects.ts";

test.each([
  ["xdp", { type: "xdp", attachType: "xdp", autoload: true }],
  ["?xdp.frags/devmap", { type: "xdp", attachType: "xdp_devmap", frags: true, autoload: false }],
  ["syscall", { type: "syscall", sleepable: true, autoload: true }],
  ["tc", { type: "sched_cls", autoload: true }],
  ["tcx/ingress", { type: "sched_cls", attachType: "tcx_ingress", autoload: true }],
  ["kprobe/do_unlinkat", { type: "kprobe", autoload: true, target: "do_unlinkat" }],
  ["kprobe", { type: "kprobe", autoload: true }],
  ["tp/syscalls/sys_enter_openat", { type: "tracepoint", autoload: true, target: "syscalls/sys_enter_openat" }],
  [
    "fentry.s/do_exit",
    { type: "tracing", attachType: "trace_fentry", sleepable: true, autoload: true, target: "do_exit" },
  ],
  ["freplace/", { type: "ext", autoload: true, target: "" }],
  ["cgroup/connect4", { type: "cgroup_sock_addr", attachType: "cgroup_inet4_connect", autoload: true }],
  ["iter/task", { type: "tracing", attachType: "trace_iter", autoload: true, target: "task" }],
  ["xdp/eth0", { type: "unspec", autoload: true }],
  ["constructor", { type: "unspec", autoload: true }],
  ["toString/x", { type: "unspec", autoload: true }],
])("section %s", (section, meaning) => {
  expect(sectionMeaning(section)).toEqual(meaning);
});

test("what a row says follows from its name where the name says it", () => {
  for (const [name, { sleepable = false, frags = false }] of Object.entries(SECTION_NAMES)) {
    expect([name, sleepable]).toEqual([name, /\.s\+?$/.test(name) || name === "syscall"]);
    expect([name, frags]).toEqual([name, name.includes(".frags")]);
  }
});

test("programs carry what their section says", () => {
  const rows = load("sections").programs.map(({ name, type, attachType, target, autoload, sleepable, frags }) => [
    name,
    type,
    attachType,
    target,
    autoload,
    sleepable,
    frags,
  ]);
  expect(rows).toEqual([
    ["first", "xdp", "xdp", undefined, true, false, false],
    ["second", "xdp", "xdp", undefined, true, false, false],
    ["third", "xdp", "xdp", undefined, true, false, false],
    ["later", "xdp", "xdp_devmap", undefined, false, false, true],
    ["call", "syscall", undefined, undefined, true, true, false],
    ["enter", "tracing", "trace_fentry", "do_unlinkat", true, true, false],
    ["point", "tracepoint", undefined, "syscalls/sys_enter_openat", true, false, false],
    ["stranger", "unspec", undefined, undefined, true, false, false],
  ]);
});
