/** By package: a module whose `result` is a text, and what that has to be. */
export const ENTRIES: Readonly<Record<string, { readonly expected: string; readonly source: string }>>;
/** One script that defines `bpfkit.result`, and what it would load from outside. */
export function bundle(name: string): Promise<{ readonly code: string; readonly outside: readonly string[] }>;
