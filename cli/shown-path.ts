import { relative } from 'node:path';

/** How a path is shown: relative to the working directory where that is shorter. */
export function shownPath(path: string): string {
  if (path.startsWith('std/')) return path;
  const fromHere = relative(process.cwd(), path);
  return fromHere !== '' && fromHere.length < path.length ? fromHere : path;
}
