// The types of a program's functions out of an object, as a loader hands them to a kernel.

const [PTR, FUNC] = [2 << 24, 12 << 24];

/** `btf` and `func_info` of a case for the harness; nothing where the object has none. */
export function typesOf(bytes, { btf, sections }, { funcs, subprogs }) {
  if (btf === undefined || funcs === undefined) return undefined;
  const { offset, size } = sections.find(({ name }) => name === ".BTF");
  const section = bytes.subarray(offset, offset + size);
  const view = new DataView(section.buffer, section.byteOffset, size);
  const [header, typesOffset, typesSize, stringsOffset, stringsSize] = [4, 8, 12, 16, 20].map((at) =>
    view.getUint32(at, true),
  );
  const end = header + typesOffset + typesSize;
  const wanted = reachable(btf, [...funcs.type]);
  const rows = [];
  for (let id = 1; id < btf.count; id++) {
    const from = btf.offset(id) - offset;
    const row = section.slice(from, id + 1 < btf.count ? btf.offset(id + 1) - offset : end);
    // What functions do not need would fill the log in which the kernel names a type that it does not take.
    rows.push(wanted.has(id) ? row : new Uint8Array(Uint32Array.of(0, PTR, 0).buffer));
  }
  for (const [i, func] of funcs.type.entries()) {
    const subprog = subprogs.find(({ start }) => start === funcs.insn[i]);
    // What the linker alone may see counts as static.
    const isStatic = subprog.start > 0 && subprog.signature === undefined;
    if (isStatic) new Uint32Array(rows[func - 1].buffer)[1] = FUNC;
  }
  const types = Buffer.concat(rows);
  const strings = section.subarray(header + stringsOffset, header + stringsOffset + stringsSize);
  const head = Buffer.from(Uint32Array.of(0x1eb9f, 24, 0, types.length, types.length, strings.length).buffer);
  const info = Uint32Array.from([...funcs.insn].flatMap((insn, i) => [insn, funcs.type[i]]));
  return {
    btf: Buffer.concat([head, types, strings]).toString("hex"),
    func_info: Buffer.from(info.buffer).toString("hex"),
  };
}

/** All types that these refer to, and the tags of functions among them. */
function reachable(btf, ids) {
  const found = new Set(ids);
  for (let id = 1; id < btf.count; id++) if (btf.kind(id) === "decl_tag" && found.has(btf.target(id))) found.add(id);
  for (const id of found) {
    const type = btf.type(id);
    const entries = type.members ?? type.params ?? [];
    const next = [type.type, type.element, type.index, type.returns, ...entries.map((entry) => entry.type)];
    for (const other of next) if (other !== undefined) found.add(other);
  }
  return found;
}
