// Messages about the context that a program begins with.
import type { MessageKind } from "./kind.ts";

export const CONTEXT: readonly MessageKind[] = [
  {
    id: "invalid-context-access",
    class: "context",
    title: "The context has no such field, or it cannot be used this way",
    pattern: /^invalid bpf_context access off=-?\d+ size=-?\d+$/,
    suggestion:
      "Use fields that the type of the program has, with their own size, and write only to those that can be written.",
  },
  {
    id: "context-moved",
    class: "context",
    title: "The pointer to the context was moved before it was used",
    pattern: /^dereference of modified ctx ptr R\d+ off=-?\d+ disallowed$/,
    suggestion:
      "Use the context at constant offsets from the pointer that the program got, and pass that pointer on unchanged.",
  },
  {
    id: "context-variable",
    class: "context",
    title: "The context is used at an offset that is not constant",
    pattern: /^variable ctx access var_off=.+ disallowed$/,
    suggestion: "Name the field by itself in each branch, instead of computing where it is.",
  },
];
