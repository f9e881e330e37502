/** A checked plan as stable text, for `--emit plan`, golden files and reading: every value that was decided. */
import { groupBy } from '../group-by.js';
import { showCondition } from '../check/plan/flow.js';
import { showMesh } from '../check/plan/mesh.js';
import { formatBytesIn, formatExactBytes, formatQuantity } from '../check/units.js';
import { tensorSizes, type Activation, type ModelShape } from '../model/shape.js';
import type { CheckedExpectation, LayerSharding, Link, Plan, Stage, Topology, TpDim } from './plan.js';

/** The text of a plan, ending in a line break. */
export function printPlan(plan: Plan): string {
  const { shape } = plan.model;
  const features = modelFeatures(shape)
    .map((word) => `, ${word}`)
    .join('');
  const sizes = [...tensorSizes(shape), ['context', shape.context]] as const;
  const lines = [
    `plan ${plan.name} for ${plan.model.name} on ${plan.topology.name}`,
    ...Object.entries(plan.params).map(([name, value]) => `  param ${name} = ${value}`),
    `  model ${plan.model.name}: ${shape.family}, weights ${plan.model.weights}${plan.model.source === undefined ? '' : `, from "${plan.model.source}"`}${plan.model.randomSeed === undefined ? '' : `, random(${plan.model.randomSeed})`}`,
    `    ${sizes.map(([name, size]) => `${name} ${size}`).join(', ')}`,
    `    norm_eps ${shape.normEps}, rope_theta ${shape.ropeTheta}${shape.ropeScaling ? `, rope ${shape.ropeScaling.type} x${shape.ropeScaling.factor}` : ''}${features}`,
    ...topologyLines(plan.topology),
    ...plan.stages.flatMap((stage) => stageLines(stage, plan.topology)),
    `  kv: pages of ${plan.kv.pageTokens} tokens, ${plan.kv.dtype}`,
    ...plan.kv.tiers.map(
      (tier) =>
        `    tier ${tier.name} (${tier.medium})${tier.cap === undefined ? '' : ` up to ${formatExactBytes(tier.cap)}`}${tier.directory === undefined ? '' : ` in "${tier.directory}"`}`,
    ),
    `  flow: ${['requests', ...plan.flow.stages, 'results'].join(' -> ')}`,
    ...plan.flow.rules.map((rule) => `    to ${rule.to} when ${showCondition(rule.when)}`),
    `  memory_use: ${formatQuantity(plan.memoryUse, 'fraction')}`,
    ...(plan.residence ? [`  residence: ${plan.residence}`] : []),
    ...(plan.expectations ?? []).map((e) => `  expect ${showExpectation(e)}`),
    ...plan.defaults.map((d) => `  default ${d.what} = ${d.value} (${d.why})`),
  ];
  return `${lines.join('\n')}\n`;
}

const ACTIVATION_WORDS: Readonly<Record<Activation, string>> = { silu: 'silu', gelu_tanh: 'gelu' };

/** What a model has besides sizes, in words: `tied`, `q/k norm`. */
export function modelFeatures(shape: ModelShape): readonly string[] {
  const { sliding } = shape;
  const features = [
    [shape.tied, 'tied'],
    [shape.qkvBias, 'qkv bias'],
    [shape.outputBias, 'output bias'],
    [shape.mlpBias, 'mlp bias'],
    [shape.qkNorm, 'q/k norm'],
    [shape.postNorms, 'post norms'],
    [shape.unitNorms, 'norms of 1 + weight'],
    [shape.scaledEmbedding, 'scaled embedding'],
    [shape.activation, ACTIVATION_WORDS[shape.activation ?? 'silu']],
    [shape.rotaryDim, `${shape.rotaryDim} rotary dimensions`],
    [shape.queryScalar, `query scalar ${shape.queryScalar}`],
    [shape.attentionSoftcap, `attention softcap ${shape.attentionSoftcap}`],
    [shape.logitSoftcap, `logit softcap ${shape.logitSoftcap}`],
    [
      sliding,
      `window ${sliding?.window} in ${sliding?.layers.length} layers${sliding?.ropeTheta === undefined ? '' : ` with rope_theta ${sliding.ropeTheta}`}`,
    ],
  ] as const;
  return features.filter(([on]) => on).map(([, word]) => word);
}

function topologyLines(topology: Topology): readonly string[] {
  const kinds = [...groupBy(topology.devices, ({ kind }) => kind)];
  const tiers = [...new Map(topology.tiers.map((t) => [`${t.name} ${t.capacity}`, t])).values()];
  return [
    `  topology ${topology.name}: ${topology.devices.length} devices`,
    ...kinds.map(
      ([kind, devices]) =>
        `    device ${kind.name} x${devices.length}: ${formatExactBytes(kind.memory)}, ${formatQuantity(kind.bandwidth, 'bytes/s')}`,
    ),
    ...tiers.map(
      (tier) =>
        `    tier ${tier.name} x${topology.tiers.filter((t) => t.name === tier.name && t.capacity === tier.capacity).length} (${tier.medium}): ${formatExactBytes(tier.capacity)}`,
    ),
    ...topology.links.map(linkLine),
  ];
}

function linkLine(link: Link): string {
  const scope = link.scope === '' ? '' : ` in ${link.scope}`;
  const sums = Object.entries(link.allreduce).map(([n, rate]) => `${n}: ${formatQuantity(rate, 'bytes/s')}`);
  const allreduce = sums.length === 0 ? '' : `, allreduce ${sums.join(', ')}`;
  const back =
    link.bandwidthBack === undefined ? '' : `, back ${formatQuantity(link.bandwidthBack, 'bytes/s')}`;
  const weights = link.weights === undefined ? '' : `, weights ${formatQuantity(link.weights, 'bytes/s')}`;
  return `    link ${link.from} <-> ${link.to}${scope}: ${formatQuantity(link.bandwidth, 'bytes/s')}${back}${weights}, ${formatQuantity(link.latency, 'seconds')}${allreduce}`;
}

function stageLines(stage: Stage, topology: Topology): readonly string[] {
  return [
    `  stage ${stage.name}: ${stage.phases.join(' + ')} on ${deviceWords(stage, topology)}`,
    `    mesh (${showMesh(stage.mesh)}), layers [${stage.layerSplit.join(', ')}]`,
    ...showShardings(stage).map((line) => `    ${line}`),
    `    microbatch ${stage.microbatchTokens} tokens, batch ${stage.batchRequests} requests`,
  ];
}

/** All paths of few devices, else the ends of their list. */
function deviceWords(stage: Stage, topology: Topology): string {
  const paths = stage.devices.map((id) => topology.devices[id]!.path);
  return paths.length <= 4 ? paths.join(', ') : `${paths[0]} ... ${paths.at(-1)} (${paths.length} devices)`;
}

/** How all layers of a stage lie on `tp`, with those that lie otherwise. */
export function showShardings({
  sharding,
  overrides,
}: Pick<Stage, 'sharding' | 'overrides'>): readonly string[] {
  return [
    showSharding(sharding),
    ...overrides.map(({ firstLayer, lastLayer, part, sharding: own }) => {
      const shown = showSharding(own, PART_DIMS[part]);
      return `layers[${firstLayer}..${lastLayer}].${part}: ${shown}`;
    }),
  ];
}

/** What the weights of a part of a layer can be cut along. */
const PART_DIMS: Readonly<Record<Stage['overrides'][number]['part'], readonly TpDim[]>> = {
  attention: ['heads', 'kv_heads'],
  mlp: ['ffn'],
};

/** @param of the dimensions that there are; all unless said */
function showSharding({ onTp, kvReplicas }: LayerSharding, of: readonly TpDim[] = onTp): string {
  const dims = onTp.filter((dim) => of.includes(dim));
  const copies = kvReplicas > 1 && dims.includes('kv_heads') ? `, kv_heads in ${kvReplicas} copies` : '';
  return `${dims.length === 0 ? 'nothing' : dims.join(', ')} on tp${copies}`;
}

/** The limit of a measure of bytes, in the unit that it is written in where there is one. */
export function showBytesLimit({ limit, unit }: { readonly limit: number; readonly unit?: string }): string {
  return unit === undefined ? formatExactBytes(limit) : formatBytesIn(limit, unit);
}

/** An expectation as a plan writes it. */
export function showExpectation(e: CheckedExpectation): string {
  if (e.kind === 'never')
    return `never ${e.op}${e.of === undefined ? '' : ` of ${e.of}`}${e.stage === undefined ? '' : ` in ${e.stage}`}`;
  const args = [
    ...(e.stage === undefined ? [] : [e.stage]),
    ...(e.devices === undefined ? [] : [e.devices.text]),
    ...(e.edge ? [`${e.edge.from} -> ${e.edge.to}`] : []),
    ...(e.per === undefined ? [] : [`per: ${e.per}`]),
  ];
  const limit =
    e.measure === 'peak' || e.measure === 'bytes'
      ? showBytesLimit(e)
      : e.measure === 'time'
        ? formatQuantity(e.limit, 'seconds')
        : String(e.limit);
  const call = args.length === 0 ? e.measure : `${e.measure}(${args.join(', ')})`;
  return `${call} ${e.op} ${limit}${e.workload === undefined ? '' : ` for ${e.workload.name}`}`;
}
