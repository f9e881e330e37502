/** FC05: meshes, axes and sharding. */
import { error } from './entry.js';

export const SHARDING = {
  'unknown-axis': error<{ axis: string }>('FC0501', ({ axis }) => `\`${axis}\` is no mesh axis`),
  'unsupported-axis': error<{ axis: string; model: string }>(
    'FC0502',
    ({ axis, model }) => `\`${axis}\` splits experts, and \`${model}\` is a dense model without any`,
  ),
  'dim-not-divisible': error<{ dim: string; size: number; axis: string; ways: number }>(
    'FC0503',
    ({ dim, size, axis, ways }) => `\`${dim}\` (${size}) cannot be split over \`${axis}\` (${ways})`,
  ),
  'too-many-pipeline-stages': error<{ pp: number; layers: number }>(
    'FC0504',
    ({ pp, layers }) => `\`pp\` (${pp}) is more than the model has layers (${layers})`,
  ),
  'unknown-dim': error<{ dim: string }>(
    'FC0505',
    ({ dim }) => `\`${dim}\` is no dimension that can be placed`,
  ),
  'dim-on-wrong-axis': error<{ dim: string; axis: string; right: string }>(
    'FC0506',
    ({ dim, axis, right }) => `\`${dim}\` cannot be split on \`${axis}\`; ${right}`,
  ),
  'split-length': error<{ given: number; pp: number }>(
    'FC0507',
    ({ given, pp }) =>
      `the split names ${given} group${given === 1 ? '' : 's'} of layers, but \`pp\` is ${pp}`,
  ),
  'split-sum': error<{ sum: number; layers: number }>(
    'FC0508',
    ({ sum, layers }) => `the split adds up to ${sum} layers; the model has ${layers}`,
  ),
  'kv-replicas': error<{ kvHeads: number; replicas: number; tp: number }>(
    'FC0509',
    ({ kvHeads, replicas, tp }) =>
      `${kvHeads} kv heads in ${replicas} copies make ${kvHeads * replicas} pieces for \`tp\` (${tp}); they must be equal`,
  ),
  'heads-disagree': error<{ heads: number; tp: number }>(
    'FC0510',
    ({ heads, tp }) =>
      `every rank attends with the query heads of its kv heads, but \`heads\` (${heads}) has no equal parts for \`tp\` (${tp})`,
  ),
  'bad-override': error<{ target: string; why: string }>(
    'FC0511',
    ({ target, why }) => `\`override ${target}\` names nothing that can be overridden: ${why}`,
  ),
  'placed-twice': error<{ dim: string }>(
    'FC0512',
    ({ dim }) => `\`${dim}\` is placed by two lines of the same stage`,
  ),
  'blocks-cut': error<{
    dim: string;
    axis: string;
    ways: number;
    columns: number;
    weights: string;
    block: number;
  }>(
    'FC0513',
    ({ dim, axis, ways, columns, weights, block }) =>
      `\`${dim}\` over \`${axis}\` (${ways}) leaves ${columns} columns to a rank; ${weights} weights come in blocks of ${block}`,
  ),
};
