/** Files that take the place of others as a whole: whoever reads one sees the old content or the new. */
import { randomUUID } from 'node:crypto';
import {
  accessSync,
  constants,
  lstatSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';

/** What a process has open, such as its standard output: it goes on there, whatever it has been led to. */
const OPEN_ALREADY = /^\/(proc\/|dev\/(fd\/|std(in|out|err)$))/;

/** The file whose place another one may take, there or not: at the end of links, if any. Undefined of what is no file. */
export function fileToReplace(path: string): string | undefined {
  const whole = resolve(path);
  if (OPEN_ALREADY.test(whole)) return undefined;
  const there = lstatSync(whole, { throwIfNoEntry: false });
  if (there?.isSymbolicLink()) {
    // Of links that lead in circles this fails.
    statSync(whole, { throwIfNoEntry: false });
    return fileToReplace(resolve(realpathSync(dirname(whole)), readlinkSync(whole)));
  }
  return there === undefined || there.isFile() ? whole : undefined;
}

/** The same, where the folder takes new files: a file in one that does not can still be written to. */
export function placeToTake(path: string): string | undefined {
  const place = fileToReplace(path);
  if (place === undefined) return undefined;
  try {
    accessSync(dirname(place), constants.W_OK);
    return place;
  } catch {
    return undefined;
  }
}

/** A file beside the one whose place it is to take, of a name that nothing has. */
export interface Draft {
  readonly path: string;
  /** Has it take the place. */
  readonly finish: () => void;
  readonly discard: () => void;
}

/** @param place as `fileToReplace` gives it */
export function draftOf(place: string): Draft {
  const path = `${place}.${randomUUID()}.new`;
  return {
    path,
    finish: () => renameSync(path, place),
    discard: () => rmSync(path, { force: true }),
  };
}

/** Writes a file that takes the place of another one. */
export function replaceFile(place: string, text: string): void {
  const draft = draftOf(place);
  try {
    writeFileSync(draft.path, text);
    draft.finish();
  } catch (error) {
    draft.discard();
    throw error;
  }
}
