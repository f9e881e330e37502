/** The pages of docs/diagnostics: what a code means at length, with an example that fails and its fix. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../package-root.js';

/** Where the page of a code lies. */
export function pagePath(code: string): string {
  return join(PACKAGE_ROOT, 'docs', 'diagnostics', `${code}.md`);
}

/** The Markdown of a page; undefined when this installation has none. */
export function readPage(code: string): string | undefined {
  const path = pagePath(code);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** What a page says below its heading and message, for a terminal: headings bare, code indented, links as their words. */
export function describePage(page: string): string {
  const [, ...rest] = page.split(/^> .*$/m);
  let inCode = false;
  return rest
    .join('')
    .trim()
    .split('\n')
    .flatMap((line) => {
      if (line.startsWith('```')) {
        inCode = !inCode;
        const [, ...info] = line.slice(3).split(' ');
        return info.length > 0 ? [`  # ${info.join(' ')}`] : [];
      }
      if (inCode) return [line === '' ? '' : `    ${line}`];
      return [line.replace(/^#+ /, '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')];
    })
    .join('\n');
}
