/**
 * Expressions: from the flat lists of operands and operators that the parser reads to trees.
 *
 * What binds tighter comes from one table. `not` takes a whole comparison (`not a < b` is `not (a < b)`), a minus
 * only the operand after it. Every hole becomes an `error` expression with one problem.
 */
import type { CstNode, IToken } from 'chevrotain';
import { after, nameOf, node, nodes, onlyNode, signsWithout, spanOfNode, token, tokens } from './cst.js';
import { closed, commas, itemsInBraces } from './build-brackets.js';
import type { Build } from './build-context.js';
import { keyOf } from './build-key.js';
import { spanOf } from './lex.js';
import { comparison, isBinaryOperator, precedence } from './operators.js';
import { exampleOf, PROPERTIES, type PropertyDoc } from './reference.js';
import type {
  CallExpr,
  ChainExpr,
  ErrorExpr,
  Expr,
  ListExpr,
  MeshExpr,
  Name,
  NumberExpr,
  PathExpr,
  PathSegment,
  RecordExpr,
  Span,
  StringExpr,
} from './syntax.js';
import { TRUTH_WORDS } from './truth-words.js';

/** Longer expressions are refused, so that no later walk over a tree can exhaust the stack. */
const maximumLength = 256;

/** Stands at a hole; reports it. */
export function missingValue(
  build: Build,
  hole: Span,
  what = 'a value',
  helps: readonly string[] = build.orWithout(hole),
): ErrorExpr {
  build.report('FC0103', hole, `expected ${what}`, { helps, data: { expected: what } });
  return { kind: 'error', span: hole };
}

/** The value under an optional node, or a reported hole. */
export function valueOrHole(build: Build, found: CstNode | undefined, hole: Span): Expr {
  return found === undefined ? missingValue(build, hole) : buildValue(build, found);
}

export function expressionOrHole(build: Build, found: CstNode | undefined, hole: Span, what?: string): Expr {
  return found === undefined ? missingValue(build, hole, what) : buildExpression(build, found);
}

/** A `value` node: one expression, or a chain when it has arrows or caps. */
export function buildValue(build: Build, value: CstNode): Expr {
  const links = nodes(value, 'link');
  const arrows = tokens(value, 'Arrow');
  const first = links[0]!;
  if (arrows.length === 0 && token(first, 'Up') === undefined) {
    return buildExpression(build, node(first, 'target')!);
  }
  const built: { target: PathExpr; upTo?: Expr }[] = [];
  let broken = false;
  for (const link of links) {
    const target = buildExpression(build, node(link, 'target')!);
    const up = token(link, 'Up');
    const to = token(link, 'To');
    if (up !== undefined && to === undefined)
      build.report('FC0114', after(spanOf(up)), 'expected `to` after `up`', { expected: ['to'] });
    const upTo =
      up === undefined ? undefined : expressionOrHole(build, node(link, 'cap'), after(spanOf(to ?? up)));
    if (target.kind === 'path') built.push(upTo === undefined ? { target } : { target, upTo });
    else {
      broken = true;
      if (target.kind !== 'error')
        build.report('FC0103', target.span, 'expected the name of a place or a stage', {
          helps: ['a chain is of names, such as `gpu -> host`'],
        });
    }
  }
  const starts = links.map(({ location }) => location!.startOffset);
  for (const arrow of signsWithout(arrows, starts)) {
    missingValue(build, after(spanOf(arrow)), 'a name after `->`');
  }
  const span = spanOfNode(value);
  if (broken && built.length === 0) return { kind: 'error', span };
  return { kind: 'chain', links: built, span } satisfies ChainExpr;
}

/** An `expression` node. */
export function buildExpression(build: Build, expression: CstNode): Expr {
  const terms = nodes(expression, 'term');
  const operators = tokens(expression, 'operator');
  const prefixes = terms.reduce((sum, term) => sum + nodes(term, 'prefix').length, 0);
  if (terms.length + prefixes > maximumLength) {
    const span = spanOfNode(expression);
    build.report('FC0115', { start: span.start, end: span.start + 1 }, 'this expression is too long', {
      helps: ['name parts of it with `param`'],
    });
    return { kind: 'error', span };
  }
  // Operands in reading order with a hole wherever an operator has none after it.
  const operands: (CstNode | undefined)[] = [terms[0]];
  let used = 1;
  operators.forEach((operator, index) => {
    const next = operators[index + 1]?.startOffset ?? Infinity;
    const term = terms[used];
    const fits = term !== undefined && term.location!.startOffset < next;
    operands.push(fits ? term : undefined);
    if (fits) used++;
    else missingValue(build, after(spanOf(operator)), `a value after \`${operator.image}\``);
  });
  return climb(build, { operands, operators, at: 0 }, 0);
}

interface Climb {
  readonly operands: readonly (CstNode | undefined)[];
  readonly operators: readonly IToken[];
  /** Index of the next operand, and of the operator after it. */
  at: number;
}

/** Precedence climbing: reads operands while their operators bind tighter than `floor`. */
function climb(build: Build, state: Climb, floor: number): Expr {
  let left = operand(build, state);
  for (;;) {
    const op = state.operators[state.at - 1]?.image;
    if (op === undefined || !isBinaryOperator(op) || precedence[op] <= floor) return left;
    const right = climb(build, state, precedence[op]);
    left = { kind: 'binary', op, left, right, span: { start: left.span.start, end: right.span.end } };
  }
}

function operand(build: Build, state: Climb): Expr {
  const term = state.operands[state.at];
  const operatorBefore = state.operators[state.at - 1];
  state.at++;
  if (term === undefined) return { kind: 'error', span: after(spanOf(operatorBefore!)) };
  const signs = nodes(term, 'prefix').map((prefix) => token(prefix, 'Minus') ?? token(prefix, 'Not')!);
  const last = signs.at(-1);
  const found = node(term, 'atom');
  let built: Expr =
    found === undefined
      ? missingValue(build, after(spanOf(last!)), `a value after \`${last!.image}\``)
      : buildAtom(build, found);
  let takenComparison = false;
  for (const sign of signs.reverse()) {
    const start = sign.startOffset;
    if (sign.image === '-') {
      built = { kind: 'unary', op: '-', operand: built, span: { start, end: built.span.end } };
      continue;
    }
    if (!takenComparison) built = extend(build, state, built);
    takenComparison = true;
    built = { kind: 'unary', op: 'not', operand: built, span: { start, end: built.span.end } };
  }
  return built;
}

/** Goes on from an operand that is read already, as far as a comparison reaches. */
function extend(build: Build, state: Climb, first: Expr): Expr {
  let left = first;
  for (;;) {
    const op = state.operators[state.at - 1]?.image;
    if (op === undefined || !isBinaryOperator(op) || precedence[op] < comparison) return left;
    const right = climb(build, state, precedence[op]);
    left = { kind: 'binary', op, left, right, span: { start: left.span.start, end: right.span.end } };
  }
}

function buildAtom(build: Build, atom: CstNode): Expr {
  const string = token(atom, 'string');
  if (string !== undefined) return buildString(string);
  const found = onlyNode(atom);
  switch (found.name) {
    case 'quantity':
      return buildQuantity(found);
    case 'reference':
      return buildReference(build, found);
    case 'list':
      return buildList(build, found);
    case 'record':
      return buildRecord(build, found);
    default:
      return buildParens(build, found);
  }
}

export function buildString(string: IToken): StringExpr {
  const closed = string.image.length > 1 && string.image.endsWith(string.image[0]!);
  const inside = string.image.slice(1, closed ? -1 : undefined);
  return { kind: 'string', value: unescape(inside), span: spanOf(string) };
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescape(written: string): string {
  return written.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_, hex?: string, sign?: string) => {
    if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
    return escapes[sign!] ?? sign!;
  });
}

export function buildNumber(number: IToken): NumberExpr {
  return { kind: 'number', value: Number(number.image.replaceAll('_', '')), span: spanOf(number) };
}

function buildQuantity(quantity: CstNode): Expr {
  const number = buildNumber(token(quantity, 'number')!);
  const unit = token(quantity, 'unit');
  if (unit === undefined) return number;
  return { kind: 'quantity', value: number.value, unit: nameOf(unit), span: spanOfNode(quantity) };
}

function buildReference(build: Build, reference: CstNode): Expr {
  const path = buildPath(build, node(reference, 'path')!);
  const args = node(reference, 'args');
  const [first] = path.segments;
  const plain = path.segments.length === 1 && first!.index === undefined;
  if (args !== undefined) return buildCall(build, path, args, plain);
  const truth = plain ? TRUTH_WORDS.get(first!.name.text) : undefined;
  return truth === undefined ? path : { kind: 'bool', value: truth, span: path.span };
}

function buildCall(build: Build, path: PathExpr, args: CstNode, plain: boolean): Expr {
  const span = { start: path.span.start, end: spanOfNode(args).end };
  closed(build, args, 'LParen', 'RParen', ')');
  commas(build, args);
  const built = nodes(args, 'item').map((arg) => {
    const name = token(arg, 'name');
    const value = node(arg, 'value');
    if (name === undefined) return { value: buildValue(build, value!) };
    return { name: nameOf(name), value: valueOrHole(build, value, after(spanOf(token(arg, 'Colon')!))) };
  });
  if (!plain) {
    build.report('FC0101', path.span, 'only a plain name can be called', {
      helps: ['write one name before `(`'],
    });
    return { kind: 'error', span };
  }
  return { kind: 'call', callee: path.segments[0]!.name, args: built, span } satisfies CallExpr;
}

/** A `path` node. */
export function buildPath(build: Build, path: CstNode): PathExpr {
  const segments = nodes(path, 'segment');
  const dots = tokens(path, 'Dot');
  const starts = segments.map(({ location }) => location!.startOffset);
  for (const dot of signsWithout(dots, starts)) {
    const hole = after(spanOf(dot));
    const helps = build.orWithout(hole);
    build.report('FC0104', hole, 'expected a name after `.`', { helps, data: { expected: 'a name' } });
  }
  return { kind: 'path', segments: segments.map((it) => buildSegment(build, it)), span: spanOfNode(path) };
}

/** The path under an optional node, or a reported hole. */
export function pathOrHole(
  build: Build,
  found: CstNode | undefined,
  hole: Span,
  what: string,
): PathExpr | ErrorExpr {
  return found === undefined ? missingValue(build, hole, what) : buildPath(build, found);
}

function buildSegment(build: Build, segment: CstNode): PathSegment {
  const name = nameOf(token(segment, 'name')!);
  const index = node(segment, 'index');
  return index === undefined ? { name } : { name, index: buildIndex(build, index) };
}

/** An `index` node: `[i]` or `[first..last]`. */
export function buildIndex(build: Build, index: CstNode): NonNullable<PathSegment['index']> {
  const helps = ['an index is one number or a range such as `0..3`; without one, all are meant'];
  closed(build, index, 'LSquare', 'RSquare', ']', helps);
  const span = spanOfNode(index);
  const open = after(spanOf(token(index, 'LSquare')!));
  // Where something else stands there, that is the one thing to say: what the index means is not known.
  if (node(index, 'stray') !== undefined) return { first: { kind: 'error', span: open }, span };
  const first = expressionOrHole(build, node(index, 'first'), open, 'an index');
  const range = token(index, 'Range');
  if (range === undefined) return { first, span };
  const last = expressionOrHole(build, node(index, 'last'), after(spanOf(range)), 'the last index');
  return { first, last, span };
}

/** A `list` node. */
export function buildList(build: Build, list: CstNode): ListExpr {
  closed(build, list, 'LSquare', 'RSquare', ']', ['a list names all its values: `[1, 2, 4]`']);
  commas(build, list);
  const items = nodes(list, 'item').map((item) => buildValue(build, item));
  return { kind: 'list', items, span: spanOfNode(list) };
}

/** A `record` node. Entries whose key cannot be told are left out, and so is a record that has no others. */
function buildRecord(build: Build, record: CstNode): RecordExpr | ErrorExpr {
  const entries = itemsInBraces(build, record, (entry) => {
    const key = keyOf(build, entry);
    return { key, value: valueAfterColon(build, entry, key) };
  });
  const known = entries.filter(({ key }) => key.text !== '');
  const span = spanOfNode(record);
  const isLost = known.length === 0 && nodes(record, 'item').length > 0;
  return isLost ? { kind: 'error', span } : { kind: 'record', entries: known, span };
}

function buildParens(build: Build, parens: CstNode): Expr {
  closed(build, parens, 'LParen', 'RParen', ')');
  const span = spanOfNode(parens);
  const value = node(parens, 'value');
  if (value === undefined) return buildMesh(build, parens);
  return { ...buildValue(build, value), span };
}

/** A `parens` node that holds axes, or nothing. */
function buildMesh(build: Build, parens: CstNode): MeshExpr {
  const list = node(parens, 'meshEntries');
  const span = spanOfNode(parens);
  if (list === undefined) return { kind: 'mesh', entries: [], span };
  commas(build, list);
  const entries = nodes(list, 'item').map((entry) => {
    const axis = nameOf(token(entry, 'name')!);
    return { axis, size: valueAfterColon(build, entry, axis) };
  });
  return { kind: 'mesh', entries, span };
}

/** The mesh under an optional `parens` node, or a reported hole. */
export function meshOrHole(build: Build, found: CstNode | undefined, hole: Span): MeshExpr | ErrorExpr {
  const what = 'axes such as `(tp: 4)`, or `auto`';
  if (found === undefined) return missingValue(build, hole, what);
  if (node(found, 'value') === undefined) {
    closed(build, found, 'LParen', 'RParen', ')');
    return buildMesh(build, found);
  }
  return missingValue(build, spanOfNode(found), what);
}

function writtenValue(entry: CstNode): CstNode | undefined {
  return node(entry, 'value') ?? node(entry, 'size');
}

/**
 * The value of an entry (`name: value`), whose node has a `colon` and a `value` or `size`. With neither, only the
 * missing colon is reported.
 */
export function valueAfterColon(build: Build, entry: CstNode, name: Name): Expr {
  const found = writtenValue(entry);
  const hasColon = checkColon(build, entry, name);
  if (found !== undefined)
    return found.name === 'value' ? buildValue(build, found) : buildExpression(build, found);
  const hole = after(hasColon ? spanOfNode(node(entry, 'colon')!) : name.span);
  return hasColon
    ? missingValue(build, hole, 'a value', valueHelps(name.text))
    : { kind: 'error', span: hole };
}

/** What a value of a property looks like, where all properties of that name take the like. */
function valueHelps(name: string): readonly string[] {
  const examples = new Set(
    Object.values<Readonly<Record<string, PropertyDoc>>>(PROPERTIES).flatMap((block) =>
      Object.hasOwn(block, name) ? [exampleOf(block[name]!.value)] : [],
    ),
  );
  const [example] = examples;
  return examples.size === 1
    ? [`write one, such as \`${name}: ${example}\`, or take \`${name}\` out`]
    : [`write one, or take \`${name}\` out`];
}

/** Reports a colon that is missing after a name, or written `=`; whether there is one of either sign. */
export function checkColon(build: Build, entry: CstNode, name: Name): boolean {
  const colon = node(entry, 'colon');
  const expected = [':'];
  const message = `expected \`:\` after \`${name.text}\``;
  if (colon === undefined) {
    build.report('FC0105', after(name.span), message, {
      helps: [`write \`${name.text}: ...\``],
      ...(writtenValue(entry) && { expected }),
    });
    return false;
  }
  const other = token(colon, 'other');
  if (other !== undefined)
    build.report('FC0105', spanOf(other), `${message}, found \`${other.image}\``, { expected });
  return true;
}
