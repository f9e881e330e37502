/**
 * From the concrete tree of a file to its syntax tree. This is where holes that the parser let pass become problems:
 * every node that the tree promises is there, made up where the text has none.
 */
import type { CstNode } from 'chevrotain';
import { nameOrHole } from './build-context.js';
import type { Build } from './build-context.js';
import { itemsInBraces } from './build-brackets.js';
import { buildList, buildNumber, buildString, expressionOrHole, missingValue } from './build-expression.js';
import { buildMembers, buildProperties, checkHead, places } from './build-members.js';
import { buildPlan, buildPlanItem } from './build-plan.js';
import { buildTopology, documented, headEnd } from './build-topology.js';
import { after, nameOf, node, onlyNode, spanOfNode, token, tokens } from './cst.js';
import { spanOf } from './lex.js';
import type {
  DeviceDecl,
  ImportDecl,
  Item,
  LanguageDecl,
  ModelDecl,
  Name,
  ParamDecl,
  PlanMember,
  SourceFile,
  Span,
  WorkloadDecl,
} from './syntax.js';

/** Members of a plan that stand after its end, and the `}` that should have ended it. */
interface Strays {
  readonly kind: 'strays';
  readonly member?: PlanMember;
  readonly span: Span;
}

/** A `file` node. */
export function buildFile(build: Build, file: CstNode, path: string, text: string): SourceFile {
  const members = buildMembers<Item | Strays>(build, file, places.file, (item) => {
    if (item.name === 'unmatched') return { kind: 'strays', span: spanOfNode(item) };
    if (item.name === 'planItem') {
      return { kind: 'strays', member: buildPlanItem(build, item), span: spanOfNode(item) };
    }
    return buildItem(build, onlyNode(item));
  });
  return {
    kind: 'file',
    path,
    text,
    items: takeIn(build, members, text),
    span: { start: 0, end: text.length },
  };
}

/**
 * Puts plan members that stand right after a plan back into it: a `}` too many has closed the plan early. That is
 * one problem, and the `}` that then closes nothing belongs to it.
 */
function takeIn(build: Build, members: readonly (Item | Strays)[], text: string): readonly Item[] {
  const items: Item[] = [];
  let takenIn = false;
  for (const member of members) {
    if (member.kind !== 'strays') {
      takenIn = false;
      items.push(member);
      continue;
    }
    const last = items.at(-1);
    if (member.member === undefined) {
      if (!takenIn) build.report('FC0108', member.span, '`}` closes nothing');
      takenIn = false;
    } else if (last?.kind === 'plan') {
      // A plan that no `}` ends is reported for that.
      if (!takenIn && text[last.span.end - 1] === '}') {
        const end = { start: last.span.end - 1, end: last.span.end };
        const closed = last.name.text === '' ? 'the plan' : `\`${last.name.text}\``;
        build.report('FC0108', end, `this \`}\` closes ${closed} too early`, {
          helps: ['remove it, or open a block before it'],
        });
      }
      takenIn = true;
      const span = { start: last.span.start, end: member.span.end };
      items[items.length - 1] = { ...last, members: [...last.members, member.member], span };
    } else {
      const word = member.member.kind;
      const keyword: Name = {
        text: word,
        span: { start: member.span.start, end: member.span.start + word.length },
      };
      build.report('FC0102', keyword.span, `\`${word}\` belongs in a plan`, {
        expected: places.file.keywords,
        data: { found: word },
      });
      items.push({ kind: 'unknown', keyword, span: member.span });
    }
  }
  return items;
}

function buildItem(build: Build, item: CstNode): Item {
  switch (item.name) {
    case 'languageDecl':
      return buildLanguage(build, item);
    case 'importDecl':
      return buildImport(build, item);
    case 'paramDecl':
      return buildParam(build, item);
    case 'propertiesDecl':
      return buildPropertiesDecl(build, item);
    case 'topologyDecl':
      return buildTopology(build, item);
    default:
      return buildPlan(build, item);
  }
}

function buildLanguage(build: Build, decl: CstNode): LanguageDecl {
  const number = token(decl, 'edition');
  const hole = after(spanOf(token(decl, 'keyword')!));
  const edition =
    number === undefined ? missingValue(build, hole, 'the edition, such as `1`') : buildNumber(number);
  return { kind: 'language', edition, span: spanOfNode(decl) };
}

function buildImport(build: Build, decl: CstNode): ImportDecl {
  const span = spanOfNode(decl);
  const keyword = spanOf(token(decl, 'keyword')!);
  const found = build.problems.length;
  const names = itemsInBraces(build, decl, (item) => buildImportName(build, item));
  if (token(decl, 'LCurly') === undefined) {
    const message = 'imported names stand in braces: `import { name } from "file"`';
    build.report('FC0114', after(keyword), message, { expected: ['{'] });
  }
  const word = token(decl, 'From');
  const source = token(decl, 'source');
  if (source !== undefined && (word !== undefined || build.problems.length > found)) {
    return { kind: 'import', names, from: buildString(source), span };
  }
  const example = '`from` and a file here, such as `from "std/devices"`';
  if (word === undefined && build.problems.length === found) {
    build.report('FC0114', after(span), `expected ${example}`, { expected: ['from'] });
  }
  const bare = node(decl, 'junk');
  const from =
    source !== undefined
      ? buildString(source)
      : bare !== undefined
        ? unquoted(build, bare)
        : build.problems.length > found
          ? ({ kind: 'error', span: after(span) } as const)
          : missingValue(build, after(span), 'a file in quotes after `from`');
  return { kind: 'import', names, from, span };
}

/** A file that stands without its quotes: words with a sign between any two. What else stands there is none. */
function unquoted(build: Build, bare: CstNode): ImportDecl['from'] {
  const value = tokens(bare, 'token')
    .map(({ image }) => image)
    .join('');
  const span = spanOfNode(bare);
  if (!/^[./-]*\w+(?:[ \t]*[./-]+[ \t]*\w+)*$/.test(build.text.slice(span.start, span.end))) {
    missingValue(build, span, 'a file in quotes after `from`');
    return { kind: 'error', span };
  }
  const suggestion = `"${value}"`;
  build.report('FC0103', span, 'expected a file in quotes after `from`', {
    helps: [`write \`${suggestion}\``],
    data: { expected: 'a file in quotes after `from`', suggestion },
  });
  return { kind: 'string', value, span };
}

function buildImportName(build: Build, item: CstNode): ImportDecl['names'][number] {
  const name = nameOf(token(item, 'name')!);
  const as = token(item, 'As');
  if (as === undefined) return { name };
  return { name, alias: nameOrHole(build, token(item, 'alias'), after(spanOf(as)), 'a name after `as`') };
}

function buildParam(build: Build, decl: CstNode): ParamDecl {
  const span = spanOfNode(decl);
  const found = build.problems.length;
  const keyword = after(spanOf(token(decl, 'keyword')!));
  const name = nameOrHole(build, token(decl, 'name'), keyword, 'the name of the param');
  const faulty = (): boolean => build.problems.length > found;
  const colon = token(decl, 'Colon');
  const type = token(decl, 'type');
  const typeHole = after(colon === undefined ? name.span : spanOf(colon));
  if (type === undefined && !faulty()) {
    const helps = [`write \`param ${name.text}: int = 4\``];
    build.report('FC0114', typeHole, 'expected a type here, such as `: int`', { helps });
  }
  const equals = token(decl, 'Equals');
  const valueHole = after(
    equals !== undefined ? spanOf(equals) : type !== undefined ? spanOf(type) : typeHole,
  );
  const value =
    node(decl, 'value') === undefined && faulty()
      ? ({ kind: 'error', span: valueHole } as const)
      : expressionOrHole(build, node(decl, 'value'), valueHole, 'a default, such as `= 4`');
  const word = token(decl, 'In');
  const list = node(decl, 'domain');
  if (word !== undefined && list === undefined && !faulty()) {
    missingValue(build, after(spanOf(word)), 'a list of values after `in`');
  }
  return {
    kind: 'param',
    name,
    type: type === undefined ? { text: '', span: typeHole } : nameOf(type),
    value,
    ...(list === undefined ? {} : { domain: buildList(build, list) }),
    span,
    ...documented(build, span),
  };
}

function buildPropertiesDecl(build: Build, decl: CstNode): DeviceDecl | ModelDecl | WorkloadDecl {
  const keyword = token(decl, 'keyword')!;
  const kind = keyword.image as 'device' | 'model' | 'workload';
  const span = spanOfNode(decl);
  const name = nameOrHole(build, token(decl, 'name'), after(spanOf(keyword)), `the name of the ${kind}`);
  checkHead(build, decl, []);
  const members = buildProperties(build, node(decl, 'block'), places[kind], headEnd(decl, name.span));
  return { kind, name, members, span, ...documented(build, span) };
}
