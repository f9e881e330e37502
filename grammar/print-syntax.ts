/**
 * A readable dump of a syntax tree (`--emit syntax`): one line per declaration or member, nested by indentation.
 * It says how the text was read: every binary expression stands in parentheses, quantities with their unit, chains
 * in angle brackets. The same tree always prints the same text.
 */
import type { Expectation, Expr, Item, Name, PlanMember, SourceFile } from './syntax.js';
import type { FlowRule, PathExpr, StageMember, TopologyMember } from './syntax.js';

type AnyMember = Item | TopologyMember | PlanMember | StageMember | FlowRule | Expectation;

/** The whole tree, ending with a line end. */
export function printSyntax(file: SourceFile): string {
  return [`file ${JSON.stringify(file.path)}`, ...file.items.flatMap((item) => print(item, 1)), ''].join(
    '\n',
  );
}

/** One expression on one line. */
export function printExpr(expr: Expr): string {
  switch (expr.kind) {
    case 'number':
      return String(expr.value);
    case 'quantity':
      return `${expr.value} ${expr.unit.text}`;
    case 'string':
      return JSON.stringify(expr.value);
    case 'bool':
      return String(expr.value);
    case 'path':
      return printPath(expr);
    case 'list':
      return `[${expr.items.map(printExpr).join(', ')}]`;
    case 'record': {
      const entries = expr.entries.map(({ key, value }) => `${key.text}: ${printExpr(value)}`);
      return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
    }
    case 'mesh':
      return `mesh(${expr.entries.map(({ axis, size }) => `${axis.text}: ${printExpr(size)}`).join(', ')})`;
    case 'call': {
      const args = expr.args.map(({ name, value }) => `${name ? `${name.text}: ` : ''}${printExpr(value)}`);
      return `${expr.callee.text}(${args.join(', ')})`;
    }
    case 'unary':
      return `(${expr.op === 'not' ? 'not ' : '-'}${printExpr(expr.operand)})`;
    case 'binary':
      return `(${printExpr(expr.left)} ${expr.op} ${printExpr(expr.right)})`;
    case 'chain': {
      const links = expr.links.map(
        ({ target, upTo }) => printPath(target) + (upTo === undefined ? '' : ` up to ${printExpr(upTo)}`),
      );
      return `<${links.join(' -> ')}>`;
    }
    case 'error':
      return '<error>';
  }
}

function printPath(path: PathExpr): string {
  return path.segments
    .map(({ name, index }) => {
      if (index === undefined) return name.text;
      const last = index.last === undefined ? '' : `..${printExpr(index.last)}`;
      return `${name.text}[${printExpr(index.first)}${last}]`;
    })
    .join('.');
}

function names(list: readonly Name[]): string {
  return list.map(({ text }) => text || '<missing>').join(', ');
}

function named(word: string, name: Name | undefined): string {
  return name === undefined ? '' : ` ${word} ${name.text || '<missing>'}`;
}

function print(member: AnyMember, depth: number): string[] {
  const indent = '  '.repeat(depth);
  const doc = 'doc' in member && member.doc !== undefined ? member.doc.split('\n') : [];
  const lines = [...doc.map((line) => `/// ${line}`.trimEnd()), head(member)].map((line) => indent + line);
  return [...lines, ...inside(member).flatMap((inner) => print(inner, depth + 1))];
}

function inside(member: AnyMember): readonly AnyMember[] {
  if ('members' in member) return member.members;
  if (member.kind === 'flow') return member.rules;
  return member.kind === 'expect' ? member.items : [];
}

function head(member: AnyMember): string {
  switch (member.kind) {
    case 'unknown':
      return `unknown ${member.keyword.text}`;
    case 'property':
      return `${member.name.text}: ${printExpr(member.value)}`;
    case 'language':
      return `language ${printExpr(member.edition)}`;
    case 'import': {
      const list = member.names.map(({ name, alias }) => name.text + named('as', alias));
      return `import ${list.join(', ')} from ${printExpr(member.from)}`;
    }
    case 'param': {
      const domain = member.domain === undefined ? '' : ` in ${printExpr(member.domain)}`;
      return `param ${names([member.name])}: ${names([member.type])} = ${printExpr(member.value)}${domain}`;
    }
    case 'devices':
    case 'group': {
      const count = member.count === undefined ? '' : `[${printExpr(member.count)}]`;
      const device = member.kind === 'devices' ? `: ${printExpr(member.device)}` : '';
      return `${member.kind} ${member.name.text}${count}${device}`;
    }
    case 'link':
      return `link ${printExpr(member.from)} <-> ${printExpr(member.to)}`;
    case 'plan': {
      const clauses = named('for', member.model) + named('on', member.topology) + named('from', member.base);
      return `plan ${names([member.name])}${clauses}`;
    }
    case 'stage': {
      const phases = member.phases.length === 0 ? '' : `: ${member.phases.map((it) => it.text).join(' + ')}`;
      const on = member.on === undefined ? '' : ` on ${member.on.map(printExpr).join(', ')}`;
      return `stage ${names([member.name])}${phases}${on}${named('like', member.like)}`;
    }
    case 'mesh_member':
      return member.mesh === 'auto' ? 'mesh auto' : `mesh ${printExpr(member.mesh)}`;
    case 'shard':
      return `shard ${names(member.dims)}${named('on', member.axis)}`;
    case 'replicate':
      return `replicate ${names(member.dims)}${member.by === undefined ? '' : ` by ${printExpr(member.by)}`}`;
    case 'split':
      return `split ${names([member.dim])}${named('on', member.axis)} ${printExpr(member.sizes)}`;
    case 'override':
      return `override ${printExpr(member.target)}`;
    case 'flow':
      return `flow ${member.path.map(({ text }) => text).join(' -> ')}`;
    case 'rule':
      return `to ${names([member.to])} when ${printExpr(member.when)}`;
    case 'bound':
      return `bound ${printExpr(member.condition)}${named('for', member.workload)}`;
    case 'never':
      return `never ${names([member.op])}${named('of', member.of)}${named('in', member.stage)}`;
    case 'kv':
    case 'expect':
    case 'overhead':
      return member.kind;
    default:
      return `${member.kind} ${names([member.name])}`;
  }
}
