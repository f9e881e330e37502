/**
 * A text on its way up the ladder of states: text, tokens, tree, names. Each rung is made from the one below when it is
 * first asked for, and kept; a new text is a new document that starts at the bottom. The rungs above these, plans and
 * what they compile to, are made in a thread of their own (see `analyst.ts`), so that nothing here waits for them.
 */
import { lex, type Lexed } from '../../grammar/lex.js';
import { lineMap, type LineMap } from '../../grammar/line-map.js';
import { parse, type Parsed } from '../../grammar/parse.js';
import { reparse } from '../../grammar/reparse.js';
import { namesIn, type NameUse } from './names.js';

export interface PlanDocument {
  readonly path: string;
  readonly text: string;
  readonly lines: LineMap;
  readonly tokens: Lexed;
  readonly tree: Parsed;
  readonly names: readonly NameUse[];
}

/**
 * The document of a text; nothing is read from it yet.
 *
 * @param before the document that the text was made from by an edit: what its tree has in common is taken over
 */
export function planDocument(path: string, text: string, before?: PlanDocument): PlanDocument {
  // Let go of once it is used, or every text would keep all those before it.
  let earlier = before;
  return {
    path,
    text,
    get lines() {
      return keep(this, 'lines', lineMap(text));
    },
    get tokens() {
      return keep(this, 'tokens', lex(text));
    },
    get tree() {
      const tree = earlier === undefined ? parse(text, path) : reparse(earlier.tree, text);
      earlier = undefined;
      return keep(this, 'tree', tree);
    },
    get names() {
      return keep(this, 'names', namesIn(this.tree.file));
    },
  };
}

/** Puts a value in the place of the getter that made it. */
function keep<K extends keyof PlanDocument>(
  document: PlanDocument,
  rung: K,
  value: PlanDocument[K],
): PlanDocument[K] {
  Object.defineProperty(document, rung, { value });
  return value;
}
