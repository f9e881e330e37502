/** Files that a file depends on. */
import type { Workspace } from './workspace.js';

/** Paths of all files that a file imports, directly or through others, whether there are such files or not. */
export function importsOf(workspace: Workspace, path: string): ReadonlySet<string> {
  const found = new Set<string>();
  const waiting = [path];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
    for (const item of workspace.document(next)?.tree.file.items ?? []) {
      if (item.kind !== 'import' || item.from.kind === 'error') continue;
      const target = workspace.resolve(next, item.from.value);
      if (!found.has(target)) waiting.push(target);
      found.add(target);
    }
  return found;
}
