/** What every command prints with `--json`: one object with the command's name, and a version of its own fields. */

/**
 * Of documents that are not as in their first version. Fields are added within a version; one that goes or changes its
 * meaning makes a new version.
 */
const VERSIONS: ReadonlyMap<string, number> = new Map([
  // Its strategy `static` is `fused`, as `explain` has it.
  ['tune', 2],
]);

/** The text of a document. */
export function jsonDocument(command: string, fields: object): string {
  return JSON.stringify({ command, version: VERSIONS.get(command) ?? 1, ...fields }, null, 2);
}
