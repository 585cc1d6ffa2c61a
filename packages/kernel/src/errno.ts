// Error numbers as Linux numbers them (asm-generic/errno), and how a helper returns one.

/** The error numbers that maps and helpers give. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  E2BIG: 7,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EEXIST: 17,
  EINVAL: 22,
  ERANGE: 34,
  EOPNOTSUPP: 95,
  ENOTSUPP: 524,
} as const;

/** The name of an error number, as `strerrorname_np` has it. */
export type ErrnoName = keyof typeof ERRNO;

/** What r0 holds when a helper fails: the negated number, 64 bits wide. */
export function failure(name: ErrnoName): bigint {
  return BigInt.asUintN(64, BigInt(-ERRNO[name]));
}
