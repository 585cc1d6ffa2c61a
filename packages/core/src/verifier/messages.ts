// The catalogue of messages: what the last line of a log is about, and what usually helps. A page of docs/verifier-messages belongs to each kind.
import { CALLS } from "./messages/calls.ts";
import { CONTEXT } from "./messages/context.ts";
import type { MessageKind } from "./messages/kind.ts";
import { MEMORY } from "./messages/memory.ts";
import { OBJECTS } from "./messages/objects.ts";
import { PATHS } from "./messages/paths.ts";
import { POINTERS } from "./messages/pointers.ts";
import { REFERENCES } from "./messages/references.ts";
import { STACK } from "./messages/stack.ts";
import { STRUCTURE } from "./messages/structure.ts";

/** Every kind of message, in the words of Linux 7.2 and 6.12. */
export const MESSAGE_KINDS: readonly MessageKind[] = [
  ...STRUCTURE,
  ...MEMORY,
  ...STACK,
  ...CONTEXT,
  ...POINTERS,
  ...CALLS,
  ...OBJECTS,
  ...REFERENCES,
  ...PATHS,
];

/**
 * The kind of a message.
 *
 * @param reason - The last line of a log before its statistics. More lines may stand above it: the one above the last tells some kinds apart
 * that have the last line in common.
 * @returns undefined for words that are not in the catalogue
 */
export function messageKind(reason: string): MessageKind | undefined {
  const lines = reason.trimEnd().split("\n");
  const two = lines.slice(-2).join("\n");
  const find = (text: string) => MESSAGE_KINDS.find(({ pattern }) => pattern.test(text));
  return (lines.length > 1 ? find(two) : undefined) ?? find(lines.at(-1)!);
}
