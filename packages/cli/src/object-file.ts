// Opens the object that a command works on, and finds the program in it.
import { loadObject, type ObjectFile, type ObjectProgram } from "@bpfkit/object";
import { type Call, UsageError } from "./arguments.ts";
import { about, readInput } from "./output.ts";

/** Reads the object named by the first operand. */
export function openObject({ io, arguments: { operands } }: Call): ObjectFile {
  const path = operands[0]!;
  const bytes = readInput(io, path);
  return about(path, () => loadObject(bytes, { name: objectName(path) }));
}

/** The file's name up to its first dot, without its folders. */
export function objectName(path: string): string {
  return path.replace(/^.*[\\/]/, "").replace(/\..*$/, "");
}

/** The program named by the second operand, or the only one there is. @throws {UsageError} */
export function chooseProgram(object: ObjectFile, { arguments: { operands } }: Call): ObjectProgram {
  const [file, wanted] = operands;
  const names = object.programs.map(({ name }) => name).join(", ");
  if (object.programs.length === 0) throw new UsageError(`${file} has no programs`);
  if (wanted === undefined) {
    if (object.programs.length > 1) throw new UsageError(`${file} has several programs; name one of ${names}`);
    return object.programs[0]!;
  }
  const found = object.programs.find(({ name, section }) => name === wanted || section === wanted);
  if (found === undefined) throw new UsageError(`${file} has no program ${wanted}; there are ${names}`);
  return found;
}
