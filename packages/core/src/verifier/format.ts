// Format strings of bpf_snprintf: which ones are allowed, and how many arguments each takes.

/** Flags, width, and then: a character, a string, an integer of some length, or an address in one of its forms. */
const SPECIFIER = /%(?:%|[-+ 0]*\d*(?:[cs]|l{0,2}[diuxX]|p(?:[KxsSB]|[iI][46]|[ku]s|(?=[\s!-/:-@[-`{-~]|$))))/y;
const PRINTABLE = /^[\t-\r -~]*$/;

/** Arguments that a format takes; undefined for a format that is not allowed. */
export function formatArguments(format: string): number | undefined {
  if (!PRINTABLE.test(format)) return undefined;
  let count = 0;
  for (let i = format.indexOf("%"); i >= 0; i = format.indexOf("%", i)) {
    SPECIFIER.lastIndex = i;
    const found = SPECIFIER.exec(format)?.[0];
    if (found === undefined) return undefined;
    if (found !== "%%") count++;
    i += found.length;
  }
  return count;
}
