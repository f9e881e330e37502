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
import { exampleOf, PROPERTIES, type PropertyDoc } from './reference.js';
import type { DeviceArray, ErrorExpr, Property, Span, UnknownItem } from './syntax.js';
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
  const built: (Member | Property | DeviceArray | UnknownItem)[] = [];
  let last: { readonly end: number; readonly kind: string; readonly faulty: boolean } | undefined;
  for (const item of nodes(list, 'item')) {
    const { start, end } = spanOfNode(item);
    const previous = last;
    const joined = previous !== undefined && !separated.has(item);
    const before = build.problems.length;
    let member: Member | Property | DeviceArray | UnknownItem;
    if (item.name === 'unknown') {
      const keyword = headOf(item);
      member = { kind: 'unknown', keyword: nameOf(keyword), span: { start, end } };
      const earlier = built.at(-1);
      const rest =
        joined || earlier?.kind !== 'property'
          ? undefined
          : restOf(build, earlier as Property, keyword, place);
      // What was read with something before it is told of there.
      const isTold = build.problems.some(({ span }) => span.start < start && start < span.end);
      if (rest !== undefined) built[built.length - 1] = rest as Property & Member;
      else if (!isTold) {
        if (!joined || !lineMembers.has(previous.kind)) member = reportUnknown(build, item, place) ?? member;
        else if (!previous.faulty) reportUnexpected(build, keyword);
      }
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
  // Properties and devices are made up only where the place has them.
  return built as (Member | UnknownItem)[];
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

/**
 * A property whose value goes on behind a comma that does not belong there, without that value: a number in groups of
 * three digits, or a chain of tiers. It is reported, once for all commas of a number.
 */
function restOf(build: Build, property: Property, next: IToken, place: Place): Property | undefined {
  const { value } = property;
  const error: Property = { ...property, value: { kind: 'error', span: value.span } };
  const digits = /\d{1,3}(?:,\d{3})+(?![\w.])/y;
  digits.lastIndex = value.span.start;
  const [found] = digits.exec(build.text) ?? [];
  if (found !== undefined && next.startOffset < digits.lastIndex) {
    const span = { start: value.span.start, end: digits.lastIndex };
    const suggestion = found.replaceAll(',', '_');
    if (value.kind === 'error') return error;
    const message = 'digits of a number are not parted by commas';
    if (isListed(build.text.slice(span.end), place))
      build.report('FC0101', span, message, { data: { found } });
    else
      build.report('FC0101', span, message, {
        helps: [`write \`${suggestion}\``],
        data: { found, suggestion },
      });
    return error;
  }
  const between = build.text.slice(value.span.end, next.startOffset);
  const comma = value.span.end + between.indexOf(',');
  if (place !== places.kv || property.name.text !== 'tiers' || value.kind === 'error') return undefined;
  if (!isName(next) || !/^[ \t]*,[ \t]*$/.test(between) || Object.hasOwn(PROPERTIES.kv, next.image))
    return undefined;
  // What is followed by a value is a property without its colon.
  if (!/^[ \t]*(?:,|->|up\b|[\n\r}/]|$)/.test(build.text.slice(spanOf(next).end))) return undefined;
  build.report('FC0101', { start: comma, end: comma + 1 }, 'unexpected `,`', {
    helps: ['tiers are joined with `->`'],
    expected: ['->'],
    data: { found: ',' },
  });
  return error;
}

/** Whether a comma and a word that begins no member are the next on the line, so that digits before them may be a list. */
function isListed(rest: string, place: Place): boolean {
  const [, word] = /^(?:(?!\/[/*])[^,\n{}])*,[ \t]*([A-Za-z_]\w*)\b(?![ \t]*[:=])/.exec(rest) ?? [];
  return word !== undefined && !place.keywords.includes(word);
}

/** Says what is most likely wrong with an item that no rule takes; the property or the devices that it was meant to be. */
function reportUnknown(build: Build, item: CstNode, place: Place): Property | DeviceArray | undefined {
  const head = headOf(item);
  const { image } = head;
  const span = spanOf(head);
  const data = { found: image };
  if (!isName(head)) {
    if (image !== ')' && image !== ']') reportUnexpected(build, head);
    else build.report('FC0108', span, `\`${image}\` closes nothing`, { data });
    return undefined;
  }
  const tail = node(item, 'tail');
  const words = tail === undefined ? [] : tokens(tail, 'token');
  if (place === places.plan && words[0]?.image === '->') {
    const hole = { start: span.start, end: span.start };
    build.report('FC0114', hole, `expected \`flow\` before \`${image}\``, { expected: ['flow'], data });
    return undefined;
  }
  const near = suggest(image, place.keywords);
  const isKeyword = place.keywords.includes(image);
  const bare = node(item, 'balanced') === undefined;
  const follower = words[0]?.image;
  if (place.hasProperties && bare && near === undefined && !keywordOf.has(image)) {
    return reportBare(build, item, head, words, place);
  }
  if (!place.hasProperties && (follower === ':' || follower === '=') && near === undefined) {
    const where = place === places.file ? 'outside any block' : `in ${place.called}`;
    build.report('FC0101', span, `\`${image}\` looks like a property, and there are none ${where}`, { data });
    return undefined;
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
  return undefined;
}

/** Names of the blocks that properties are documented for, by their places. */
const blockOf = new Map<Place, keyof typeof PROPERTIES>(
  (['device', 'model', 'workload', 'tier', 'link', 'overhead', 'plan', 'stage', 'kv'] as const).map(
    (block) => [places[block], block],
  ),
);

/**
 * Reports a word where a property is expected, with no colon behind it: one too many before a property, or a property with
 * its colon missing.
 */
function reportBare(
  build: Build,
  item: CstNode,
  head: IToken,
  words: readonly IToken[],
  place: Place,
): Property | DeviceArray | undefined {
  const { image } = head;
  const span = spanOf(head);
  const data = { found: image };
  const [first, second] = words;
  const isPlace = place === places.topology;
  // Devices may have a count between their name and the colon.
  const isCounted = isPlace && second?.image === '[';
  const last = isCounted ? words.findIndex((word) => word.image === ']') : 0;
  const made = (name: IToken): Property | DeviceArray => {
    const error: ErrorExpr = { kind: 'error', span: after(spanOf(name)) };
    const named = { name: nameOf(name), span: spanOfNode(item) };
    if (!isPlace) return { kind: 'property', ...named, value: error };
    return { kind: 'devices', ...named, ...(isCounted && { count: error }), device: error };
  };
  if (first !== undefined && isName(first) && words[last + 1]?.image === ':') {
    build.report('FC0101', span, `unexpected \`${image}\``, {
      helps: [`take the \`${image}\` out`],
      data: { ...data, surplus: true },
    });
    return made(first);
  }
  const block = blockOf.get(place);
  const docs: Readonly<Record<string, PropertyDoc>> = block === undefined ? {} : PROPERTIES[block];
  const doc = Object.hasOwn(docs, image) ? docs[image] : undefined;
  const takesColon = doc !== undefined || (isPlace && first !== undefined && isName(first) && !isCounted);
  build.report('FC0105', after(span), `expected \`:\` after \`${image}\``, {
    helps: [`a property is written \`${image}: ...\``],
    ...(takesColon && { expected: [':'] }),
    data: { ...data, ...(doc && first === undefined && { example: exampleOf(doc.value) }) },
  });
  return takesColon ? made(head) : undefined;
}
