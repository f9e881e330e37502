/** `shard`, `replicate`, `split` and `override` lines: from the default placement of dimensions to that of a stage. */
import type {
  Name,
  OverrideMember,
  ReplicateMember,
  ShardMember,
  SplitMember,
} from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Origin } from '../../diagnostics/diagnostic.js';
import type { LayerSharding, Mesh, Stage, TpDim } from '../../plan/plan.js';
import { pathText } from '../evaluate.js';
import { count } from '../readers.js';
import { removal, replacement } from '../fixes.js';
import { at, suggestions, type Context } from '../scope.js';
import type { Placed } from './merge-plan.js';

export const TP_DIMS: readonly TpDim[] = ['heads', 'kv_heads', 'ffn', 'vocab'];

/** Dimensions that a line may name, with the only axis that splits them. */
const AXIS_OF: Readonly<Record<string, 'dp' | 'pp' | 'tp' | undefined>> = {
  requests: 'dp',
  layers: 'pp',
  heads: 'tp',
  kv_heads: 'tp',
  ffn: 'tp',
  vocab: 'tp',
  hidden: undefined,
  head_dim: undefined,
};

const ONLY: Readonly<Record<string, string>> = {
  dp: '`dp` splits requests',
  pp: '`pp` splits layers',
  tp: '`tp` splits heads, kv_heads, ffn and vocab',
};

const DEFAULT: LayerSharding = { onTp: TP_DIMS, kvReplicas: 1 };

type Placement = Placed<ShardMember | ReplicateMember>;

/** The sharding that the lines make of `base`, with the line that placed each dimension. */
export function readPlacements(
  lines: readonly Placement[],
  base: LayerSharding = DEFAULT,
): { readonly sharding: LayerSharding; readonly origins: ReadonlyMap<TpDim, Origin> } | undefined {
  const onTp = new Set(base.onTp);
  const origins = new Map<TpDim, Origin>();
  let kvReplicas = base.kvReplicas;
  let failed = false;
  for (const { node, cx } of lines) {
    for (const dim of node.dims) {
      if (!placeable(dim, node, cx)) {
        failed = true;
        continue;
      }
      const name = dim.text as TpDim;
      if (!TP_DIMS.includes(name)) continue;
      const earlier = origins.get(name);
      if (earlier) {
        cx.report(
          report(
            'placed-twice',
            { dim: name },
            {
              primary: at(cx, dim),
              related: [{ ...earlier, label: 'placed here first' }],
              fixes: [removal(cx, node.dims.length > 1 ? dim.span : node.span, `this \`${name}\``)],
            },
          ),
        );
        failed = true;
        continue;
      }
      origins.set(name, at(cx, dim));
      if (node.kind === 'shard') onTp.add(name);
      else if (node.by === undefined) {
        onTp.delete(name);
        if (name === 'kv_heads') kvReplicas = 1;
      } else if (name === 'kv_heads') {
        const by = count(node.by, cx, '`by`');
        if (by === undefined) failed = true;
        else {
          onTp.add(name);
          kvReplicas = by;
        }
      } else {
        cx.report(
          report(
            'dim-on-wrong-axis',
            { dim: name, axis: 'copies', right: 'only `kv_heads` can be kept in a number of copies' },
            {
              primary: at(cx, node.by),
              helps: [`\`replicate ${name}\` keeps all of it on every rank`],
              fixes: [
                removal(
                  cx,
                  { start: node.dims.at(-1)!.span.end, end: node.by.span.end },
                  'the number of copies',
                ),
              ],
            },
          ),
        );
        failed = true;
      }
    }
  }
  if (failed) return undefined;
  return { sharding: { onTp: TP_DIMS.filter((d) => onTp.has(d)), kvReplicas }, origins };
}

function placeable(dim: Name, node: ShardMember | ReplicateMember, cx: Context): boolean {
  const primary = at(cx, dim);
  if (!Object.hasOwn(AXIS_OF, dim.text)) {
    if (dim.text === '') return false;
    const known = Object.keys(AXIS_OF);
    cx.report(
      report(
        'unknown-dim',
        { dim: dim.text },
        { primary, ...suggestions(primary, dim.text, known, 'dimensions') },
      ),
    );
    return false;
  }
  if (node.kind === 'replicate') {
    if (AXIS_OF[dim.text] === 'tp' || AXIS_OF[dim.text] === undefined) return true;
    const axis = AXIS_OF[dim.text]!;
    const right = `set \`${axis}: 1\` to leave it whole`;
    const fixes = [removal(cx, node.dims.length > 1 ? dim.span : node.span, `\`${dim.text}\``)];
    cx.report(report('dim-on-wrong-axis', { dim: dim.text, axis: 'nothing', right }, { primary, fixes }));
    return false;
  }
  const axis = AXIS_OF[dim.text];
  if (axis !== undefined && axis === node.axis.text) return true;
  if (!Object.hasOwn(ONLY, node.axis.text)) {
    const origin = at(cx, node.axis);
    if (node.axis.text !== '')
      cx.report(
        report(
          'unknown-axis',
          { axis: node.axis.text },
          { primary: origin, ...suggestions(origin, node.axis.text, Object.keys(ONLY), 'axes') },
        ),
      );
    return false;
  }
  const right =
    axis === undefined ? 'every rank needs the whole of it' : `${ONLY[axis]}, and nothing else does`;
  cx.report(
    report(
      'dim-on-wrong-axis',
      { dim: dim.text, axis: node.axis.text, right },
      {
        primary: axis === undefined ? primary : at(cx, node.axis),
        helps: [ONLY[node.axis.text]!],
        fixes:
          axis === undefined
            ? [removal(cx, node.dims.length > 1 ? dim.span : node.span, `\`${dim.text}\``)]
            : [replacement(at(cx, node.axis), axis)],
      },
    ),
  );
  return false;
}

/** Layers of each pipeline stage: as even as possible, earlier stages larger. */
export function evenSplit(layers: number, pp: number): readonly number[] {
  const least = Math.floor(layers / pp);
  const larger = layers % pp;
  return Array.from({ length: pp }, (_, i) => least + (i < larger ? 1 : 0));
}

/** Layers of each pipeline stage as a `split` line gives them. */
export function readSplit(
  { node, cx }: Placed<SplitMember>,
  layers: number,
  mesh: Mesh,
  meshOrigin: Origin,
): readonly number[] | undefined {
  // Where a name is missing, the parser has said so.
  if (node.dim.text === '' || node.axis.text === '') return undefined;
  if (node.dim.text !== 'layers') {
    const primary = at(cx, node.dim);
    const right = 'only `layers` can be split by a list';
    const fixes = [replacement(primary, 'layers')];
    cx.report(
      report('dim-on-wrong-axis', { dim: node.dim.text, axis: node.axis.text, right }, { primary, fixes }),
    );
    return undefined;
  }
  if (node.axis.text !== 'pp') {
    const primary = at(cx, node.axis);
    const right = ONLY['pp']!;
    const fixes = [replacement(primary, 'pp')];
    cx.report(
      report('dim-on-wrong-axis', { dim: 'layers', axis: node.axis.text, right }, { primary, fixes }),
    );
    return undefined;
  }
  if (node.sizes.kind === 'error') return undefined;
  const sizes = node.sizes.items.map((item) => count(item, cx, 'a group of layers'));
  if (sizes.includes(undefined)) return undefined;
  const primary = at(cx, node.sizes);
  const evenly = `[${evenSplit(layers, mesh.pp).join(', ')}]`;
  const [even, fixes] = [`an even split is ${evenly}`, [replacement(primary, evenly)]];
  if (sizes.length !== mesh.pp) {
    const related = [{ ...meshOrigin, label: `pp = ${mesh.pp}` }];
    cx.report(
      report(
        'split-length',
        { given: sizes.length, pp: mesh.pp },
        { primary, related, helps: [even], fixes },
      ),
    );
    return undefined;
  }
  const sum = sizes.reduce<number>((s, n) => s + n!, 0);
  if (sum !== layers) {
    cx.report(report('split-sum', { sum, layers }, { primary, helps: [even], fixes }));
    return undefined;
  }
  return sizes as readonly number[];
}

/** One `override` line: a range of layers, a part of them, and the placement there. */
export function readOverride(
  { node, cx }: Placed<OverrideMember>,
  layers: number,
  base: LayerSharding,
): Stage['overrides'] | undefined {
  if (node.target.kind === 'error') return undefined;
  const target = pathText(node.target, cx.scope.file.text);
  const bad = (why: string, origin: Origin): undefined => {
    const helps = ['for example `override layers[0..1].mlp { replicate ffn }`'];
    cx.report(report('bad-override', { target, why }, { primary: origin, helps }));
    return undefined;
  };
  const [first, part, more] = node.target.segments;
  const whole = at(cx, node.target);
  if (first?.name.text !== 'layers')
    return bad('it must begin with `layers`', first ? at(cx, first.name) : whole);
  if (more || part?.index) return bad('after the layers only `.attention` or `.mlp` may follow', whole);
  if (part && part.name.text !== 'attention' && part.name.text !== 'mlp')
    return bad(
      `a layer has no part \`${part.name.text}\`, only \`attention\` and \`mlp\``,
      at(cx, part.name),
    );
  let [firstLayer, lastLayer] = [0, layers - 1];
  if (first.index) {
    const from = layerIndex(first.index.first, cx);
    const to = first.index.last ? layerIndex(first.index.last, cx) : from;
    if (from === undefined || to === undefined) return undefined;
    if (to < from || to >= layers) return bad(`the model has layers 0 to ${layers - 1}`, at(cx, first.index));
    [firstLayer, lastLayer] = [from, to];
  }
  const lines: Placement[] = [];
  for (const member of node.members) {
    if (member.kind === 'shard' || member.kind === 'replicate') lines.push({ node: member, cx });
    else if (member.kind !== 'unknown')
      cx.report(
        report(
          'misplaced-member',
          { member: member.kind === 'mesh_member' ? 'mesh' : member.kind, place: 'an override' },
          {
            primary: at(cx, member),
            helps: ['an override holds `shard` and `replicate` lines'],
            fixes: [removal(cx, member.span, 'it')],
          },
        ),
      );
  }
  const placed = readPlacements(lines, base);
  if (!placed) return undefined;
  const parts = part ? [part.name.text as 'attention' | 'mlp'] : (['attention', 'mlp'] as const);
  return parts.map((p) => ({ firstLayer, lastLayer, part: p, sharding: placed.sharding, origin: whole }));
}

function layerIndex(expr: Parameters<typeof count>[0], cx: Context): number | undefined {
  // Layer 0 exists, which `count` would refuse.
  return expr.kind === 'number' && expr.value === 0 ? 0 : count(expr, cx, 'a layer');
}
