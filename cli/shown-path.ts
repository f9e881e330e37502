/** Paths as texts show them. */
import { relative } from 'node:path';

/** Relative to the working directory where that is shorter. */
export function shownPath(path: string): string {
  if (path.startsWith('std/')) return path;
  const fromHere = relative(process.cwd(), path);
  return fromHere !== '' && fromHere.length < path.length ? fromHere : path;
}
