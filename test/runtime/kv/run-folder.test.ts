/** A run's folder is its own, and what dead runs left goes, and nothing else. */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRunFolder } from '../../../runtime/kv/run-folder.js';
import { encodeHeader } from '../../../runtime/kv/segment.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fulcrum-run-folder-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const HEADER = encodeHeader({
  identity: { model: 'm', layers: 1, kvHeads: 1, pageTokens: 1, headDim: 1, dtype: 'f32' },
  run: '0123456789abcdef',
  segment: 0,
  pageBytes: 8,
});

/** The folder of a run that did not end well, with a lock that names `owner`. */
async function leftover(
  name: string,
  owner: unknown,
  files: Readonly<Record<string, Uint8Array>> = {},
): Promise<void> {
  const path = join(directory, `fulcrum-kv-${name}`);
  await mkdir(path);
  if (owner !== undefined) await writeFile(join(path, 'lock.json'), JSON.stringify(owner));
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(path, file), bytes);
}

async function ownLock(): Promise<{ pid: number; machine: string }> {
  const folder = await createRunFolder(directory);
  const lock = JSON.parse(await readFile(join(folder.path, 'lock.json'), 'utf8')) as {
    pid: number;
    machine: string;
  };
  await folder.remove();
  return lock;
}

/** Id of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '0']).pid;

describe('the folder of a run', () => {
  it('cannot be below a file, and not where nothing can be made', async () => {
    await writeFile(join(directory, 'file'), '');
    await expect(createRunFolder(join(directory, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(createRunFolder(join(directory, 'file', 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  });

  // Node's own way of making the folders above as well never comes to an end there.
  it.runIf(process.platform === 'linux')('cannot be in a folder that denies being there', async () => {
    await expect(createRunFolder('/proc/nowhere/kv')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is new for every run, names its process, and goes with it', async () => {
    const a = await createRunFolder(join(directory, 'made', 'too'));
    const b = await createRunFolder(join(directory, 'made', 'too'));
    expect(a.path).not.toBe(b.path);
    expect(JSON.parse(await readFile(join(a.path, 'lock.json'), 'utf8'))).toMatchObject({ pid: process.pid });
    await writeFile(a.segment(0), HEADER);
    await writeFile(a.segment(1), '');
    await a.remove();
    await b.remove();
    expect(await readdir(join(directory, 'made', 'too'))).toEqual([]);
  });

  it('stays when somebody put something there', async () => {
    const folder = await createRunFolder(directory);
    await writeFile(folder.segment(0), HEADER);
    await writeFile(join(folder.path, 'notes.txt'), 'mine');
    await folder.remove();
    expect((await readdir(folder.path)).sort()).toEqual(['lock.json', 'notes.txt']);
  });
});

describe('what earlier runs left', () => {
  const SEGMENT = 'segment-000000.kv';

  it('goes when its process is dead', async () => {
    const { machine } = await ownLock();
    await leftover('00000000000000aa', { pid: deadPid(), machine }, { [SEGMENT]: HEADER });
    const folder = await createRunFolder(directory);
    expect(await readdir(directory)).toEqual([folder.path.split('/').at(-1)]);
    await folder.remove();
  });

  it.each<[string, (lock: { pid: number; machine: string }) => unknown]>([
    ['its process lives', (lock) => lock],
    ['it is of another machine', () => ({ pid: deadPid(), machine: 'elsewhere' })],
    ['its lock says nothing', () => null],
    ['its lock is of another kind', () => ({ pid: 'x' })],
    ['it has no lock', () => undefined],
  ])('stays when %s', async (_, owner) => {
    await leftover('00000000000000aa', owner(await ownLock()), { [SEGMENT]: HEADER });
    const folder = await createRunFolder(directory);
    expect(await readdir(directory)).toContain('fulcrum-kv-00000000000000aa');
    expect(await readdir(join(directory, 'fulcrum-kv-00000000000000aa'))).toContain(SEGMENT);
    await folder.remove();
  });

  it('stays as far as it is not ours', async () => {
    const { machine } = await ownLock();
    const owner = { pid: deadPid(), machine };
    await leftover('00000000000000aa', owner, {
      [SEGMENT]: new TextEncoder().encode('not a segment of ours'),
    });
    await writeFile(join(directory, SEGMENT), HEADER);
    await mkdir(join(directory, 'fulcrum-kv-other'));
    const folder = await createRunFolder(directory);
    expect(await readdir(directory)).toEqual(
      expect.arrayContaining(['fulcrum-kv-00000000000000aa', SEGMENT, 'fulcrum-kv-other']),
    );
    expect(await readdir(join(directory, 'fulcrum-kv-00000000000000aa'))).toContain(SEGMENT);
    await folder.remove();
  });
});
