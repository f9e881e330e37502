/** What every command prints with `--json`: one object with the command's name, and a version of its own fields. */

/** Fields are added within a version; one that goes or changes its meaning makes a new version. */
export const DOCUMENT_VERSION = 1;

/** The text of a document. */
export function jsonDocument(command: string, fields: object): string {
  return JSON.stringify({ command, version: DOCUMENT_VERSION, ...fields }, null, 2);
}
