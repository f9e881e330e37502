/**
 * Between the URIs of the protocol and the paths that the compiler uses; library files have a scheme of their own. A
 * document that is no file of this machine goes by its URI: one that was never saved, or lies on another machine.
 */
import { isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const LIBRARY = 'fulcrum-std:/';

/** The path of a document; undefined where its scheme is none that plans are edited under. */
export function pathOfUri(uri: string): string | undefined {
  if (uri.startsWith(LIBRARY)) return uri.slice(LIBRARY.length).replace(/\.plan$/, '');
  if (uri.startsWith('untitled:')) return uri;
  if (!uri.startsWith('file:')) return undefined;
  try {
    return fileURLToPath(uri);
  } catch {
    return uri;
  }
}

/** Whether a path leads to a place on this machine, from where other paths can start. */
export function isLocal(path: string): boolean {
  return isAbsolute(path);
}

/** `libraryFile`: where the source of a library file lies on this machine. */
export function uriOfPath(path: string, libraryFile: (module: string) => string | undefined): string {
  if (path.startsWith('std/')) {
    const file = libraryFile(path);
    return file === undefined ? `${LIBRARY}${path}.plan` : pathToFileURL(file).href;
  }
  return isLocal(path) ? pathToFileURL(path).href : path;
}
