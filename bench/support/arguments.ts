/** What benchmarks are asked for on the command line. Text in place of it says what is wrong. */

/** What a benchmark is asked for. Where that cannot be, says why and ends the process. */
export function asked<Wanted>(bench: string, wanted: Wanted | string): Wanted {
  if (typeof wanted !== 'string') return wanted;
  console.error(`${wanted}\n\nnpm run bench:${bench} -- --help says what there is.`);
  process.exit(2);
}

/** A whole number above 0. @param what it is the number of, as the help has it */
export function countAsked(what: string, text: string): number | string {
  const count = Number(text);
  return Number.isSafeInteger(count) && count > 0
    ? count
    : `${what} wants a whole number above 0, not \`${text}\``;
}

/** Arguments that are told apart by their places. */
export function inPlaces(args: readonly string[], places: number): readonly string[] | string {
  const surplus = args[places];
  return surplus === undefined ? args : `nothing is asked for by \`${surplus}\``;
}

/** Those that are named, in their own order; all without names. */
export function pickNamed<Name extends string>(
  kind: string,
  all: readonly Name[],
  names: readonly string[],
): readonly Name[] | string {
  const unknown = names.find((name) => !all.some((each) => each === name));
  if (unknown !== undefined) return `no ${kind} is called \`${unknown}\`: there are ${all.join(', ')}`;
  return all.filter((each) => names.length === 0 || names.includes(each));
}
