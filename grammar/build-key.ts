/** Keys of records, and what was meant where something else stands before the colon. */
import type { CstNode } from 'chevrotain';
import type { Build } from './build-context.js';
import { nameOf, node, spanOfNode, token, tokens } from './cst.js';
import { spanOf } from './lex.js';
import type { Name } from './syntax.js';
import { StringToken } from './tokens.js';

/** The key of a `recordEntry` node, with its sign; where something else stands there, the one that was meant, if any. */
export function keyOf(build: Build, entry: CstNode): Name {
  const miskey = node(entry, 'miskey');
  if (miskey !== undefined) return meantKey(build, miskey);
  const key = nameOf(token(entry, 'name')!);
  const sign = token(entry, 'sign');
  if (sign === undefined) return key;
  return { text: `-${key.text}`, span: { start: spanOf(sign).start, end: key.span.end } };
}

/** Reports what is no key, with the one word or number in it; a number goes before words such as its unit. */
function meantKey(build: Build, miskey: CstNode): Name {
  const all = tokens(miskey, 'token');
  const words = all.flatMap(({ image, tokenType }) => {
    const word = tokenType === StringToken ? image.replaceAll(/^["']|["']$/g, '') : image;
    return /^(?:[A-Za-z_]\w*|\d+(?:_\d+)*)$/.test(word) ? [word] : [];
  });
  const [first, second] = words;
  const [isNumber, isMore] = [first, second].map((word) => word !== undefined && /^\d/.test(word));
  const meant = second === undefined || (isNumber && !isMore) ? first : undefined;
  const called = isNumber ? 'whole number' : 'name';
  const what = meant !== undefined ? `a ${called}` : second !== undefined ? `one ${called}` : undefined;
  const span = spanOfNode(miskey);
  build.report('FC0101', span, `a key is ${what ?? 'a name or a whole number'}`, {
    helps: meant === undefined ? ['an entry is one key, `:` and its value'] : [`write \`${meant}: ...\``],
    data: {
      found: all.map(({ image }) => image).join(' '),
      ...(meant !== undefined && { suggestion: meant }),
    },
  });
  return { text: meant ?? '', span };
}
