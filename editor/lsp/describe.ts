/** A declaration in one line, as hover and completion show it. */
import type { Expr } from '../../grammar/syntax.js';
import { membersOf } from '../../grammar/items.js';
import type { Site } from './resolve.js';

/** Properties that say most about a declaration, by its kind. */
const TELLING: Readonly<Record<string, readonly string[]>> = {
  device: ['memory', 'bandwidth', 'compute'],
  model: ['source', 'family', 'layers', 'hidden', 'heads', 'kv_heads', 'weights'],
  workload: ['requests', 'prompt', 'output'],
  tier: ['capacity', 'path'],
};

/** `device l4 { memory: 24 GB, … }`. */
export function describeSite({ node }: Site): string {
  switch (node.kind) {
    case 'param':
      return `param ${node.name.text}: ${node.type.text} = ${showExpr(node.value)}${node.domain ? ` in ${showExpr(node.domain)}` : ''}`;
    case 'devices':
      return `${node.name.text}${node.count ? `[${showExpr(node.count)}]` : ''}: ${showExpr(node.device)}`;
    case 'group':
      return `${node.name.text}${node.count ? `[${showExpr(node.count)}]` : ''} { … }`;
    case 'plan': {
      const head = [
        node.model?.text && `for ${node.model.text}`,
        node.topology?.text && `on ${node.topology.text}`,
        node.base?.text && `from ${node.base.text}`,
      ];
      return ['plan', node.name.text, ...head.filter(Boolean)].join(' ');
    }
    case 'stage': {
      const named = node.phases.map(({ text }) => text).filter((text) => text !== '');
      const phases = named.length > 0 ? `: ${named.join(' + ')}` : '';
      return `stage ${node.name.text}${phases}${node.on ? ` on ${node.on.map(showExpr).join(', ')}` : ''}${node.like ? ` like ${node.like.text}` : ''}`;
    }
    default: {
      const shown = membersOf(node).flatMap((member) =>
        member.kind === 'property' && TELLING[node.kind]?.includes(member.name.text) === true
          ? [`${member.name.text}: ${showExpr(member.value)}`]
          : [],
      );
      return `${node.kind} ${node.name.text}${shown.length > 0 ? ` { ${shown.join(', ')} }` : ''}`;
    }
  }
}

/** An expression in its canonical form. */
export function showExpr(expr: Expr): string {
  switch (expr.kind) {
    case 'number':
    case 'bool':
      return String(expr.value);
    case 'quantity':
      return `${expr.value}${expr.unit.text === '%' ? '' : ' '}${expr.unit.text}`;
    case 'string':
      return JSON.stringify(expr.value);
    case 'path':
      return expr.segments
        .map(({ name, index }) => {
          const range = index && `[${showExpr(index.first)}${index.last ? `..${showExpr(index.last)}` : ''}]`;
          return `${name.text}${range ?? ''}`;
        })
        .join('.');
    case 'list':
      return `[${expr.items.map(showExpr).join(', ')}]`;
    case 'record':
      return `{ ${expr.entries.map(({ key, value }) => `${key.text}: ${showExpr(value)}`).join(', ')} }`;
    case 'mesh':
      return `(${expr.entries.map(({ axis, size }) => `${axis.text}: ${showExpr(size)}`).join(', ')})`;
    case 'call':
      return `${expr.callee.text}(${expr.args.map(({ name, value }) => `${name ? `${name.text}: ` : ''}${showExpr(value)}`).join(', ')})`;
    case 'unary':
      return expr.op === '-' ? `-${showExpr(expr.operand)}` : `not ${showExpr(expr.operand)}`;
    case 'binary':
      return `${showExpr(expr.left)} ${expr.op} ${showExpr(expr.right)}`;
    case 'chain':
      return expr.links
        .map(({ target, upTo }) => `${showExpr(target)}${upTo ? ` up to ${showExpr(upTo)}` : ''}`)
        .join(' -> ');
    case 'error':
      return '…';
  }
}
