/** Edits that resolve a diagnostic: the pieces that checks make their fixes of. */
import type { Span } from '../../grammar/syntax.js';
import type { Fix, Origin } from '../diagnostics/diagnostic.js';
import type { Context } from './scope.js';

/** Another text in place of what stands at `origin`. */
export function replacement(origin: Origin, newText: string, title = `Change to \`${newText}\``): Fix {
  return { title, edits: [{ origin: { file: origin.file, span: origin.span }, newText }] };
}

/** A text between two others. */
export function insertion(cx: Context, at: number, newText: string, title: string): Fix {
  return replacement({ file: cx.scope.path, span: { start: at, end: at } }, newText, title);
}

/** Takes something out with the comma that parts it from its neighbours, and its line where nothing is left of that. */
export function removal(cx: Context, { start, end }: Span, what: string): Fix {
  const { text } = cx.scope.file;
  const following = /^[ \t]*,[ \t]*/.exec(text.slice(end));
  const before = text.slice(0, start).trimEnd();
  const span =
    following !== null
      ? { start, end: end + following[0].length }
      : before.endsWith(',') && !endsComment(text, before.length, start)
        ? { start: before.length - 1, end }
        : { start, end };
  return replacement({ file: cx.scope.path, span: wholeLine(text, span) }, '', `Remove ${what}`);
}

/** Whether what ends at `at` may be a comment, which a line break behind it has ended before `start`. */
function endsComment(text: string, at: number, start: number): boolean {
  if (!text.slice(at, start).includes('\n')) return false;
  return text.slice(text.lastIndexOf('\n', at - 1) + 1, at).includes('//');
}

/** The span with its line break and indent where nothing else is on its lines. */
function wholeLine(text: string, { start, end }: Span): Span {
  let line = start;
  while (text[line - 1] === ' ' || text[line - 1] === '\t') line--;
  const after = /^[ \t]*(?:\n|$)/.exec(text.slice(end));
  if ((line > 0 && text[line - 1] !== '\n') || after === null) return { start, end };
  return { start: line, end: end + after[0].length };
}

/**
 * A member at the beginning of the block that opens behind `head`, on a line of its own where the block has several;
 * undefined where there is no such block.
 */
export function memberInsertion(cx: Context, head: number, member: string): readonly [Fix] | undefined {
  const { text } = cx.scope.file;
  const open = /^[^{}/"\n]*\{/.exec(text.slice(head));
  if (open === null) return undefined;
  const at = head + open[0].length;
  const rest = text.slice(at);
  const line = /^[ \t]*\n([ \t]*)/.exec(rest);
  const isEmpty = /^\s*\}/.test(rest);
  const newText = isEmpty ? ` ${member} ` : line !== null ? `\n${line[1]}${member}` : ` ${member},`;
  return [insertion(cx, at, newText, `Add \`${member}\``)];
}
