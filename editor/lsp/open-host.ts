/** The compiler's questions answered from what is open in the editor, else from the file system. */
import type { CompilerHost } from '../../compiler/host.js';
import { fileHost } from '../../runtime/file-host.js';
import { isLocal } from './uri.js';

/** Why a document that is no file here has no other files. */
export const NO_FOLDER = 'the plan lies in no folder of this machine';

/** Files as they are open, else as they are on disk. */
export function hostOver(openTexts: ReadonlyMap<string, string>): CompilerHost {
  const disk = fileHost();
  return {
    readText: (path) => openTexts.get(path) ?? (isLocal(path) ? disk.readText(path) : undefined),
    resolve: (from, specifier) => (isLocal(from) ? disk.resolve(from, specifier) : specifier),
    readModelConfig: (from, source) =>
      isLocal(from) || isLocal(source) || source.startsWith('hf:')
        ? disk.readModelConfig(from, source)
        : { kind: 'missing', path: source, why: NO_FOLDER },
  };
}
