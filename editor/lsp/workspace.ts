/**
 * The files that the server knows: the texts that are open in the editor, and on disk whatever those name. A file is a
 * document; opening, editing and closing replace it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { STD_LIBRARY } from '../../compiler/std/library.generated.js';
import { planDocument, type PlanDocument } from './document.js';

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
  /** All plan files: open ones, those of the folders, and what they import. */
  readonly allPaths: () => readonly string[];
}

/** Most plan files of the workspace's folders that are looked at. */
const MOST_FILES = 2000;
const SKIPPED = new Set(['node_modules', 'dist', '.git']);

/** A workspace over these folders, with nothing open. */
export function createWorkspace(folders: readonly string[]): Workspace {
  const open = new Map<string, PlanDocument>();
  /** Files read from disk, with the time that they were last changed. */
  const read = new Map<string, { readonly changed: number; readonly document: PlanDocument }>();

  const fromDisk = (path: string): PlanDocument | undefined => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) return undefined;
    const known = read.get(path);
    if (known?.changed === stat.mtimeMs) return known.document;
    const document = planDocument(path, readFileSync(path, 'utf8'));
    read.set(path, { changed: stat.mtimeMs, document });
    return document;
  };
  const fromLibrary = (path: string): PlanDocument | undefined => {
    const known = read.get(path);
    if (known !== undefined) return known.document;
    if (!Object.hasOwn(STD_LIBRARY, path)) return undefined;
    const document = planDocument(path, STD_LIBRARY[path]!);
    read.set(path, { changed: 0, document });
    return document;
  };
  return {
    document: (path) => open.get(path) ?? (path.startsWith(STD) ? fromLibrary(path) : fromDisk(path)),
    resolve: (from, module) => (module.startsWith(STD) ? module : resolve(dirname(from), module)),
    isOpen: (path) => open.has(path),
    openPaths: () => [...open.keys()],
    openTexts: () => new Map([...open].map(([path, { text }]) => [path, text])),
    put: (path, text) => void open.set(path, planDocument(path, text, open.get(path))),
    close: (path) => void open.delete(path),
    allPaths: () => [...new Set([...open.keys(), ...planFilesBelow(folders)])],
  };
}

function planFilesBelow(folders: readonly string[]): readonly string[] {
  const found: string[] = [];
  const waiting = folders.filter((folder) => existsSync(folder));
  for (
    let folder = waiting.pop();
    folder !== undefined && found.length < MOST_FILES;
    folder = waiting.pop()
  ) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED.has(entry.name)) waiting.push(path);
      else if (entry.isFile() && entry.name.endsWith('.plan')) found.push(path);
    }
  }
  return found.sort();
}
