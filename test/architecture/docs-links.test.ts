/** Every relative link in the README and the docs names a file that exists, and a heading where it has an anchor. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, ROOT, type SourceFile } from './source-files.js';

const pages: readonly SourceFile[] = [
  { path: 'README.md', text: readFileSync(join(ROOT, 'README.md'), 'utf8') },
  ...filesBelow('docs', ['.md']),
];

/** Text outside fenced code blocks. */
function prose(text: string): string {
  return text.replace(/^(```|~~~).*?^\1.*?$/gms, '');
}

/** Targets of inline links, images and reference definitions. */
function linksOf(text: string): readonly string[] {
  const inline = [...prose(text).matchAll(/\]\(\s*<?([^\s)>]+)>?[^)]*\)/g)];
  const references = [...prose(text).matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)];
  return [...inline, ...references].map((match) => match[1]!);
}

/** Anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): readonly string[] {
  const seen = new Map<string, number>();
  return [...prose(text).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)].map((match) => {
    const plain = match[1]!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const slug = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    return times === 0 ? slug : `${slug}-${times}`;
  });
}

/** Why a link is dead, or undefined. */
function problemOf(page: SourceFile, link: string): string | undefined {
  if (/^[a-z][a-z+.-]*:/i.test(link)) return undefined;
  const [target = '', anchor] = link.split('#');
  const path = target === '' ? join(ROOT, page.path) : join(ROOT, dirname(page.path), decodeURI(target));
  if (!existsSync(path)) return `${page.path}: no file at ${link}`;
  if (anchor === undefined || !path.endsWith('.md')) return undefined;
  return anchorsOf(readFileSync(path, 'utf8')).includes(anchor)
    ? undefined
    : `${page.path}: no heading for ${link}`;
}

describe('links in the docs', () => {
  it('notices dead links and dead anchors', () => {
    const page = { path: 'docs/x.md', text: '' };
    expect(problemOf(page, '../nowhere.md')).toMatch('no file');
    expect(problemOf(page, '../README.md#nothing-like-this')).toMatch('no heading');
    expect(problemOf(page, '../README.md')).toBeUndefined();
    expect(anchorsOf('# One `two` & three\n```\n# not\n```\n## A\n## A')).toEqual([
      'one-two--three',
      'a',
      'a-1',
    ]);
    expect(linksOf('see [a](b.md#c) ![i](d.png "t")\n```\n[no](no.md)\n```\n[r]: e.md')).toEqual([
      'b.md#c',
      'd.png',
      'e.md',
    ]);
  });

  it.each(pages.map((page) => [page.path, page] as const))('all lead somewhere in %s', (_path, page) => {
    expect(linksOf(page.text).flatMap((link) => problemOf(page, link) ?? [])).toEqual([]);
  });
});
