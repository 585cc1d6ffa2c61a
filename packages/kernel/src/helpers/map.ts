// Helpers on maps: lookup, update, delete, and callbacks for each element.
import { Access, type Allocation, Fault, type GuestCall, type HostCall } from "@bpfkit/core";
import { failure } from "../errno.ts";
import { checkRange } from "../guest.ts";
import type { LiveMap } from "../maps/map.ts";
import { ProgArrayMap } from "../maps/prog-array.ts";
import { type Helper, type HelperRow, type HelperSite, mapIn, u32 } from "./helper.ts";

/** A map with values; @throws {Fault} for one of programs, which a verifier would have refused (EINVAL) */
function elementsIn(site: HelperSite, address: bigint): LiveMap {
  const map = mapIn(site, address);
  if (map instanceof ProgArrayMap) {
    throw new Fault("call", `prog_array map '${map.name}' is for tail calls only (EINVAL)`, address);
  }
  return map;
}

const lookup: Helper = (site, { args: [mapAddress, key], cpu }) => {
  const map = elementsIn(site, mapAddress);
  return map.find(site.memory.bytes, checkRange(site.memory, key, map.spec.keySize, "load"), cpu);
};

const lookupPercpu: Helper = (site, { args: [mapAddress, key, cpu] }) => {
  const map = elementsIn(site, mapAddress);
  const at = checkRange(site.memory, key, map.spec.keySize, "load");
  return map.perCpu && u32(cpu) < site.cpus ? map.find(site.memory.bytes, at, u32(cpu)) : 0n;
};

/** The map that a helper is to change; @throws {Fault} where programs may only read it, which a verifier would have refused */
function changeableIn(site: HelperSite, address: bigint): LiveMap {
  const map = elementsIn(site, address);
  if ((map.access & Access.WRITE) === 0) {
    throw new Fault("store", `map '${map.name}' allows programs only reading`, address);
  }
  return map;
}

const update: Helper = (site, { args: [mapAddress, key, value, flags], cpu }) => {
  const { memory } = site;
  const map = changeableIn(site, mapAddress);
  const keyAt = checkRange(memory, key, map.spec.keySize, "load");
  const valueAt = checkRange(memory, value, map.spec.valueSize, "load");
  const error = map.put(memory.bytes, keyAt, memory.bytes, valueAt, flags, cpu);
  return error === undefined ? 0n : failure(error);
};

const remove: Helper = (site, { args: [mapAddress, key] }) => {
  const map = changeableIn(site, mapAddress);
  const error = map.remove(site.memory.bytes, checkRange(site.memory, key, map.spec.keySize, "load"));
  return error === undefined ? 0n : failure(error);
};

/** Calls back with map, key, value and context until the callback gives something other than 0; counts the calls. */
function* forEach(
  site: HelperSite,
  { args: [mapAddress, callback, context, flags], cpu }: HostCall,
): Generator<GuestCall, bigint, bigint> {
  const { memory } = site;
  const map = elementsIn(site, mapAddress);
  if (flags !== 0n) return failure("EINVAL");
  let calls = 0n;
  let keyRoom: Allocation | undefined;
  try {
    for (const { key, address } of map.visit(cpu)) {
      keyRoom ??= memory.allocate("data", map.spec.keySize, `key of map '${map.name}' in a callback`, Access.READ);
      memory.write(keyRoom.address, key);
      calls++;
      const result = yield { address: callback, args: [mapAddress, keyRoom.address, address, context] };
      if (result !== 0n) break;
    }
  } finally {
    if (keyRoom !== undefined) memory.free(keyRoom);
  }
  return calls;
}

export const MAP_HELPERS: { readonly [name: string]: HelperRow } = {
  map_lookup_elem: { run: lookup },
  map_update_elem: { run: update },
  map_delete_elem: { run: remove },
  map_lookup_percpu_elem: { run: lookupPercpu },
  for_each_map_elem: { run: forEach },
};
