/** What searches of the benchmark of Seesaw found before, in files. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Find } from './seesaw-results.js';

/**
 * Says what is being looked for, and keeps in a file of the folder what is found. The file is one of so many requests of
 * the combination: with others other plans win.
 *
 * @param title of the combination
 * @param folder where things are kept; nothing is without one
 */
export function keptFind(title: string, requests: number, folder: string | undefined): Find {
  const file =
    folder === undefined ? undefined : join(folder, `${title.replaceAll(' ', '-')}-${requests}.json`);
  const found = new Map<string, unknown>(
    file !== undefined && existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as [string, unknown][])
      : [],
  );
  return <Found>(key: string, find: () => Found): Found => {
    if (found.has(key)) return found.get(key) as Found;
    console.error(`${new Date().toISOString()} ${title}: ${key}`);
    const value = find();
    found.set(key, value);
    if (file !== undefined) {
      mkdirSync(folder!, { recursive: true });
      writeFileSync(file, `${JSON.stringify([...found])}\n`);
    }
    return value;
  };
}
