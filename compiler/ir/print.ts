/** Small pieces that the printers of all levels share, so that equal things print equally everywhere. */
import type { Origin } from '../diagnostics/diagnostic.js';
import type { Mesh } from '../plan/plan.js';
import type { LogicalValue, TensorType } from './logical.js';
import type { MeshAxis, Sharding } from './sharded.js';
import { axesOf } from './sharding-algebra.js';

export interface PrintOptions {
  /** Turns an origin into `serve.plan:26:14`; without it no provenance is printed. */
  readonly origin?: (origin: Origin) => string;
}

/** Puts two spaces before every line. */
export function indent(lines: readonly string[]): string[] {
  return lines.map((line) => (line === '' ? '' : `  ${line}`));
}

/** `head {`, the lines, `}`. */
export function braced(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...indent(lines), '}'];
}

/** Columns separated by two spaces, each as wide as its widest cell; nothing is padded at line ends. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

/** `f32[tokens@dp, heads@tp, head_dim]{partial tp}`; without a sharding `f32[tokens, heads, head_dim]`. */
export function printType(type: TensorType, sharding?: Sharding): string {
  const dims = type.dims.map((dim) => `${dim.name}${printAxes(sharding ? axesOf(sharding, dim.name) : [])}`);
  const partial = sharding && sharding.partial.length > 0 ? `{partial ${sharding.partial.join(', ')}}` : '';
  return `${type.dtype}[${dims.join(', ')}]${partial}`;
}

/** Tensor of a weight, with the row it starts at where it lies in a part of it; nothing for other values. */
export function printTensor({ tensor, firstRow }: Pick<LogicalValue, 'tensor' | 'firstRow'>): string {
  return `${tensor ?? ''}${firstRow === undefined ? '' : ` from row ${firstRow}`}`;
}

/** `@tp`, `@dp.tp` (major to minor), or nothing. */
export function printAxes(axes: readonly MeshAxis[]): string {
  return axes.length === 0 ? '' : `@${axes.join('.')}`;
}

/** `(pp: 2, tp: 4)`: axes of size one are left out; `(tp: 1)` when all are. */
export function printMesh(mesh: Mesh): string {
  const axes = (['dp', 'pp', 'tp'] as const).filter((axis) => mesh[axis] > 1);
  return axes.length === 0 ? '(tp: 1)' : `(${axes.map((axis) => `${axis}: ${mesh[axis]}`).join(', ')})`;
}

/** `0..3` for an inclusive run, `3` for a run of one. */
export function printRun(first: number, last: number): string {
  return first === last ? `${first}` : `${first}..${last}`;
}

/** `0..3, 8` for device ids in their order: neighbours that count up are drawn together. */
export function printIds(ids: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const id of ids) {
    const run = runs.at(-1);
    if (run && run[1] + 1 === id) run[1] = id;
    else runs.push([id, id]);
  }
  return runs.map(([first, last]) => printRun(first, last)).join(', ');
}

/** `  // serve.plan:26:14`, or nothing when origins are not printed. */
export function printOrigin(origin: Origin, options: PrintOptions): string {
  return options.origin ? `// ${options.origin(origin)}` : '';
}
