/** The verifiers of transitions and runtime graphs find what is done to a sound graph. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import type { GroupPlan, TransitionGraph } from '../../../compiler/ir/transitions.js';
import { verifyRuntime } from '../../../compiler/ir/verify-runtime.js';
import { verifyTransitions } from '../../../compiler/ir/verify-transitions.js';
import { makePlan } from '../support/make-plan.js';

const { runtime, transitions } = compilePlan(
  makePlan({
    stages: [
      { name: 'prefill', mesh: { pp: 2, tp: 2 } },
      { name: 'decode', mesh: { tp: 4 } },
    ],
  }),
);

type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;

function spoilRuntime(edit: (graph: Mutable<RuntimeGraph>) => void): string {
  const copy = structuredClone(runtime) as Mutable<RuntimeGraph>;
  edit(copy);
  return verifyRuntime(copy as RuntimeGraph, { transitions }).join('\n');
}

function spoilTransitions(edit: (graph: Mutable<TransitionGraph>) => void): string {
  const copy = structuredClone(transitions) as Mutable<TransitionGraph>;
  edit(copy);
  return verifyTransitions(copy as TransitionGraph).join('\n');
}

describe('verifyRuntime', () => {
  it('is content with a compiled graph', () => {
    expect(verifyRuntime(runtime, { transitions })).toEqual([]);
  });

  it.each<[string, (graph: Mutable<RuntimeGraph>) => void, RegExp]>([
    [
      'a lost operand',
      (g) => {
        const op = g.stages[0]!.programs[0]!.ops[2]!;
        if (op.op === 'kernel') op.operands.pop();
      },
      /operands, not/,
    ],
    [
      'a weight nobody has',
      (g) => (g.stages[0]!.shards[1]!.weights = g.stages[0]!.shards[1]!.weights.slice(1)),
      /other shape on another rank|names no weight|not its holdings/,
    ],
    [
      'a send without its receive',
      (g) => (g.stages[0]!.programs[1]!.values[0]!.cols = 31),
      /receives|columns/,
    ],
    ['a lost wait', (g) => (g.stages[1]!.programs[0]!.ops[5]!.after = []), /does not wait/],
    [
      'a slot taken twice',
      (g) => g.stages[1]!.programs[0]!.values.forEach((value) => (value.slot = 0)),
      /live in slot 0/,
    ],
    ['a slot too small', (g) => (g.stages[1]!.programs[0]!.slots[0]!.bytes = 4), /too small/],
    [
      "a rank with another rank's weights",
      (g) => (g.stages[1]!.ranks[0]!.shard = 1),
      /another rank's weights/,
    ],
    ['a wrong byte count', (g) => (g.stages[1]!.shards[0]!.weights[0]!.bytes += 4), /bytes, not/],
    [
      'a piece outside its buffer',
      (g) => (g.stages[1]!.shards[0]!.weights[0]!.pieces[0]!.at = [60, 0]),
      /reaches outside/,
    ],
    ['a piece that is gone', (g) => g.stages[1]!.shards[0]!.weights[1]!.pieces.pop(), /not its holdings/],
    [
      'a layer of another group',
      (g) =>
        (g.pools[1]!.ranks[0]!.groups = [
          [0, 2],
          [2, 4],
        ]),
      /layer group/,
    ],
    ['a missing upload', (g) => g.transitions[0]!.moves[0]!.upload.pop(), /not whole/],
    [
      'a copy out of bounds',
      (g) => (g.transitions[0]!.moves[0]!.copy[0]!.oldAt = 2 ** 20),
      /outside its buffers/,
    ],
    [
      'a weight that stays one way only',
      (g) => (g.transitions[1]!.moves[0]!.keep = []),
      /stays in .* but not on the way back/,
    ],
    [
      'more in place than there is',
      (g) => (g.transitions[0]!.moves[0]!.inPlace![0]!.bytes = 2 ** 30),
      /in place than there is/,
    ],
    [
      'what is kept and in place',
      (g) => {
        const [moves] = g.transitions[0]!.moves;
        moves!.inPlace![0] = { weight: moves!.keep[0]!.weight, at: 0, bytes: 4 };
      },
      /kept and in place/,
    ],
    [
      'a weight that is never written',
      (g) => {
        const [moves] = g.transitions[0]!.moves;
        const there = new Set(moves!.inPlace?.map(({ weight }) => weight));
        moves!.writes = moves!.writes!.filter(({ weight }) => there.has(weight));
      },
      /is never written/,
    ],
    [
      'a weight that is written twice',
      (g) => g.transitions[0]!.moves[0]!.writes!.push(g.transitions[0]!.moves[0]!.writes![0]!),
      /is written twice/,
    ],
    [
      'a weight that is kept and written',
      (g) => {
        const [moves] = g.transitions[0]!.moves;
        moves!.writes!.push({ weight: moves!.keep[0]!.weight });
      },
      /is written and need not be/,
    ],
    [
      'a weight that is written behind nothing',
      (g) => (g.transitions[0]!.moves[0]!.writes![0]!.behind = 'lost'),
      /behind lost, which is not there/,
    ],
    ['moves that are not listed', (g) => (g.transitions[0]!.devices[0]!.moves = 99), /are not listed/],
    ['a missing transition', (g) => g.transitions.pop(), /no transition/],
    ['more memory than there is', (g) => (g.devices[0]!.budget = 1), /needs .* of 1 bytes/],
    [
      'weights that no memory is counted for',
      (g) => {
        g.devices[0]!.peak.total -= g.devices[0]!.peak.weights;
        g.devices[0]!.peak.weights = 0;
      },
      /not room for all weights/,
    ],
    ['a pool that is not there', (g) => (g.stages[0]!.pool = 'lost'), /pool lost does not serve it/],
  ])('finds %s', (_what, edit, message) => {
    expect(spoilRuntime(edit)).toMatch(message);
  });
});

describe('verifyRuntime, of heads that are shared out', () => {
  const mixed = compilePlan(
    makePlan({
      stages: [
        { name: 'prefill', mesh: { tp: 2 }, onTp: ['heads'] },
        { name: 'decode', mesh: { tp: 2 }, onTp: ['kv_heads'] },
      ],
    }),
  ).runtime;
  type Op = Mutable<RuntimeGraph>['stages'][number]['programs'][number]['ops'][number];

  it('is content with a compiled graph', () => {
    expect(verifyRuntime(mixed)).toEqual([]);
  });

  it.each<[string, number, (op: Op) => void, RegExp]>([
    ['a gather into nothing', 1, (op) => 'out' in op && (op.out = 1000), /gathers into no value/],
    ['a gather of unequal columns', 1, (op) => 'out' in op && (op.value = op.out), /2 times \d+ columns/],
    ['a row of other heads', 1, (op) => 'params' in op && (op.params['rowHeads'] = 4), /qkv columns/],
    [
      'pages of other heads',
      0,
      (op) => 'params' in op && (op.params['pageHeads'] = 16),
      /pageHeads: 16, not 8/,
    ],
  ])('finds %s', (_what, stage, edit, problem) => {
    const copy = structuredClone(mixed) as Mutable<RuntimeGraph>;
    const { ops } = copy.stages[stage]!.programs[0]!;
    ops
      .filter((op) => 'out' in op || ('params' in op && op.kernel === 'attention'))
      .forEach((op) => void edit(op));
    expect(verifyRuntime(copy as RuntimeGraph).join('\n')).toMatch(problem);
  });
});

const planOf = (graph: Mutable<TransitionGraph>): Mutable<GroupPlan> => graph.weights[0]!.groups[0]!.plan;

describe('verifyTransitions', () => {
  it('is content with a compiled graph', () => {
    expect(verifyTransitions(transitions)).toEqual([]);
  });

  it.each<[string, (graph: Mutable<TransitionGraph>) => void, RegExp]>([
    ['a move that is missing', (g) => planOf(g).moves.pop(), /never arrives/],
    ['a move made twice', (g) => planOf(g).moves.push(planOf(g).moves[0]!), /arrives twice/],
    [
      'a keep of what is not there',
      (g) => (planOf(g).moves.find((m) => m.kind === 'upload')!.kind = 'keep'),
      /not resident/,
    ],
    [
      'a keep of what something was written over',
      (g) => (g.lasting = []),
      /keep of .*, which is not resident/,
    ],
    [
      'an upload of what is there',
      (g) => (planOf(g).moves.find((m) => m.kind === 'copy')!.kind = 'upload'),
      /upload of .*, which is resident/,
    ],
    [
      'an eviction of what is needed',
      (g) => planOf(g).evict.push({ ...planOf(g).moves[0]!, bytes: 0 }),
      /still needed/,
    ],
    ['a device without a group', (g) => g.weights[0]!.groups[0]!.devices.pop(), /is in no group/],
    [
      'a device in two groups',
      (g) => g.weights[0]!.groups.push({ ...g.weights[0]!.groups[0]! }),
      /in two groups/,
    ],
    [
      'a plan made for other devices',
      (g) => {
        const [group] = g.weights[0]!.groups;
        g.weights[0]!.groups.push({ ...group!, devices: [...group!.devices].reverse() });
      },
      /follow a plan for others/,
    ],
    ['needless uploads', (g) => (g.weights[0]!.bytes.upload += 4), /more is brought than the lower bound/],
    ['uploads left out', (g) => (g.weights[0]!.bytes.upload -= 4), /less is brought than the lower bound/],
    [
      'a move of what is resident in both shardings',
      (g) => (g.resident = [planOf(g).moves[0]!.piece.tensor]),
      /resident in both/,
    ],
    ['pages that stay behind', (g) => g.kv[0]!.pageOut.pop(), /pages out only part/],
    ['pages that never arrive', (g) => g.kv[0]!.pageIn.pop(), /pages in only part/],
    ['pages that leave twice', (g) => g.kv[0]!.pageOut.push(g.kv[0]!.pageOut[0]!), /what another did/],
  ])('finds %s', (_what, edit, message) => {
    expect(spoilTransitions(edit)).toMatch(message);
  });
});
