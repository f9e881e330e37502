/**
 * The files that the server knows: the texts that are open in the editor, and on disk whatever those name. A file is a
 * document; opening, editing and closing replace it.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { STD_LIBRARY } from '../../compiler/std/library.generated.js';
import { planDocument, type PlanDocument } from './document.js';
import { importsOf } from './imports.js';
import { createPlanFiles } from './plan-files.js';
import { isLocal } from './uri.js';

const STD = 'std/';

export interface Workspace {
  /** The document of a path: the open one, else the file; undefined when there is none. */
  readonly document: (path: string) => PlanDocument | undefined;
  /** Path of the file that an import names. */
  readonly resolve: (from: string, module: string) => string;
  readonly isOpen: (path: string) => boolean;
  readonly openPaths: () => readonly string[];
  /** Texts of open documents by path. */
  readonly openTexts: () => ReadonlyMap<string, string>;
  readonly put: (path: string, text: string) => void;
  readonly close: (path: string) => void;
  /** All plan files that are known: open ones and what they import, and those of the folders as they were found last. */
  readonly allPaths: () => readonly string[];
  /** Brings those of the folders up to date; asked before what needs all of them. */
  readonly survey: () => Promise<void>;
  /** Files of the folders came or went. */
  readonly filesChanged: () => void;
}

/** A workspace over these folders, with nothing open. */
export function createWorkspace(folders: readonly string[]): Workspace {
  const open = new Map<string, PlanDocument>();
  /** Files read from disk, with the time that they were last changed. */
  const read = new Map<string, { readonly changed: number; readonly document: PlanDocument }>();

  const fromDisk = (path: string): PlanDocument | undefined => {
    if (!isLocal(path)) return undefined;
    try {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile()) return undefined;
      const known = read.get(path);
      if (known?.changed === stat.mtimeMs) return known.document;
      const document = planDocument(path, readFileSync(path, 'utf8'));
      read.set(path, { changed: stat.mtimeMs, document });
      return document;
    } catch {
      // A circle of links, or a file that is closed to us, has no document; the analysis says why.
      return undefined;
    }
  };
  const fromLibrary = (path: string): PlanDocument | undefined => {
    const known = read.get(path);
    if (known !== undefined) return known.document;
    if (!Object.hasOwn(STD_LIBRARY, path)) return undefined;
    const document = planDocument(path, STD_LIBRARY[path]!);
    read.set(path, { changed: 0, document });
    return document;
  };
  const files = createPlanFiles(folders);
  const workspace: Workspace = {
    document: (path) => open.get(path) ?? (path.startsWith(STD) ? fromLibrary(path) : fromDisk(path)),
    resolve: (from, module) =>
      module.startsWith(STD) || !isLocal(from) ? module : resolve(dirname(from), module),
    isOpen: (path) => open.has(path),
    openPaths: () => [...open.keys()],
    openTexts: () => new Map([...open].map(([path, { text }]) => [path, text])),
    put: (path, text) => void open.set(path, planDocument(path, text, open.get(path))),
    close: (path) => void open.delete(path),
    allPaths: () => {
      const paths = [...open.keys()];
      const imports = paths.flatMap((path) => [...importsOf(workspace, path)]);
      const ours = imports.filter((path) => !path.startsWith(STD));
      return [...new Set([...paths, ...ours, ...files.known()])].filter(
        (path) => workspace.document(path) !== undefined,
      );
    },
    survey: files.refresh,
    filesChanged: files.forget,
  };
  return workspace;
}
