/** Words that stand for a truth value wherever a plain path of theirs stands: unlike keywords, they name nothing. */
export const TRUTH_WORDS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
]);
