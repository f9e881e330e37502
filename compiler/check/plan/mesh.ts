/** Meshes: axis sizes, `fill`, and what fits the devices of a stage. */
import type { MeshExpr } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import { devicesWord } from '../../diagnostics/catalogue/entry.js';
import type { Fix, Origin } from '../../diagnostics/diagnostic.js';
import type { Mesh } from '../../plan/plan.js';
import { keepsBlocks, type SizedModel } from '../../plan/weight-groups.js';
import { MOST_DEVICES } from '../check-topology.js';
import { plainName } from '../evaluate.js';
import { quantity } from '../readers.js';
import { removal, replacement } from '../fixes.js';
import { at, choices, type Context } from '../scope.js';

export type Axis = keyof Mesh;
const AXES: readonly Axis[] = ['dp', 'pp', 'tp'];

const axisSize = quantity('number', { whole: true, min: 1, max: MOST_DEVICES });

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
    const others = expr.entries.map((entry) => entry.axis.text).filter((text) => text !== axis.text);
    const name = readAxis(axis, origin, cx, use.model, others);
    if (!name) {
      failed = true;
      continue;
    }
    if (axes[name]) {
      cx.report(
        report(
          'axis-repeated',
          { axis: name },
          {
            primary: origin,
            related: [{ ...axes[name], label: 'named here first' }],
            fixes: [removal(cx, origin.span, `this \`${name}\``)],
          },
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
    const value = axisSize(size, cx, `\`${name}\``);
    if (value === undefined) failed = true;
    else sizes[name] = value;
  }
  if (failed) return undefined;
  const rest = AXES.reduce((product, axis) => product * (sizes[axis] ?? 1), 1);
  if (fills.length > 1) {
    const primary = axes[fills[1]!]!;
    cx.report(
      report('two-fills', { axes: fills }, { primary, fixes: [replacement(primary, `${fills[1]!}: 1`)] }),
    );
    return undefined;
  }
  const [filled] = fills;
  if (filled) {
    if (use.devices % rest !== 0) {
      cx.report(
        report(
          'fill-not-whole',
          { axis: filled, devices: use.devices, rest },
          { primary: at(cx, expr), related: [onDevices(use)], ...fittingMeshes(use, at(cx, expr)) },
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
        { primary: at(cx, expr), related: [onDevices(use)], ...fittingMeshes(use, at(cx, expr)) },
      ),
    );
    return undefined;
  }
  return { mesh, axes };
}

const onDevices = (use: MeshUse): Origin & { readonly label: string } => ({
  ...use.on,
  label: devicesWord(use.devices),
});

function readAxis(
  axis: { readonly text: string; readonly span: Origin['span'] },
  origin: Origin,
  cx: Context,
  model: string,
  others: readonly string[],
): Axis | undefined {
  if ((AXES as readonly string[]).includes(axis.text)) return axis.text as Axis;
  if (axis.text === '') return undefined;
  const primary = at(cx, axis);
  if (axis.text === 'ep') {
    const helps = ['dp splits requests, pp layers, tp heads, ffn and vocab'];
    const fixes = [removal(cx, origin.span, '`ep`')];
    cx.report(report('unsupported-axis', { axis: axis.text, model }, { primary, helps, fixes }));
  } else {
    const left = AXES.filter((known) => !others.includes(known));
    cx.report(
      report('unknown-axis', { axis: axis.text }, { primary, ...choices(primary, axis.text, left, 'axes') }),
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
  const low: number[] = [];
  for (let d = 1; d * d <= n; d++) if (n % d === 0) low.push(d);
  const high = low.map((d) => n / d).reverse();
  return low.at(-1) === high[0] ? [...low, ...high.slice(1)] : [...low, ...high];
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

/** The meshes without `dp` that fit the devices and the model. */
export function meshesOf(devices: number, model: SizedModel): readonly Mesh[] {
  return tpWidths(model)
    .filter((tp) => devices % tp === 0 && devices / tp <= model.shape.layers)
    .map((tp): Mesh => ({ dp: 1, pp: devices / tp, tp }));
}

/** A help line that lists the meshes without `dp` which fit, and each of them in place of the mesh at `written`. */
function fittingMeshes(
  use: MeshUse,
  written: Origin,
): { readonly helps: readonly string[]; readonly fixes: readonly Fix[] } {
  const meshes = meshesOf(use.devices, use.sized).map((mesh) => `(${showMesh(mesh)})`);
  const fixes = (meshes.length > 0 ? meshes : ['(dp: fill)']).map((mesh) => replacement(written, mesh));
  if (meshes.length === 0) return { helps: ['`dp: fill` takes whatever the other axes leave'], fixes };
  const fit = meshes.length === 1 ? 'fits' : 'fit';
  const part = use.devices === 1 ? '' : `; \`dp\` may take a part of ${meshes.length === 1 ? 'it' : 'each'}`;
  return { helps: [`${meshes.join(', ')} ${fit} ${devicesWord(use.devices)}${part}`], fixes };
}
