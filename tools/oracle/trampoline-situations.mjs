// Programs linked to functions of real kernels: the same for a real kernel and for bpfkit.
import {
  DECIDED,
  KERNEL_FUNCTIONS,
  MODIFIED,
  MODIFY,
  SUBPROGS,
  TEST_FUNCTIONS,
  TESTS,
} from "./trampoline-functions.mjs";

/** What a link's program looks at before it writes anything down, where versions differ. */
const guarded = (guard, version) => guard?.[version] ?? (guard?.word === undefined ? undefined : guard);

const link = (on, kind, rest = {}) => ({ on, kind, ...rest });
const COOKIE = 0x1122334455667788n;

const all = (on, kinds, rest = {}) => kinds.split("+").map((kind) => link(on, kind, rest));

/** By name: the links in the order in which they are attached, by version, and the `trigger` that makes their functions run. */
export const SITUATIONS = [
  ...Object.keys(TEST_FUNCTIONS).flatMap((on) =>
    ["fentry", "fexit", "fsession"].map((kind) => [`${on}, ${kind}`, TESTS, [link(on, kind)]]),
  ),
  ...["fentry+fentry+fentry", "fexit+fexit+fexit", "fentry+fexit+fentry+fexit", "fsession+fsession", "fsession+fentry+fexit+fsession", "fexit+fsession+fentry"].map((kinds) => [`bpf_fentry_test3, ${kinds}`, TESTS, all("bpf_fentry_test3", kinds)]),
  ...["fentry", "fexit", "fsession", "fentry+fexit+fsession"].map((kinds) => [`bpf_fentry_test2, ${kinds}, its address`, TESTS, all("bpf_fentry_test2", kinds, { funcIp: true })]),
  ...["fentry", "fexit", "fsession"].map((kind) => [`bpf_fentry_test1, ${kind}, a cookie`, TESTS, [link("bpf_fentry_test1", kind, { cookie: COOKIE })]]),
  ["bpf_fentry_test4, cookies, each its own", TESTS, ["fentry", "fexit", "fentry", "fsession", "fexit"].map((kind, i) => link("bpf_fentry_test4", kind, { cookie: BigInt(i + 1) << 60n }))],
  ["one asks for the address", TESTS, [link("bpf_fentry_test5", "fentry"), link("bpf_fentry_test5", "fexit", { funcIp: true }), link("bpf_fentry_test5", "fsession")]],
  ["all six functions", TESTS, Object.keys(TEST_FUNCTIONS).map((on) => link(on, "fexit"))],
  ["its result decides: fmod_ret on bpf_fentry_test1", TESTS, [link("bpf_fentry_test1", "fmod_ret", { returns: 5 }), link("bpf_fentry_test2", "fentry")]],
  ["fmod_ret on bpf_fentry_test2", TESTS, [link("bpf_fentry_test2", "fmod_ret")]],
  ["fmod_ret on bpf_fentry_test1 lets it run", TESTS, [link("bpf_fentry_test1", "fmod_ret"), link("bpf_fentry_test2", "fentry")]],
  ...Object.keys(MODIFIED).flatMap((on) => [
    ...[0, 1234, -1].map((returns) => [`${on}, fmod_ret ${returns}`, MODIFY, [link(on, "fmod_ret", { returns })]]),
    ...["fentry", "fexit", "fsession"].map((kind) => [`${on}, ${kind}`, MODIFY, [link(on, kind)]]),
    ...[0, 3].map((returns) => [`${on}, fentry+fmod_ret ${returns}+fexit`, MODIFY, [link(on, "fentry"), link(on, "fmod_ret", { returns }), link(on, "fexit")]]),
    ...[[0, 0], [0, 7], [7, 0], [8, 9]].map(([first, second]) => [`${on}, fmod_ret ${first}+fmod_ret ${second}`, MODIFY, [link(on, "fmod_ret", { returns: first }), link(on, "fmod_ret", { returns: second })]]),
    ...[0, -5].map((returns) => [`${on}, fmod_ret ${returns}+fsession`, MODIFY, [link(on, "fmod_ret", { returns }), link(on, "fsession")]]),
    [`${on}, three times fmod_ret, and fexit, cookies`, MODIFY, [0, 11, 0].map((returns, i) => link(on, "fmod_ret", { returns, cookie: BigInt(i + 1) })).concat(link(on, "fexit", { cookie: 99n }))],
  ]),
  ...KERNEL_FUNCTIONS.flatMap(({ name: on, trigger, guard }) =>
    ["fentry", "fexit", "fsession", "fentry+fexit"].map((kinds) => [`${on}, ${kinds}`, trigger, all(on, kinds, { guard })]),
  ),
  ...DECIDED.flatMap(({ name: on, trigger, guard }) =>
    [["fmod_ret", 0], ["fmod_ret", -1], ["fexit+fmod_ret+fentry", -13], ["fmod_ret+fmod_ret", -2], ["fsession+fmod_ret", -5]].map(([kinds, returns]) => [`${on}, ${kinds} ${returns}`, trigger, all(on, kinds, { guard, returns })]),
  ),
  ...SUBPROGS.flatMap(({ name: on, trigger }) => [
    ...["fentry", "fexit", "fsession", "fexit+fentry+fexit", "fmod_ret"].map((kinds) => [`${on} of ${trigger.target}, ${kinds}`, trigger, all(on, kinds)]),
    [`${on} of ${trigger.target}, fentry+fexit, address and cookie`, trigger, all(on, "fentry+fexit", { funcIp: true, cookie: COOKIE })],
  ]),
].map(([name, trigger, links]) => ({ name, trigger, links: (version) => links.map(({ guard, ...each }, id) => ({ id, ...each, guard: guarded(guard, version) })) })); // biome-ignore format: a table
