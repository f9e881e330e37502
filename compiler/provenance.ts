/**
 * What each token of a plan caused, across all levels of its compiled form: layouts, inserted collectives and sends,
 * buffers, moves of weights and KV. Everything that the compiler derives carries its origin; this is the list of it.
 *
 * Ids: `STAGE/BLOCK/OP` for an op of the sharded graph (`decode/layers 0..31/o.sum`), `STAGE/pP/N` for op N of the
 * program of pipeline stage P, `STAGE/weights`, `FROM -> TO/weights`, `FROM -> TO/kv`.
 */
import { formatBinaryBytes } from './check/units.js';
import type { CompileResult } from './compile.js';
import type { Origin } from './diagnostics/diagnostic.js';
import { printMesh, printRun, printType } from './ir/print.js';
import { isCollective, printCollective } from './ir/print-sharded.js';
import type { RuntimeStage } from './ir/runtime-graph.js';
import type { RuntimeOp } from './ir/runtime-program.js';
import type { ShardedBlock, ShardedStage } from './ir/sharded.js';
import type { TransitionGraph } from './ir/transitions.js';
import type { Plan } from './plan/plan.js';

export interface Caused {
  readonly kind: 'layout' | 'collective' | 'send' | 'kernel' | 'buffer' | 'move';
  readonly id: string;
  readonly text: string;
  /** Why it had to be, where that is not the text itself. */
  readonly reason?: string;
  readonly origin: Origin;
}

/** All that was derived, in the order of the levels. */
export function causesOf(plan: Plan, { sharded, transitions, runtime }: CompileResult): readonly Caused[] {
  return [
    ...sharded.stages.flatMap((stage) => [
      ...blocksOf(stage).flatMap(([name, block, times]) => blockCauses(stage, name, block, times)),
      ...sendCauses(stage, sharded.stages.length > 0 ? runtime.stages : []),
    ]),
    ...plan.stages.flatMap((stage) => {
      const lowered = runtime.stages.find(({ name }) => name === stage.name);
      return lowered === undefined ? [] : [bufferCause(lowered, stage.meshOrigin, runtime)];
    }),
    ...movesOf(transitions),
  ];
}

/** The moves of weights and KV on the edges of the flow. */
export function movesOf(transitions: TransitionGraph): readonly Caused[] {
  return [
    ...transitions.weights.map((reshard): Caused => {
      const { keep, copy, peer, upload } = reshard.bytes;
      const moved = `${formatBinaryBytes(upload)} from the host, ${formatBinaryBytes(peer)} from peers, ${formatBinaryBytes(copy)} within devices`;
      return {
        kind: 'move',
        id: `${reshard.from} -> ${reshard.to}/weights`,
        text: `a change from ${reshard.from} to ${reshard.to} moves ${moved}; ${formatBinaryBytes(keep)} stay`,
        origin: reshard.origin,
      };
    }),
    ...transitions.kv.map(({ from, to, path, tier, bytesPerToken, origin }): Caused => {
      const figures = `${formatBinaryBytes(bytesPerToken.out)} out and ${formatBinaryBytes(bytesPerToken.in)} in per token`;
      const text =
        path === 'shared' ? 'shared pages, nothing moves' : `through ${tier ?? 'no tier'}, ${figures}`;
      return { kind: 'move', id: `${from} -> ${to}/kv`, text: `KV ${from} -> ${to}: ${text}`, origin };
    }),
  ];
}

/** Blocks of a stage with their names, and how many layers each stands for. */
function blocksOf(stage: ShardedStage): readonly (readonly [string, ShardedBlock, number])[] {
  return [
    ['embed', stage.embed, 1],
    ...stage.layers.map(
      ({ firstLayer, lastLayer, block }) =>
        [`layers ${printRun(firstLayer, lastLayer)}`, block, lastLayer - firstLayer + 1] as const,
    ),
    ['head', stage.head, 1],
  ];
}

function blockCauses(stage: ShardedStage, name: string, block: ShardedBlock, times: number): Caused[] {
  const within = `${stage.name}/${name}`;
  const split = block.values.filter(
    ({ kind, sharding }) => kind === 'weight' && Object.keys(sharding.dims).length > 0,
  );
  return [
    ...split.map((value): Caused => ({
      kind: 'layout',
      id: `${within}/${value.id}`,
      text: printType(value.type, value.sharding),
      origin: value.origin,
    })),
    ...block.ops.filter(isCollective).map((op): Caused => ({
      kind: 'collective',
      id: `${within}/${op.id}`,
      text: `${printCollective(op)}${times > 1 ? ` in each of ${times} layers` : ''}`,
      reason: op.reason,
      origin: op.origin,
    })),
  ];
}

function sendCauses(stage: ShardedStage, lowered: readonly RuntimeStage[]): Caused[] {
  const programs = lowered.find(({ name }) => name === stage.name)?.programs ?? [];
  return programs.flatMap((program) =>
    program.ops
      .filter((op) => op.op === 'send')
      .map((op): Caused => ({
        kind: 'send',
        id: `${stage.name}/p${program.pp}/${op.id}`,
        text: `pp ${program.pp} hands activations to pp ${program.pp + 1}`,
        origin: op.origin,
      })),
  );
}

function bufferCause(stage: RuntimeStage, origin: Origin, { devices }: CompileResult['runtime']): Caused {
  const shard = stage.shards.map(({ weights }) => weights.reduce((sum, { bytes }) => sum + bytes, 0));
  const used = devices.filter(({ id }) => stage.ranks.some(({ device }) => device === id));
  const most = (pick: (device: (typeof used)[number]) => number): string =>
    formatBinaryBytes(Math.max(0, ...used.map(pick)));
  return {
    kind: 'buffer',
    id: `${stage.name}/weights`,
    text:
      `mesh ${printMesh(stage.mesh)}: ${formatBinaryBytes(Math.max(0, ...shard))} of weights a device; with all stages ` +
      `workspace ${most(({ peak }) => peak.workspace)}, KV ${most(({ peak }) => peak.kv)}, peak ${most(({ peak }) => peak.total)}`,
    origin,
  };
}

/** Where an id leads: what it is, and the token that caused it. */
export function findCaused(plan: Plan, result: CompileResult, id: string): Caused | undefined {
  const known = causesOf(plan, result).find((caused) => caused.id === id);
  if (known !== undefined) return known;
  const [stageName, program, number] = id.split('/');
  const stage = result.runtime.stages.find(({ name }) => name === stageName);
  const op = stage?.programs
    .find(({ pp }) => `p${pp}` === program)
    ?.ops.find((each) => String(each.id) === number);
  return (
    op && {
      kind: op.op === 'recv' ? 'send' : op.op === 'sample' ? 'kernel' : op.op,
      id,
      text: showOp(op),
      origin: op.origin,
    }
  );
}

function showOp(op: RuntimeOp): string {
  const layer = op.layer === undefined ? '' : ` of layer ${op.layer}`;
  return op.op === 'kernel'
    ? `kernel ${op.kernel}${layer}`
    : op.op === 'collective'
      ? `${op.kind}<${op.axis}>${layer}`
      : `${op.op}${layer}`;
}
