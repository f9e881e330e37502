/** Edits of several documents as the protocol has them. */
import type { TextEdit, WorkspaceEdit } from 'vscode-languageserver/node.js';

export type EditsByUri = Readonly<Record<string, TextEdit[]>>;
export type ToWorkspaceEdit = (edits: EditsByUri) => WorkspaceEdit;

/**
 * Edits of the documents as they are now. Editors that know versions are told the one that each edit is of, so that
 * they refuse it on another.
 *
 * @param versionOf the version of a document; undefined where it is not open
 */
export function workspaceEdit(
  edits: EditsByUri,
  knowsVersions: boolean,
  versionOf: (uri: string) => number | undefined,
): WorkspaceEdit {
  if (!knowsVersions) return { changes: { ...edits } };
  return {
    documentChanges: Object.entries(edits).map(([uri, each]) => ({
      textDocument: { uri, version: versionOf(uri) ?? null },
      edits: each,
    })),
  };
}
