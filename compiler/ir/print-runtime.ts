/**
 * The runtime graph as text: memory per device, pools, and for every stage its ranks, weights and programs. Layers of
 * a program that do the same with other weights are printed once.
 */
import { formatQuantity } from '../check/units.js';
import { once } from '../once.js';
import { aligned, braced, printIds, printMesh, printOrigin, type PrintOptions } from './print.js';
import { printInterval } from './print-transitions.js';
import type {
  DeviceMoves,
  KvPool,
  LoadCosts,
  RuntimeGraph,
  RuntimeStage,
  RuntimeTransition,
  WeightShard,
} from './runtime-graph.js';
import type { Operand, Program, RuntimeOp } from './runtime-program.js';

/** Stable text of a runtime graph, ending in a line break. */
export function printRuntime(graph: RuntimeGraph, options: PrintOptions = {}): string {
  const { hostTier, diskTier, kv } = graph;
  const lines = [
    `runtime graph of plan ${graph.plan}, model ${graph.model.name}, version ${graph.version}`,
    '',
    ...braced('devices', aligned(graph.devices.map(printDevice))),
    '',
    ...braced(`kv pages of ${kv.pageTokens} tokens, ${kv.dtype}`, [
      ...graph.pools.flatMap(printPool),
      ...(hostTier ? [printHostTier(hostTier)] : ['no tier: pages never leave the devices']),
      ...(diskTier ? [`tier ${diskTier.name}: ${diskTier.pages} pages below ${diskTier.directory}`] : []),
      ...(hostTier ? [printCosts(kv.costs, diskTier !== undefined)] : []),
    ]),
    ...graph.stages.flatMap((stage) => ['', ...printStage(stage, options)]),
    ...graph.transitions.flatMap((transition) => ['', ...printTransition(transition)]),
  ];
  return `${lines.join('\n')}\n`;
}

function printHostTier({ name, pages, pageBytes, hosts }: NonNullable<RuntimeGraph['hostTier']>): string {
  const among = hosts === undefined ? '' : ` in ${hosts.length} hosts`;
  return `tier ${name}: ${pages} pages of ${pageBytes} B${among}`;
}

function printCosts({ prefillToken, hostPage, diskPage }: LoadCosts, disk: boolean): string {
  const figure = (value: number): string => formatQuantity(value, 'seconds');
  return (
    `loads: ${figure(hostPage)} a page from host${disk ? `, ${figure(diskPage)} a page from disk` : ''}, ` +
    `beside ${figure(prefillToken)} to prefill a token`
  );
}

function printDevice({ path, budget, peak }: RuntimeGraph['devices'][number]): string[] {
  return [
    path,
    `weights ${peak.weights}`,
    `workspace ${peak.workspace}`,
    `kv ${peak.kv}`,
    `total ${peak.total} of ${budget} B`,
  ];
}

function printPool(pool: KvPool): string[] {
  return braced(
    pool.within === undefined
      ? `pool ${pool.id}: ${pool.pages} pages for each replica`
      : `pool ${pool.id}: at most ${pool.pages} pages of pool ${pool.within} for each replica`,
    aligned(
      pool.ranks.map((rank) => [
        `device ${rank.device}`,
        `dp ${rank.dp}`,
        `heads ${printInterval(rank.heads)}`,
        `layers ${rank.groups.map(printInterval).join(' | ')}`,
        `${rank.pageBytes} B a page`,
      ]),
    ),
  );
}

function printStage(stage: RuntimeStage, options: PrintOptions): string[] {
  const head = `stage ${stage.name}: ${stage.phases.join(' + ')} mesh ${printMesh(stage.mesh)} pool ${stage.pool}`;
  return braced(head, [
    `steps of at most ${stage.maxTokens} tokens and ${stage.maxSequences} sequences; batch ${stage.batchRequests}`,
    ...aligned(
      stage.ranks.map((rank) => [
        `rank ${rank.rank}`,
        `device ${rank.device}`,
        `dp ${rank.dp} pp ${rank.pp} tp ${rank.tp}`,
        `program ${rank.program}`,
        `shard ${rank.shard}`,
      ]),
    ),
    ...stage.shards.flatMap((shard, index) => ['', ...printShard(shard, index)]),
    ...stage.programs.flatMap((program) => ['', ...printProgram(program, options)]),
  ]);
}

function printShard(shard: WeightShard, index: number): string[] {
  const bytes = shard.weights.reduce((sum, weight) => sum + weight.bytes, 0);
  const rows = shard.weights.map((weight) => ({
    id: weight.id,
    text: [
      `${weight.dtype}[${weight.rows}, ${weight.cols}]`,
      weight.pieces
        .map((piece) => {
          const tensor = piece.tensor.replace(/\.\d+\./, '.{layer}.');
          return `${tensor}[${printInterval(piece.rows)}, ${printInterval(piece.cols)}]@${piece.at.join(',')}`;
        })
        .join(' + ') || 'zero',
    ],
  }));
  return braced(
    `shard ${index}: pp ${shard.pp} tp ${shard.tp}, ${shard.weights.length} weights, ${bytes} B`,
    aligned(mergeLayers(rows)),
  );
}

/** Draws rows together whose ids differ only in the layer: `layers.{0..3}.qkv`. */
function mergeLayers(rows: readonly { readonly id: string; readonly text: readonly string[] }[]): string[][] {
  const groups = new Map<
    string,
    { readonly name: string; readonly layers: number[]; readonly text: readonly string[] }
  >();
  for (const { id, text } of rows) {
    const layer = /^layers\.(\d+)\./.exec(id)?.[1];
    const name = layer === undefined ? id : id.replace(layer, '{#}');
    const key = [name, ...text].join(' ');
    const group = groups.get(key) ?? { name, layers: [], text };
    if (layer !== undefined) group.layers.push(Number(layer));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ name, layers, text }) => [name.replace('#', printIds(layers)), ...text]);
}

function printProgram(program: Program, options: PrintOptions): string[] {
  const values = (value: number): string => {
    const { name, slot } = program.values[value]!;
    return `${name}#${slot}`;
  };
  return braced(`program ${program.pp}: layers ${printInterval(program.layers)}`, [
    `slots ${program.slots.map((slot) => `#${slot.id} ${slot.bytes} B`).join(', ')}`,
    ...aligned(
      program.ops.map((op) => [
        `${op.id}`,
        ...printOp(op, values),
        op.after.length === 0 ? '' : `after ${op.after.join(', ')}`,
        printOrigin(op.origin, options),
      ]),
    ),
  ]);
}

function printOp(op: RuntimeOp, value: (id: number) => string): [string, string] {
  switch (op.op) {
    case 'kernel': {
      const params = Object.entries(op.params).map(
        ([name, number]) => `${name} ${Number(number.toPrecision(6))}`,
      );
      const operands = op.operands.map((operand) => printOperand(operand, value)).join(', ');
      const dtype = op.dtype ? ` ${op.dtype}` : '';
      return [`${op.kernel}${dtype} (${operands})`, `${op.rows}; ${params.join(', ')}`];
    }
    case 'collective':
      return [
        `${op.kind}<${op.axis}> (${value(op.value)}${op.kind === 'all_gather' ? `, ${value(op.out)}` : ''})`,
        '',
      ];
    case 'send':
      return [`send to pp ${op.toPp} (${value(op.value)})`, ''];
    case 'recv':
      return [`recv from pp ${op.fromPp} (${value(op.value)})`, ''];
    case 'sample':
      return [`sample (${value(op.logits)})`, `${op.vocabPerRank} of ${op.vocab} ids, split ${op.split}`];
  }
}

function printOperand(operand: Operand, value: (id: number) => string): string {
  if ('value' in operand) return value(operand.value);
  if ('weight' in operand) return operand.weight;
  if ('step' in operand) return `step.${operand.step}`;
  if ('kv' in operand) return `kv[${operand.kv}]`;
  return operand.constant;
}

/** Devices that do the same are looked at once: their lines differ in whom they receive from alone. */
function printTransition(transition: RuntimeTransition): string[] {
  const rowsOf = once(movedRows);
  return braced(
    `transition ${transition.from} -> ${transition.to}`,
    transition.devices.flatMap(({ device, moves: index, peers }) => {
      const moves = transition.moves[index]!;
      const received = moves.receiveBytes === undefined ? '' : `, receive ${moves.receiveBytes} B`;
      const rows = rowsOf(moves);
      return braced(
        `device ${device}: upload ${moves.uploadBytes} B${received}`,
        aligned([
          ...rows.within,
          ...rows.received.map(([name, what, peer, where]) => [
            name!,
            `${what} from device ${peers[Number(peer)]} ${where}`,
          ]),
          ...rows.rest,
        ]),
      );
    }),
  );
}

interface MovedRows {
  /** What is kept and copied. */
  readonly within: readonly string[][];
  /** Name, what is received, from which peer, and where it lies. */
  readonly received: readonly string[][];
  /** What is uploaded and evicted. */
  readonly rest: readonly string[][];
}

function movedRows({ keep, inPlace = [], copy, receive = [], upload, evict }: DeviceMoves): MovedRows {
  return {
    within: [
      ...mergeLayers(
        keep.map(({ weight, old }) => ({ id: weight, text: [weight === old ? 'kept' : `kept from ${old}`] })),
      ),
      ...mergeLayers(
        inPlace.map(({ weight, at, bytes }) => ({
          id: weight,
          text: [`in place, ${bytes} B from ${at} on`],
        })),
      ),
      ...mergeLayers(
        copy.map(({ weight, rows, runBytes, oldAt, oldStride, at, stride }) => ({
          id: weight,
          text: [`copied ${rows} x ${runBytes} B from ${oldAt}/${oldStride} to ${at}/${stride}`],
        })),
      ),
    ],
    received: mergeLayers(
      receive.map(({ weight, rows, runBytes, peer, oldAt, oldStride, at, stride }) => ({
        id: weight,
        text: [`received ${rows} x ${runBytes} B`, `${peer}`, `at ${oldAt}/${oldStride} to ${at}/${stride}`],
      })),
    ),
    rest: [
      ...mergeLayers(
        upload.map(({ weight, pieces }) => ({
          id: weight,
          text: [`uploaded, pieces ${pieces.join(', ') || 'none'}`],
        })),
      ),
      ...mergeLayers(evict.map((id) => ({ id, text: ['evicted'] }))),
    ],
  };
}
