// Members of a result that are made when somebody asks for them.

/**
 * Adds members that are made once, at the first look. Unless told, they are not listed among the object's own: printing or copying it makes
 * none of them.
 */
export function withLazy<T extends object, L extends object>(
  target: T,
  makers: { readonly [K in keyof L]: () => L[K] },
  enumerable = false,
): T & L {
  for (const name of Object.keys(makers) as (keyof L & string)[]) {
    let made: { readonly value: L[typeof name] } | undefined;
    Object.defineProperty(target, name, {
      enumerable,
      get: () => {
        made ??= { value: makers[name]() };
        return made.value;
      },
    });
  }
  return target as T & L;
}
