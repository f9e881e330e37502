/**
 * What a stage's sharding must satisfy before it can be laid out. The checker says the same about what was written;
 * here it is asked of any plan value, and of what overrides add.
 *
 * Not asked here: that q and kv heads are split together. Where they are not, each rank still attends with its share of
 * the query heads.
 */
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic, Origin } from '../diagnostics/diagnostic.js';
import { WEIGHT_FORMATS } from '../model/weight-types.js';
import type { LayerSharding, Stage, TpDim } from '../plan/plan.js';
import {
  columnsOfRank,
  contractingType,
  keepsBlocks,
  type ColumnDim,
  type SizedModel,
} from '../plan/weight-groups.js';

/** Problems of a stage's sharding; none when every block of every layer can be laid out. */
export function checkStageSharding(model: SizedModel, stage: Stage): readonly Diagnostic[] {
  const found = checkSharding(model, stage, stage.sharding, stage.meshOrigin);
  for (const override of stage.overrides) {
    found.push(...checkSharding(model, stage, override.sharding, override.origin, override.part));
    if (override.part === 'attention' && !sameKvLayout(stage, override.sharding)) {
      found.push(
        report(
          'bad-override',
          {
            target: `layers[${override.firstLayer}..${override.lastLayer}].attention`,
            why: 'the KV pages of a stage lie alike in all of its layers',
          },
          { primary: override.origin, helps: ['place `kv_heads` for the whole stage instead'] },
        ),
      );
    }
  }
  return found;
}

function checkSharding(
  model: SizedModel,
  stage: Stage,
  sharding: LayerSharding,
  origin: Origin,
  part?: 'attention' | 'mlp',
): Diagnostic[] {
  const { shape } = model;
  const { tp } = stage.mesh;
  const on = (dim: TpDim): boolean => tp > 1 && sharding.onTp.includes(dim);
  const found: Diagnostic[] = [];
  const divides = (dim: TpDim, size: number): void => {
    if (size % tp === 0) return;
    const valid = Array.from({ length: size }, (_, index) => index + 1).filter((ways) => size % ways === 0);
    found.push(
      report(
        'dim-not-divisible',
        { dim, size, axis: 'tp', ways: tp },
        {
          primary: origin,
          notes: [`${dim} = ${size}`],
          helps: [`tp = ${valid.slice(0, 12).join(', ')} divides it`],
        },
      ),
    );
  };
  const wholeBlocks = (dim: ColumnDim, size: number): void => {
    if (!on(dim) || size % tp !== 0 || keepsBlocks(model, dim, tp)) return;
    const weights = contractingType(model, dim);
    const { block } = WEIGHT_FORMATS[weights];
    const columns = columnsOfRank(shape, dim, tp);
    found.push(
      report(
        'blocks-cut',
        { dim, axis: 'tp', ways: tp, columns, weights, block },
        { primary: origin, notes: [`${dim} = ${size}`] },
      ),
    );
  };
  if (part !== 'mlp') {
    wholeBlocks('heads', shape.heads);
    if (on('heads')) divides('heads', shape.heads);
    if (on('kv_heads') && sharding.kvReplicas === 1) divides('kv_heads', shape.kvHeads);
    else if (on('kv_heads') && shape.kvHeads * sharding.kvReplicas !== tp) {
      found.push(
        report(
          'kv-replicas',
          { kvHeads: shape.kvHeads, replicas: sharding.kvReplicas, tp },
          { primary: origin, notes: [`kv_heads = ${shape.kvHeads}`, `tp = ${tp}`] },
        ),
      );
    } else if (on('kv_heads') && !on('heads') && shape.heads % tp !== 0) {
      const notes = [`heads = ${shape.heads}`, `kv_heads = ${shape.kvHeads}`];
      found.push(report('heads-disagree', { heads: shape.heads, tp }, { primary: origin, notes }));
    }
  }
  if (part !== 'attention' && on('ffn')) {
    divides('ffn', shape.ffn);
    wholeBlocks('ffn', shape.ffn);
  }
  return found;
}

function sameKvLayout(stage: Stage, sharding: LayerSharding): boolean {
  const split = (layout: LayerSharding): boolean => stage.mesh.tp > 1 && layout.onTp.includes('kv_heads');
  if (split(stage.sharding) !== split(sharding)) return false;
  return !split(sharding) || stage.sharding.kvReplicas === sharding.kvReplicas;
}
