/**
 * What all blocks share: reading the members of a list in order, properties, and items that are no known ones.
 *
 * One slip gives one problem. Words left over on the line of a member that already has a problem are its aftermath
 * and stay silent; words left over after a sound member are one unexpected token; a sound member that follows
 * another with neither line end nor comma between them is a missing separator.
 */
import type { CstNode, IToken } from 'chevrotain';
import type { Build } from './build-context.js';
import { closed, reportUnclosed } from './build-brackets.js';
import { valueAfterColon } from './build-expression.js';
import { after, nameOf, node, nodes, onlyNode, separatedItems, spanOfNode, token, tokens } from './cst.js';
import { suggest } from './did-you-mean.js';
import { spanOf } from './lex.js';
import type { Property, Span, UnknownItem } from './syntax.js';
import { isName, keywordOf } from './tokens.js';

/** A kind of block: how messages call it, and the keywords its items may start with. */
export interface Place {
  readonly called: string;
  readonly keywords: readonly string[];
  readonly hasProperties: boolean;
}

export const places = {
  file: {
    called: 'a file',
    keywords: ['language', 'import', 'param', 'device', 'topology', 'model', 'workload', 'plan'],
    hasProperties: false,
  },
  device: { called: 'a device', keywords: [], hasProperties: true },
  model: { called: 'a model', keywords: [], hasProperties: true },
  workload: { called: 'a workload', keywords: [], hasProperties: true },
  topology: { called: 'a topology', keywords: ['tier', 'link', 'overhead'], hasProperties: true },
  tier: { called: 'a tier', keywords: [], hasProperties: true },
  link: { called: 'a link', keywords: [], hasProperties: true },
  overhead: { called: 'an `overhead` block', keywords: [], hasProperties: true },
  plan: { called: 'a plan', keywords: ['stage', 'kv', 'flow', 'expect'], hasProperties: true },
  stage: {
    called: 'a stage',
    keywords: ['mesh', 'shard', 'replicate', 'split', 'override'],
    hasProperties: true,
  },
  kv: { called: 'a `kv` block', keywords: [], hasProperties: true },
  flow: { called: 'a flow', keywords: ['to'], hasProperties: false },
  expect: { called: 'an `expect` block', keywords: ['never'], hasProperties: false },
} as const satisfies Readonly<Record<string, Place>>;

/** Kinds of members that end with their line, so that the next one needs a separator. */
const lineMembers: ReadonlySet<string> = new Set([
  ...['property', 'devices', 'mesh_member', 'shard', 'replicate', 'split', 'rule', 'bound', 'never'],
]);

/** Builds the members of a list (`item` and `separator` children) with `one`, and reports what stands between. */
export function buildMembers<Member extends { readonly kind: string; readonly span: Span }>(
  build: Build,
  list: CstNode,
  place: Place,
  one: (item: CstNode) => Member,
): (Member | UnknownItem)[] {
  const separated = separatedItems(list);
  const built: (Member | UnknownItem)[] = [];
  let last: { readonly end: number; readonly kind: string; readonly faulty: boolean } | undefined;
  for (const item of nodes(list, 'item')) {
    const { start, end } = spanOfNode(item);
    const previous = last;
    const joined = previous !== undefined && !separated.has(item);
    const before = build.problems.length;
    let member: Member | UnknownItem;
    if (item.name === 'unknown') {
      const keyword = headOf(item);
      member = { kind: 'unknown', keyword: nameOf(keyword), span: { start, end } };
      if (!joined || !lineMembers.has(previous.kind)) reportUnknown(build, item, place);
      else if (!previous.faulty) reportUnexpected(build, keyword);
      const block = node(item, 'balanced');
      if (block !== undefined) closed(build, block, 'LCurly', 'RCurly', '}');
    } else {
      member = one(item);
      if (joined && !previous.faulty && lineMembers.has(previous.kind) && lineMembers.has(member.kind)) {
        const hole = { start: previous.end, end: previous.end };
        const helps = ['a line end or a comma separates members'];
        build.report('FC0106', hole, 'expected `,` or a line end here', { helps, expected: [','] });
      }
    }
    const faulty = build.problems.length > before || (joined && previous.faulty);
    last = { end, kind: member.kind === 'unknown' ? 'property' : member.kind, faulty };
    built.push(member);
  }
  return built;
}

/** A block of properties; `undefined` (reported) gives none. */
export function buildProperties(
  build: Build,
  block: CstNode | undefined,
  place: Place,
  head: Span,
): (Property | UnknownItem)[] {
  if (!hasBlock(build, block, head)) return [];
  return buildMembers(build, block, place, (item) => buildProperty(build, item));
}

/** Reports a block that is missing, or not closed or opened; whether there is one. */
export function hasBlock(build: Build, block: CstNode | undefined, head: Span): block is CstNode {
  const hole = after(head);
  if (block === undefined) {
    build.report('FC0113', hole, 'expected a block `{ ... }` here', {
      expected: ['{'],
      data: { missing: 'block' },
    });
    return false;
  }
  const open = token(node(block, 'open')!, 'LCurly');
  if (open === undefined) build.report('FC0113', hole, 'expected `{` here', { expected: ['{'] });
  else if (token(block, 'RCurly') === undefined) reportUnclosed(build, block, open, '}');
  return true;
}

/** A `property` node. */
export function buildProperty(build: Build, property: CstNode): Property {
  const name = nameOf(token(property, 'name')!);
  const span = spanOfNode(property);
  const value = valueAfterColon(build, property, name);
  const doc = build.doc(span.start);
  return { kind: 'property', name, value, span, ...(doc === undefined ? {} : { doc }) };
}

/** Reports words in the head of an item that belong to none of its clauses. */
export function checkHead(build: Build, item: CstNode, clauses: readonly string[]): void {
  const junk = node(item, 'junk');
  if (junk === undefined) return;
  const [first, second] = tokens(junk, 'token') as [IToken, IToken?];
  const { start } = spanOfNode(item);
  const { problems } = build;
  // Where something is wrong before it, it is the aftermath of that.
  if (problems.some(({ span }) => span.start >= start && span.end <= first.startOffset)) return;
  if (second === undefined && (first.image === ':' || first.image === '=')) {
    const word = clauses.includes(':') ? undefined : token(item, 'keyword')!.image;
    reportSurplus(build, first, word);
    return;
  }
  const near = isName(first) ? suggest(first.image, clauses) : undefined;
  const expected = [...clauses, '{'];
  const signs = expected.map((each) => `\`${each}\``).join(', ');
  build.report('FC0101', spanOf(first), `unexpected \`${first.image}\``, {
    helps: [near === undefined ? `what may follow is ${signs}` : `did you mean \`${near}\`?`],
    expected,
    data: { found: first.image, ...(near === undefined ? {} : { suggestion: near }) },
  });
}

/** Reports a colon between the keyword of an item, or its head, and what follows. */
export function checkSurplus(build: Build, item: CstNode): void {
  const surplus = node(item, 'surplus');
  if (surplus !== undefined) reportSurplus(build, token(surplus, 'sign')!, token(item, 'keyword')!.image);
}

/** Reports a colon that is one too many behind a `word`, if that takes none anywhere. */
export function reportSurplus(build: Build, sign: IToken, word: string | undefined): void {
  const found = `\`${sign.image}\``;
  const message = word === undefined ? `unexpected ${found}` : `\`${word}\` takes no ${found}`;
  build.report('FC0101', spanOf(sign), message, {
    helps: [`take the ${found} out`],
    data: { found: sign.image, surplus: true },
  });
}

function headOf(item: CstNode): IToken {
  return token(item, 'token') ?? token(onlyNode(item), 'LCurly')!;
}

function reportUnexpected(build: Build, found: IToken): void {
  build.report('FC0101', spanOf(found), `unexpected \`${found.image}\``, { data: { found: found.image } });
}

/** Says what is most likely wrong with an item that no rule takes. */
function reportUnknown(build: Build, item: CstNode, place: Place): void {
  const head = headOf(item);
  const { image } = head;
  const span = spanOf(head);
  const data = { found: image };
  if (!isName(head)) {
    if (image !== ')' && image !== ']') reportUnexpected(build, head);
    else build.report('FC0108', span, `\`${image}\` closes nothing`, { data });
    return;
  }
  const tail = node(item, 'tail');
  const words = tail === undefined ? [] : tokens(tail, 'token');
  const near = suggest(image, place.keywords);
  const isKeyword = place.keywords.includes(image);
  const bare = node(item, 'balanced') === undefined;
  const follower = words[0]?.image;
  if (place.hasProperties && bare && near === undefined && !keywordOf.has(image)) {
    const helps = [`a property is written \`${image}: ...\``];
    build.report('FC0105', after(span), `expected \`:\` after \`${image}\``, {
      helps,
      expected: [':'],
      data,
    });
    return;
  }
  if (!place.hasProperties && (follower === ':' || follower === '=') && near === undefined) {
    const where = place === places.file ? 'outside any block' : `in ${place.called}`;
    build.report('FC0101', span, `\`${image}\` looks like a property, and there are none ${where}`, { data });
    return;
  }
  const message = isKeyword
    ? `this \`${image}\` is incomplete`
    : keywordOf.has(image) && near === undefined
      ? `\`${image}\` does not belong in ${place.called}`
      : `unknown item \`${image}\` in ${place.called}`;
  const list = place.keywords.map((word) => `\`${word}\``).join(', ');
  const helps = near !== undefined ? [`did you mean \`${near}\`?`] : list === '' ? [] : [`items are ${list}`];
  build.report('FC0102', span, message, {
    helps,
    expected: place.keywords,
    data: near === undefined ? data : { ...data, suggestion: near },
  });
}
