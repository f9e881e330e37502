/** Files that a file depends on. */
import { dirname, resolve } from 'node:path';
import type { WorkloadDecl } from '../../grammar/syntax.js';
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

/** The same with the files that workloads of all these, and of the file itself, take their requests from. */
export function dependenciesOf(workspace: Workspace, path: string): ReadonlySet<string> {
  const imports = importsOf(workspace, path);
  const lengths = [path, ...imports].flatMap((file) =>
    (workspace.document(file)?.tree.file.items ?? []).flatMap((item) =>
      item.kind === 'workload' ? lengthsOf(item).map((name) => resolve(dirname(file), name)) : [],
    ),
  );
  return new Set([...imports, ...lengths]);
}

function lengthsOf({ members }: WorkloadDecl): readonly string[] {
  return members.flatMap((member) =>
    member.kind === 'property' && member.name.text === 'requests' && member.value.kind === 'string'
      ? [member.value.value]
      : [],
  );
}
