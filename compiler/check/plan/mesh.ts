/** Meshes: axis sizes, `fill`, and what fits the devices of a stage. */
import type { MeshExpr } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Origin } from '../../diagnostics/diagnostic.js';
import type { Mesh } from '../../plan/plan.js';
import { keepsBlocks, type SizedModel } from '../../plan/weight-groups.js';
import { plainName } from '../evaluate.js';
import { count } from '../readers.js';
import { at, suggestions, type Context } from '../scope.js';

export type Axis = keyof Mesh;
const AXES: readonly Axis[] = ['dp', 'pp', 'tp'];

export interface CheckedMesh {
  readonly mesh: Mesh;
  /** The entry of each axis that is written. */
  readonly axes: Readonly<Partial<Record<Axis, Origin>>>;
}

interface MeshUse {
  readonly stage: string;
  readonly model: string;
  readonly sized: SizedModel;
  readonly devices: number;
  /** Where the devices are named. */
  readonly on: Origin;
}

/** Axis sizes of a mesh over `use.devices` devices, or undefined after reporting. */
export function readMesh(expr: MeshExpr, cx: Context, use: MeshUse): CheckedMesh | undefined {
  const sizes: Partial<Record<Axis, number>> = {};
  const axes: Partial<Record<Axis, Origin>> = {};
  const fills: Axis[] = [];
  let failed = false;
  for (const { axis, size } of expr.entries) {
    const origin: Origin = { file: cx.scope.path, span: { start: axis.span.start, end: size.span.end } };
    const name = readAxis(axis, cx, use.model);
    if (!name) {
      failed = true;
      continue;
    }
    if (axes[name]) {
      cx.report(
        report(
          'axis-repeated',
          { axis: name },
          { primary: origin, related: [{ ...axes[name], label: 'named here first' }] },
        ),
      );
      failed = true;
      continue;
    }
    axes[name] = origin;
    if (plainName(size)?.text === 'fill' && cx.scope.names.get('fill')?.decl.kind !== 'param') {
      fills.push(name);
      continue;
    }
    const value = count(size, cx, `\`${name}\``);
    if (value === undefined) failed = true;
    else sizes[name] = value;
  }
  if (failed) return undefined;
  const rest = AXES.reduce((product, axis) => product * (sizes[axis] ?? 1), 1);
  if (fills.length > 1) {
    cx.report(report('two-fills', { axes: fills }, { primary: axes[fills[1]!]! }));
    return undefined;
  }
  const [filled] = fills;
  if (filled) {
    if (use.devices % rest !== 0) {
      cx.report(
        report(
          'fill-not-whole',
          { axis: filled, devices: use.devices, rest },
          { primary: at(cx, expr), related: [onDevices(use)], helps: fittingMeshes(use) },
        ),
      );
      return undefined;
    }
    sizes[filled] = use.devices / rest;
  }
  const mesh: Mesh = { dp: sizes.dp ?? 1, pp: sizes.pp ?? 1, tp: sizes.tp ?? 1 };
  const ranks = ranksOf(mesh);
  if (ranks !== use.devices) {
    const written = expr.entries.map(({ axis }) => `${axis.text}: ${sizes[axis.text as Axis]}`).join(', ');
    cx.report(
      report(
        'mesh-size',
        { stage: use.stage, mesh: written, ranks, devices: use.devices },
        { primary: at(cx, expr), related: [onDevices(use)], helps: fittingMeshes(use) },
      ),
    );
    return undefined;
  }
  return { mesh, axes };
}

const onDevices = (use: MeshUse): Origin & { readonly label: string } => ({
  ...use.on,
  label: `${use.devices} device${use.devices === 1 ? '' : 's'}`,
});

function readAxis(
  axis: { readonly text: string; readonly span: Origin['span'] },
  cx: Context,
  model: string,
): Axis | undefined {
  if ((AXES as readonly string[]).includes(axis.text)) return axis.text as Axis;
  if (axis.text === '') return undefined;
  const primary = at(cx, axis);
  if (axis.text === 'ep') {
    const helps = ['dp splits requests, pp layers, tp heads, ffn and vocab'];
    cx.report(report('unsupported-axis', { axis: axis.text, model }, { primary, helps }));
  } else {
    cx.report(
      report(
        'unknown-axis',
        { axis: axis.text },
        { primary, ...suggestions(primary, axis.text, AXES, 'axes') },
      ),
    );
  }
  return undefined;
}

/** Ranks of a mesh. */
export function ranksOf(mesh: Mesh): number {
  return mesh.dp * mesh.pp * mesh.tp;
}

/** Divisors of `n`, ascending. */
export function divisors(n: number): readonly number[] {
  return Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);
}

/** Widths of `tp` that every dimension of the model can be split over. */
export function tpWidths(model: SizedModel): readonly number[] {
  const { shape } = model;
  return divisors(shape.kvHeads).filter(
    (tp) =>
      shape.heads % tp === 0 &&
      shape.ffn % tp === 0 &&
      keepsBlocks(model, 'heads', tp) &&
      keepsBlocks(model, 'ffn', tp),
  );
}

/** A mesh as written: axes of size 1 are left out. */
export function showMesh(mesh: Mesh): string {
  const shown = AXES.filter((axis) => mesh[axis] > 1).map((axis) => `${axis}: ${mesh[axis]}`);
  return shown.length === 0 ? 'tp: 1' : shown.join(', ');
}

/** Help lines that list the meshes without `dp` which fit the devices and the model. */
function fittingMeshes(use: MeshUse): readonly string[] {
  const meshes = tpWidths(use.sized)
    .filter((tp) => use.devices % tp === 0 && use.devices / tp <= use.sized.shape.layers)
    .map((tp): Mesh => ({ dp: 1, pp: use.devices / tp, tp }));
  if (meshes.length === 0) return ['`dp: fill` takes whatever the other axes leave'];
  return [
    `${meshes.map((m) => `(${showMesh(m)})`).join(', ')} fit ${use.devices} devices; \`dp\` may take a part of either`,
  ];
}
