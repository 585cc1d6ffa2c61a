// The public surface of @bpfkit/object.
export {
  type Btf,
  type BtfKind,
  type BtfLinkage,
  type BtfMember,
  type BtfType,
  loadBtf,
} from "./btf.ts";
export type { ObjectRelocation } from "./code.ts";
export type { ElfSection, ElfSymbol } from "./elf.ts";
export { formatDeclaration, formatType } from "./format-type.ts";
export { type FunctionModels, functionModels, type RefusalCause, type RefusedFunction } from "./function-models.ts";
export { attachTarget, kernelTypes } from "./kernel-types.ts";
export type { FuncInfo } from "./link.ts";
export { type LoadOptions, loadObject, type ObjectFile, type ObjectProgram, tryLoadObject } from "./load.ts";
export type { ObjectMap } from "./maps.ts";
export type { ProgramSlot } from "./slots.ts";
export { type ProgramKind, SECTION_NAMES, type SectionMeaning, sectionMeaning } from "./program-types.ts";
