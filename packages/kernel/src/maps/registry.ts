// Map types by their UAPI numbers: what may be created, and the kernel's checks on creation.
import { BpfError, MAP_FLAGS, type MapSpec, mapType, mapTypeName } from "@bpfkit/core";
import { ArrayMap } from "./array.ts";
import { HashMap } from "./hash.ts";
import type { LiveMap, MapSite } from "./map.ts";
import { ProgArrayMap } from "./prog-array.ts";

/** The largest piece of memory the kernel's allocators give, in bytes: at once, and per CPU; and what a hash element needs besides. */
const KMALLOC_MAX = 4 << 20;
const PER_CPU_MAX = 32 << 10;
const HASH_ELEMENT = 48;
const INT_MAX = 0x7fff_ffff;

interface MapType {
  readonly check: (spec: MapSpec) => void;
  readonly create: (site: MapSite, spec: MapSpec, type: string) => LiveMap;
}

const TYPES: { readonly [name: string]: MapType } = {
  array: {
    check: (spec) => checkArray(spec, INT_MAX),
    create: (site, spec, type) => new ArrayMap(site, spec, type, false),
  },
  percpu_array: {
    check: (spec) => checkArray(spec, PER_CPU_MAX),
    create: (site, spec, type) => new ArrayMap(site, spec, type, true),
  },
  hash: {
    check: (spec) => checkHash(spec, KMALLOC_MAX),
    create: (site, spec, type) => new HashMap(site, spec, type, { lru: false, perCpu: false }),
  },
  percpu_hash: {
    check: (spec) => checkHash(spec, PER_CPU_MAX),
    create: (site, spec, type) => new HashMap(site, spec, type, { lru: false, perCpu: true }),
  },
  lru_hash: {
    check: (spec) => checkHash(spec, KMALLOC_MAX),
    create: (site, spec, type) => new HashMap(site, spec, type, { lru: true, perCpu: false }),
  },
  lru_percpu_hash: {
    check: (spec) => checkHash(spec, PER_CPU_MAX),
    create: (site, spec, type) => new HashMap(site, spec, type, { lru: true, perCpu: true }),
  },
  prog_array: {
    check: checkProgArray,
    create: (site, spec, type) => new ProgArrayMap(site, spec, type),
  },
};

/**
 * Makes a map after the kernel's checks.
 *
 * @throws {BpfError} `unsupported` names a map type that is not built yet; `argument` says what the kernel would take, with its errno;
 * `limit` when guest memory has no room for an array
 */
export function createLiveMap(site: MapSite, spec: MapSpec): LiveMap {
  const name = mapTypeName(spec.type);
  if (name === undefined || name === "unspec") {
    throw new BpfError("argument", `type ${spec.type} of map '${spec.name}' (EINVAL)`, {
      expected: "a map type of the kernel",
    });
  }
  const type = TYPES[name];
  if (type === undefined) {
    throw new BpfError("unsupported", `map '${spec.name}' of type ${name}`, {
      expected: Object.keys(TYPES).join(", "),
    });
  }
  if (name.startsWith("lru_") && spec.flags & MAP_FLAGS.no_prealloc)
    refuse(spec, "an LRU map without preallocation", "ENOTSUPP", "no flag 0x1");
  const { flags } = mapType(spec.type)!;
  const unknown = spec.flags & ~flags;
  if (unknown !== 0)
    refuse(spec, `flags 0x${(unknown >>> 0).toString(16)}`, "EINVAL", `bits of 0x${flags.toString(16)}`);
  for (const both of [MAP_FLAGS.rdonly_prog | MAP_FLAGS.wronly_prog, MAP_FLAGS.rdonly | MAP_FLAGS.wronly]) {
    if ((spec.flags & both) === both) refuse(spec, "flags for reading only and writing only", "EINVAL", "one of them");
  }
  checkSize(spec, "max_entries", spec.maxEntries, 0xffff_ffff);
  type.check(spec);
  if (spec.initial !== undefined && (name !== "array" || spec.initial.length > spec.valueSize)) {
    refuse(
      spec,
      `${spec.initial.length} initial bytes`,
      "EINVAL",
      `at most the value size, ${spec.valueSize}, in an array`,
    );
  }
  return type.create(site, spec, name);
}

function checkArray(spec: MapSpec, valueMax: number): void {
  if (spec.keySize !== 4) refuse(spec, `key size ${spec.keySize}`, "EINVAL", "4, an index");
  checkSize(spec, "value size", spec.valueSize, valueMax);
}

function checkProgArray(spec: MapSpec): void {
  if (spec.keySize !== 4) refuse(spec, `key size ${spec.keySize}`, "EINVAL", "4, an index");
  if (spec.valueSize !== 4) refuse(spec, `value size ${spec.valueSize}`, "EINVAL", "4, a file descriptor");
}

function checkHash(spec: MapSpec, valueMax: number): void {
  checkSize(spec, "key size", spec.keySize, KMALLOC_MAX);
  checkSize(spec, "value size", spec.valueSize, valueMax);
  if (spec.keySize + spec.valueSize >= KMALLOC_MAX - HASH_ELEMENT) {
    refuse(
      spec,
      `key and value of ${spec.keySize + spec.valueSize} bytes`,
      "E2BIG",
      `less than ${KMALLOC_MAX - HASH_ELEMENT}`,
    );
  }
}

function checkSize(spec: MapSpec, what: string, size: number, max: number): void {
  const ok = Number.isInteger(size) && size > 0 && size <= max;
  if (!ok) refuse(spec, `${what} ${size}`, size > max ? "E2BIG" : "EINVAL", `1 to ${max}`);
}

function refuse(spec: MapSpec, what: string, errno: string, expected: string): never {
  throw new BpfError("argument", `${what} of map '${spec.name}' (${errno})`, { expected });
}
