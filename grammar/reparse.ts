/**
 * Parsing again after a small edit. Declarations of a file do not depend on each other, so that an edit inside the
 * block of one leaves the others as they are, only elsewhere: the declaration is parsed alone and put between them.
 * Where that could differ from parsing the whole text, as with a bracket that is open, the whole text is parsed.
 *
 *   plan a { … }        same objects
 *   plan b { … x … }    parsed alone, at its place
 *   plan c { … }        same, moved by the length of the edit
 */
import { parse, type Parsed } from './parse.js';
import type { Item, Span } from './syntax.js';

/** The same as `parse(text, path)`, sooner where `before` is of nearly the same text. */
export function reparse(before: Parsed, text: string): Parsed {
  return spliced(before, text) ?? parse(text, before.file.path);
}

/** Declarations that end with the `}` of their block, so that nothing behind them can be part of them. */
const BLOCKS: readonly Item['kind'][] = ['device', 'topology', 'model', 'workload', 'plan'];
/** Problems of which one cannot tell how far they reach. */
const FAR_REACHING: readonly string[] = [
  'FC0107',
  'FC0108',
  'FC0109',
  'FC0110',
  'FC0112',
  'FC0113',
  'FC0115',
];

function spliced(before: Parsed, text: string): Parsed | undefined {
  const { items, path, text: old } = before.file;
  const edit = difference(old, text);
  const index = items.findIndex(({ span }) => span.start < edit.start && edit.end < span.end);
  const item = items[index];
  if (item === undefined || !isBlock(item, old)) return undefined;
  const start = items[index - 1]?.span.end ?? 0;
  const next = items[index + 1]?.span.start ?? old.length;
  // Each declaration on lines of its own.
  const apart = (gap: string): boolean => gap === '' || gap.includes('\n');
  if (!apart(old.slice(start, item.span.start)) || !apart(old.slice(item.span.end, next))) return undefined;
  // What is missing at an end is said right behind it: a problem at `start` is one of the declaration before.
  const inside = ({ span }: { readonly span: Span }): boolean =>
    (start < span.start || index === 0) && span.start < item.span.end && span.end <= item.span.end;
  if (before.errors.some((error) => !inside(error) || FAR_REACHING.includes(error.code))) return undefined;

  const moved = text.length - old.length;
  const end = item.span.end + moved;
  const alone = parse(' '.repeat(start) + text.slice(start, end), path);
  const [only] = alone.file.items;
  if (only === undefined || alone.file.items.length > 1 || only.kind !== item.kind) return undefined;
  if (only.span.end !== end || !isBlock(only, text)) return undefined;
  if (alone.errors.some(({ code }) => FAR_REACHING.includes(code))) return undefined;

  const around = <T extends { readonly span: Span }>(all: readonly T[], mine: readonly T[]): T[] => [
    ...all.filter(({ span }) => span.end <= start),
    ...mine,
    ...all.filter(({ span }) => span.start >= item.span.end).map((each) => move(each, moved)),
  ];
  return {
    file: {
      kind: 'file',
      path,
      text,
      items: [...items.slice(0, index), only, ...items.slice(index + 1).map((each) => move(each, moved))],
      span: { start: 0, end: text.length },
    },
    errors: alone.errors,
    comments: around(before.comments, alone.comments),
  };
}

function isBlock({ kind, span }: Item, text: string): boolean {
  return BLOCKS.includes(kind) && text[span.end - 1] === '}';
}

/** What lies between the longest common start and end of two texts, in the first of them. */
function difference(a: string, b: string): Span {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let same = 0;
  while (same < shorter - start && a[a.length - 1 - same] === b[b.length - 1 - same]) same++;
  return { start, end: a.length - same };
}

/** A node with all its spans moved. */
function move<T>(value: T, by: number): T {
  if (by === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each: unknown) => move(each, by)) as T;
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value))
    copy[key] =
      key === 'span'
        ? { start: (field as Span).start + by, end: (field as Span).end + by }
        : move<unknown>(field, by);
  return copy as T;
}
