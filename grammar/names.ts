/** What can be a name in plan files. */
export const WORD_PATTERN = /[A-Za-z_][A-Za-z0-9_]*/;

const NAME = new RegExp(`^${WORD_PATTERN.source}$`);

/** Whether a text can be a name, as far as its letters go: a keyword may be one where the grammar lets it. */
export function isName(text: string): boolean {
  return NAME.test(text);
}
