// Licences that the kernel takes for compatible with the GPL.

const GPL: ReadonlySet<string> = new Set([
  "GPL",
  "GPL v2",
  "GPL and additional rights",
  "Dual BSD/GPL",
  "Dual MIT/GPL",
  "Dual MPL/GPL",
]);

/** Whether helpers that are bound to the GPL may be called under a licence. */
export function isGplCompatible(license: string): boolean {
  return GPL.has(license);
}
