/** The plan files of a workspace's folders: which are found, and for how long that is believed. */
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPlanFiles, type PlanFiles } from '../../../editor/lsp/plan-files.js';
import { createWorkspace } from '../../../editor/lsp/workspace.js';

let folder = '';
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'fulcrum-files-')));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text = ''): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}
/** Names of the files once they are asked for. */
async function found(files: PlanFiles): Promise<readonly string[]> {
  await files.refresh();
  return files.known().map((path) => relative(folder, path));
}

describe('plan files of a folder', () => {
  it('are all but those that are made or fetched', async () => {
    for (const name of ['b.plan', 'a/a.plan', 'a/deep/er/c.plan', 'a/text.txt']) write(name);
    for (const skipped of ['node_modules', 'target', 'build', 'dist', '.git', '.cache'])
      write(`a/${skipped}/x.plan`);
    mkdirSync(join(folder, 'folder.plan'));
    symlinkSync('loop', join(folder, 'loop'));
    expect(await found(createPlanFiles([folder, folder, join(folder, 'none')]))).toEqual([
      'a/a.plan',
      'a/deep/er/c.plan',
      'b.plan',
    ]);
  });

  it('are looked for in the folders near the top where there are too many', async () => {
    for (const name of ['a/1/2/3/far.plan', 'b/near.plan', 'c/near.plan']) write(name);
    expect(await found(createPlanFiles([folder], { mostFolders: 4 }))).toEqual([
      'b/near.plan',
      'c/near.plan',
    ]);
  });

  it('are those of the last look until one hears of another, or for a while', async () => {
    write('a.plan');
    const files = createPlanFiles([folder], { goodFor: 60_000 });
    expect(await found(files)).toEqual(['a.plan']);
    renameSync(join(folder, 'a.plan'), join(folder, 'b.plan'));
    expect(await found(files)).toEqual(['a.plan']);
    files.forget();
    expect(await found(files)).toEqual(['b.plan']);
    const forgetful = createPlanFiles([folder], { goodFor: 0 });
    expect(await found(forgetful)).toEqual(['b.plan']);
    write('c.plan');
    expect(await found(forgetful)).toEqual(['b.plan', 'c.plan']);
  });

  it('are looked for again when one hears of another during a look', async () => {
    write('a.plan');
    const files = createPlanFiles([folder], { goodFor: 60_000 });
    const first = files.refresh();
    write('b.plan');
    files.forget();
    expect(await found(files)).toEqual(['a.plan', 'b.plan']);
    await first;
    expect(await found(files)).toEqual(['a.plan', 'b.plan']);
  });
});

describe('all paths of a workspace', () => {
  it('have what open files import, and none that is gone', async () => {
    write('project/a.plan', 'import { c } from "../lib/c.plan"');
    write(
      'lib/c.plan',
      'import { d } from "./d.plan"\nimport { l4 } from "std/aws"\nimport { x } from "./no.plan"',
    );
    write('lib/d.plan');
    write('project/e.plan');
    const workspace = createWorkspace([join(folder, 'project')]);
    const names = (): string[] => workspace.allPaths().map((path) => relative(folder, path));
    workspace.put(join(folder, 'project/a.plan'), 'import { c } from "../lib/c.plan"');
    symlinkSync('circle.plan', join(folder, 'project/circle.plan'));
    expect(workspace.document(join(folder, 'project/circle.plan'))).toBeUndefined();
    await workspace.survey();
    expect(names()).toEqual(['project/a.plan', 'lib/c.plan', 'lib/d.plan', 'project/e.plan']);
    rmSync(join(folder, 'project/e.plan'));
    expect(names()).toEqual(['project/a.plan', 'lib/c.plan', 'lib/d.plan']);
  });
});
