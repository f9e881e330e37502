/** Files that commands write for people. */
import { accessSync, closeSync, constants, openSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RuntimeFailure } from '../runtime/failure.js';
import { placeToTake, replaceFile } from '../runtime/replaced-file.js';
import { systemReason } from '../runtime/system-reason.js';

/** Replaces the file; returns FC0940 where that cannot be done. */
export function writeText(path: string, text: string): RuntimeFailure | undefined {
  try {
    writeFileSync(path, text);
    return undefined;
  } catch (cause) {
    return unwritten(path, cause);
  }
}

/** The same, but the file takes the place of what was there once it is whole. */
export function writeWhole(path: string, text: string): RuntimeFailure | undefined {
  try {
    const place = placeToTake(path);
    if (place === undefined) writeFileSync(path, text);
    else replaceFile(place, text);
    return undefined;
  } catch (cause) {
    return unwritten(path, cause);
  }
}

/**
 * Why a file could not be written, as `writeText` says it, asked before the work that makes its text; the file stays as
 * it is, or absent. What goes wrong later is not foreseen.
 *
 * @param path nothing is wrong where no file is to be written
 */
export function whyUnwritable(path: string | undefined): RuntimeFailure | undefined {
  if (path === undefined) return undefined;
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      // Behind a file there is nothing, which the system says of a path through it.
      statSync(`${dirname(resolve(path))}/.`);
      accessSync(dirname(resolve(path)), constants.W_OK | constants.X_OK);
    } else if (found.isFile() || found.isDirectory()) closeSync(openSync(path, 'r+'));
    // To open a pipe would wait for its reader, or wake it.
    else accessSync(path, constants.W_OK);
    return undefined;
  } catch (cause) {
    return unwritten(path, cause);
  }
}

/** Throws what `whyUnwritable` finds, if anything. */
export function refuseUnwritable(path: string | undefined): void {
  const why = whyUnwritable(path);
  if (why !== undefined) throw why;
}

function unwritten(path: string, cause: unknown): RuntimeFailure {
  return new RuntimeFailure('FC0940', `cannot write ${path}: ${systemReason(cause)}`, {
    subject: path,
    cause,
  });
}
