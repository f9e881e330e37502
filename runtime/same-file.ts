/** Whether two paths lead to one file, which must not be read and written over at once. */
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export function isSameFile(a: string, b: string): boolean {
  return realPath(a) === realPath(b) || isSameInode(a, b);
}

/** A hard link, or another spelling where the file system does not tell upper case from lower. */
function isSameInode(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  if (!first?.isFile() || !second) return false;
  return first.dev === second.dev && first.ino === second.ino;
}

/** Of a file that is not there yet, that of its folder decides. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const absolute = resolve(path);
    const folder = dirname(absolute);
    return folder === absolute ? absolute : join(realPath(folder), basename(absolute));
  }
}
