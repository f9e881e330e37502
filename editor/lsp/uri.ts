/** Between the URIs of the protocol and the paths that the compiler uses; library files have a scheme of their own. */
import { fileURLToPath, pathToFileURL } from 'node:url';

const LIBRARY = 'fulcrum-std:/';

export function pathOfUri(uri: string): string | undefined {
  if (uri.startsWith(LIBRARY)) return uri.slice(LIBRARY.length).replace(/\.plan$/, '');
  return uri.startsWith('file:') ? fileURLToPath(uri) : undefined;
}

/** `libraryFile`: where the source of a library file lies on this machine. */
export function uriOfPath(path: string, libraryFile: (module: string) => string | undefined): string {
  if (!path.startsWith('std/')) return pathToFileURL(path).href;
  const file = libraryFile(path);
  return file === undefined ? `${LIBRARY}${path}.plan` : pathToFileURL(file).href;
}
