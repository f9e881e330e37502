/** Topologies: devices, groups, tiers, links, overhead. */
import type { CstNode } from 'chevrotain';
import { nameOrHole } from './build-context.js';
import type { Build } from './build-context.js';
import { buildIndex, checkColon, missingValue, pathOrHole, valueAfterColon } from './build-expression.js';
import {
  buildMembers,
  buildProperties,
  checkHead,
  checkSurplus,
  hasBlock,
  places,
  reportSurplus,
} from './build-members.js';
import { after, firstToken, nameOf, node, nodes, spanOfNode, token } from './cst.js';
import { suggest } from './did-you-mean.js';
import { spanOf } from './lex.js';
import type {
  DeviceArray,
  ErrorExpr,
  Expr,
  GroupDecl,
  LinkDecl,
  OverheadDecl,
  PathExpr,
  Property,
  Span,
  TierDecl,
  TopologyDecl,
  TopologyMember,
  UnknownItem,
} from './syntax.js';

/** A `topologyDecl` node. */
export function buildTopology(build: Build, decl: CstNode): TopologyDecl {
  const span = spanOfNode(decl);
  const keyword = after(spanOf(token(decl, 'keyword')!));
  const name = nameOrHole(build, token(decl, 'name'), keyword, 'the name of the topology');
  checkHead(build, decl, []);
  const block = node(decl, 'block');
  const members = hasBlock(build, block, headEnd(decl, name.span)) ? buildBlock(build, block) : [];
  return { kind: 'topology', name, members, span, ...documented(build, span) };
}

/** The doc comment of a declaration as a field, when it has one. */
export function documented(build: Build, span: Span): { doc?: string } {
  const doc = build.doc(span.start);
  return doc === undefined ? {} : { doc };
}

/** Where the head of an item ends and its block should start, given its last sound clause. */
export function headEnd(decl: CstNode, head: Span): Span {
  const junk = node(decl, 'junk');
  return junk === undefined ? head : spanOfNode(junk);
}

function buildBlock(build: Build, block: CstNode): readonly TopologyMember[] {
  return buildMembers<TopologyMember>(build, block, places.topology, (item) => {
    switch (item.name) {
      case 'tierDecl':
        return buildTier(build, item);
      case 'linkDecl':
        return buildLink(build, item);
      case 'overheadDecl':
        return buildOverhead(build, item);
      default:
        return buildPlaced(build, item);
    }
  });
}

function buildTier(build: Build, decl: CstNode): TierDecl {
  const span = spanOfNode(decl);
  const keyword = after(spanOf(token(decl, 'keyword')!));
  checkSurplus(build, decl);
  const name = nameOrHole(build, token(decl, 'name'), keyword, 'the name of the tier');
  checkHead(build, decl, []);
  const members = buildProperties(build, node(decl, 'block'), places.tier, headEnd(decl, name.span));
  return { kind: 'tier', name, members, span, ...documented(build, span) };
}

function buildLink(build: Build, decl: CstNode): LinkDecl {
  const span = spanOfNode(decl);
  const keyword = spanOf(token(decl, 'keyword')!);
  checkSurplus(build, decl);
  const before = build.problems.length;
  const from = pathOrHole(build, node(decl, 'from'), after(keyword), 'a place');
  const sign = token(decl, 'sign');
  if (sign?.image === '->') {
    build.report('FC0101', spanOf(sign), 'a link goes both ways', {
      helps: ['write `<->`'],
      expected: ['<->'],
    });
  }
  const first = build.problems.length === before;
  if (sign === undefined && first && node(decl, 'junk') === undefined) {
    build.report('FC0114', after(from.span), 'expected `<->` here', { expected: ['<->'] });
  }
  const to = linkEnd(build, decl, sign === undefined ? from.span : spanOf(sign), sign !== undefined);
  checkHead(build, decl, ['<->']);
  const members = buildProperties(build, node(decl, 'block'), places.link, headEnd(decl, to.span));
  return { kind: 'link', from, to, members, span, ...documented(build, span) };
}

function linkEnd(build: Build, decl: CstNode, before: Span, signed: boolean): PathExpr | ErrorExpr {
  const found = node(decl, 'to');
  if (found === undefined && !signed) return { kind: 'error', span: after(before) };
  return pathOrHole(build, found, after(before), 'a place after `<->`');
}

function buildOverhead(build: Build, decl: CstNode): OverheadDecl {
  checkHead(build, decl, []);
  const head = headEnd(decl, spanOf(token(decl, 'keyword')!));
  const members = buildProperties(build, node(decl, 'block'), places.overhead, head);
  return { kind: 'overhead', members, span: spanOfNode(decl) };
}

/**
 * What stands under its own name. With a block it is a group. Otherwise `name: path` is a device or, with a count,
 * an array of them; any other value makes it a property.
 */
function buildPlaced(build: Build, placed: CstNode): DeviceArray | GroupDecl | Property | UnknownItem {
  const span = spanOfNode(placed);
  const name = nameOf(token(placed, 'name')!);
  const index = node(placed, 'index');
  const block = node(placed, 'block');
  const colon = node(placed, 'colon');
  if (block !== undefined && (colon === undefined || node(placed, 'value') === undefined)) {
    const near =
      index === undefined && !isGroup(block) ? suggest(name.text, places.topology.keywords) : undefined;
    if (near !== undefined) {
      build.report('FC0102', name.span, `unknown item \`${name.text}\` in a topology`, {
        helps: [`did you mean \`${near}\`?`],
        expected: places.topology.keywords,
        data: { found: name.text, suggestion: near },
      });
      return { kind: 'unknown', keyword: name, span };
    }
    const count = countOf(build, index);
    if (colon !== undefined && index !== undefined && !isGroup(block)) {
      const { start } = spanOfNode(block);
      const device = missingValue(build, { start, end: start + 1 }, 'the name of a device', [
        'its properties stand in a `device` of their own',
      ]);
      return { kind: 'devices', name, ...count, device, span, ...documented(build, span) };
    }
    if (colon !== undefined) reportSurplus(build, firstToken(colon), name.text);
    hasBlock(build, block, name.span);
    return {
      kind: 'group',
      name,
      ...count,
      members: buildBlock(build, block),
      span,
      ...documented(build, span),
    };
  }
  if (index !== undefined) {
    const found = build.problems.length;
    const count = countOf(build, index);
    if (node(placed, 'colon') === undefined) {
      if (build.problems.length === found)
        checkColon(build, placed, { text: `${name.text}[...]`, span: spanOfNode(index) });
      const device: ErrorExpr = { kind: 'error', span: after(span) };
      return { kind: 'devices', name, ...count, device, span, ...documented(build, span) };
    }
    const value = valueAfterColon(build, placed, name);
    refuseBlock(build, block, name.text, value);
    const device = value.kind === 'path' || value.kind === 'error' ? value : notADevice(build, value);
    return { kind: 'devices', name, ...count, device, span, ...documented(build, span) };
  }
  const value = valueAfterColon(build, placed, name);
  refuseBlock(build, block, name.text, value);
  if (value.kind === 'path')
    return { kind: 'devices', name, device: value, span, ...documented(build, span) };
  return { kind: 'property', name, value, span, ...documented(build, span) };
}

/** Says that no block can stand behind the kind or value of what is named. */
function refuseBlock(build: Build, block: CstNode | undefined, name: string, value: Expr): void {
  if (block === undefined || value.kind === 'error') return;
  const { start } = spanOfNode(block);
  build.report('FC0101', { start, end: start + 1 }, `unexpected \`{\`: \`${name}\` has a value already`, {
    helps: [
      'properties of devices stand in their `device`; tiers and links stand beside the devices',
      `a group has a block and no value: \`${name}[2] { ... }\``,
    ],
  });
}

/** Whether a block holds anything but properties, so that it was meant as a group. */
function isGroup(block: CstNode): boolean {
  return nodes(block, 'item').some(
    (item) =>
      item.name !== 'placed' || node(item, 'index') !== undefined || node(item, 'block') !== undefined,
  );
}

function countOf(build: Build, index: CstNode | undefined): { count?: Expr } {
  if (index === undefined) return {};
  const { first, last, span } = buildIndex(build, index);
  if (last !== undefined)
    build.report('FC0101', span, 'a count is one number, not a range', {
      helps: ['write how many there are, such as `[8]`: they are counted from 0'],
    });
  return { count: first };
}

function notADevice(build: Build, value: Expr): ErrorExpr {
  return missingValue(build, value.span, 'the name of a device');
}
