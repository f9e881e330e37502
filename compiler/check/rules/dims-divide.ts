/**
 * What `tp` splits must come out even: heads, kv_heads and ffn. The vocabulary is padded, `hidden` is never split.
 * KV heads may instead be kept in copies, and then heads and copies must match `tp`. Query heads that are not split are
 * shared out all the same where kv heads are: each rank attends with those of its kv heads. Blocks of quantised weights
 * must stay whole.
 */
import { report } from '../../diagnostics/catalogue.js';
import type { Diagnostic, Origin } from '../../diagnostics/diagnostic.js';
import type { ModelShape } from '../../model/shape.js';
import { WEIGHT_FORMATS } from '../../model/weight-types.js';
import type { LayerSharding, Stage, TpDim } from '../../plan/plan.js';
import { columnsOfRank, contractingType, keepsBlocks, type ColumnDim } from '../../plan/weight-groups.js';
import { replacement } from '../fixes.js';
import { divisors, meshesOf, showMesh } from '../plan/mesh.js';
import type { Rule, RuleInput } from './rule.js';

const SIZES: Readonly<Record<'heads' | 'kv_heads' | 'ffn', (shape: ModelShape) => number>> = {
  heads: (s) => s.heads,
  kv_heads: (s) => s.kvHeads,
  ffn: (s) => s.ffn,
};

export const dimsDivide: Rule = (input) =>
  input.plan.stages.flatMap((stage) => {
    if (stage.mesh.tp === 1) return [];
    const { axes } = input.sources.get(stage.name)!;
    const where = axes.tp ?? stage.meshOrigin;
    return [
      ...check(stage, stage.sharding, ['attention', 'mlp'], where, input),
      ...stage.overrides.flatMap((o) => check(stage, o.sharding, [o.part], o.origin, input)),
    ];
  });

function check(
  stage: Stage,
  sharding: LayerSharding,
  parts: readonly ('attention' | 'mlp')[],
  primary: Origin,
  input: RuleInput,
): readonly Diagnostic[] {
  const { tp } = stage.mesh;
  const { model } = input.plan;
  const { shape } = model;
  const found: Diagnostic[] = [];
  const on = (dim: TpDim): boolean => sharding.onTp.includes(dim);
  const fact = (dim: keyof typeof SIZES): string =>
    `${dim} = ${SIZES[dim](shape)}, ${input.provenance(dim).note}`;
  const uneven = (dim: keyof typeof SIZES): void => {
    const size = SIZES[dim](shape);
    if (size % tp === 0) return;
    const { origin } = input.provenance(dim);
    const { axes } = input.sources.get(stage.name)!;
    const fixes =
      axes.tp === undefined
        ? []
        : meshesOf(stage.devices.length, model).map((fit) =>
            replacement(stage.meshOrigin, `(${showMesh(fit)})`),
          );
    found.push(
      report(
        'dim-not-divisible',
        { dim, size, axis: 'tp', ways: tp },
        {
          primary,
          label: `tp = ${tp}`,
          related: origin ? [{ ...origin, label: `${dim} = ${size}` }] : [],
          notes: [fact(dim)],
          helps: [`tp = ${listOr(validWidths(shape, sharding))} divides it`, ...keepTp(dim, size, tp)],
          fixes,
        },
      ),
    );
  };
  const wholeBlocks = (dim: ColumnDim): void => {
    if (SIZES[dim](shape) % tp !== 0 || keepsBlocks(model, dim, tp)) return;
    const weights = contractingType(model, dim);
    const { block } = WEIGHT_FORMATS[weights];
    const columns = columnsOfRank(shape, dim, tp);
    const fit = validWidths(shape, sharding).filter((width) => keepsBlocks(model, dim, width));
    const { origin } = input.provenance(dim);
    found.push(
      report(
        'blocks-cut',
        { dim, axis: 'tp', ways: tp, columns, weights, block },
        {
          primary,
          label: `tp = ${tp}`,
          related: origin ? [{ ...origin, label: `${dim} = ${SIZES[dim](shape)}` }] : [],
          notes: [
            dim === 'ffn'
              ? `${fact('ffn')}; the down projection has ${columns * tp} columns`
              : `${fact('heads')}; the projection after attention has ${columns * tp} columns`,
          ],
          helps: [
            `tp = ${listOr(fit)} leaves whole blocks to every rank`,
            'weights in f32, f16 or bf16 may be split anywhere',
            ...(dim === 'ffn' ? keepTp(dim, shape.ffn, tp) : []),
          ],
        },
      ),
    );
  };
  if (parts.includes('attention')) {
    if (on('heads')) {
      uneven('heads');
      wholeBlocks('heads');
    }
    if (on('kv_heads') && sharding.kvReplicas === 1) uneven('kv_heads');
    else if (on('kv_heads') && shape.kvHeads * sharding.kvReplicas !== tp)
      found.push(
        report(
          'kv-replicas',
          { kvHeads: shape.kvHeads, replicas: sharding.kvReplicas, tp },
          {
            primary: input.sources.get(stage.name)!.placements.get('kv_heads') ?? primary,
            related: [{ ...primary, label: `tp = ${tp}` }],
            notes: [fact('kv_heads')],
            helps: tp % shape.kvHeads === 0 ? [`\`replicate kv_heads by ${tp / shape.kvHeads}\``] : [],
          },
        ),
      );
    else if (on('kv_heads') && !on('heads') && shape.heads % tp !== 0)
      found.push(
        report(
          'heads-disagree',
          { heads: shape.heads, tp },
          {
            primary: input.sources.get(stage.name)!.placements.get('heads') ?? primary,
            related: [{ ...primary, label: `tp = ${tp}` }],
            notes: [fact('heads'), fact('kv_heads')],
            helps: ['`replicate heads, kv_heads` computes attention whole on every rank'],
          },
        ),
      );
  }
  if (parts.includes('mlp') && on('ffn')) {
    uneven('ffn');
    wholeBlocks('ffn');
  }
  return found;
}

/** Widths that every split dimension allows. */
function validWidths(shape: ModelShape, sharding: LayerSharding): readonly number[] {
  const dims = (['heads', 'kv_heads', 'ffn'] as const).filter(
    (d) => sharding.onTp.includes(d) && !(d === 'kv_heads' && sharding.kvReplicas > 1),
  );
  return divisors(shape.heads).filter((tp) => dims.every((d) => SIZES[d](shape) % tp === 0));
}

function keepTp(dim: string, size: number, tp: number): readonly string[] {
  if (dim === 'kv_heads' && tp % size === 0)
    return [
      `\`replicate kv_heads by ${tp / size}\` keeps tp = ${tp} and stores every KV head ${times(tp / size)}`,
    ];
  if (dim === 'kv_heads') return [`\`replicate kv_heads\` keeps tp = ${tp} and all KV heads on every rank`];
  if (dim === 'ffn') return [`\`replicate ffn\` keeps tp = ${tp} and computes the whole MLP on every rank`];
  return [];
}

const times = (n: number): string => (n === 2 ? 'twice' : `${n} times`);

function listOr(values: readonly number[]): string {
  if (values.length === 1) return String(values[0]);
  return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
