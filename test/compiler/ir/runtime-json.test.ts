/** Graph files are user input: what is wrong with one is said, and nothing makes the reader crash. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import { parseRuntimeGraph, serialiseRuntimeGraph } from '../../../compiler/ir/runtime-json.js';
import { makePlan } from '../support/make-plan.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const GRAPH = compilePlan(
  makePlan({
    shape: { layers: 2, tied: true, qkvBias: true },
    stages: [
      { name: 'prefill', mesh: { pp: 2 } },
      { name: 'decode', mesh: { tp: 2 } },
    ],
  }),
).runtime;

/** A copy of the graph's JSON, changed. */
function changed(edit: (graph: Record<string, Json>) => void): unknown {
  const copy = JSON.parse(serialiseRuntimeGraph(GRAPH)) as Record<string, Json>;
  edit(copy);
  return copy;
}

function problemsOf(json: unknown): readonly string[] {
  return parseRuntimeGraph(json).problems ?? [];
}

describe('parseRuntimeGraph', () => {
  it('gives back the graph that was written', () => {
    const parsed = parseRuntimeGraph(JSON.parse(serialiseRuntimeGraph(GRAPH)));
    expect(parsed.problems).toBeUndefined();
    expect(parsed.graph).toEqual(GRAPH);
  });

  it('gives back a graph whose weights are of several types', () => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: {} }] });
    const stored = { 'model.layers.0.mlp.down_proj.weight': 'f16' } as const;
    const { runtime } = compilePlan({ ...plan, model: { ...plan.model, stored } });
    const types = runtime.stages[0]!.shards[0]!.weights.map(({ id, dtype }) => `${id} ${dtype}`);
    expect(types).toContain('layers.0.down f16');
    expect(types).toContain('layers.1.down f32');
    expect(parseRuntimeGraph(JSON.parse(serialiseRuntimeGraph(runtime))).graph).toEqual(runtime);
  });

  it('drops fields that it does not know, wherever they are', () => {
    const json = changed((graph) => {
      graph['colour'] = 'red';
      graph['requires'] = [];
      for (const stage of graph['stages'] as { [key: string]: Json }[]) stage['colour'] = { deep: [1] };
    });
    expect(parseRuntimeGraph(json).graph).toEqual(GRAPH);
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', 7, /not a runtime graph/],
    ['an array', [], /not a runtime graph/],
    ['another file', { name: 'package' }, /`format` is not "fulcrum-runtime-graph"/],
    [
      'a later version',
      changed((graph) => (graph['version'] = 99)),
      /version 99; written by a newer Fulcrum/,
    ],
    [
      'an earlier version',
      changed((graph) => (graph['version'] = 2)),
      /version 2; this Fulcrum reads version 3/,
    ],
    [
      'a version that is none',
      changed((graph) => (graph['version'] = '3')),
      /version "3"; this Fulcrum reads/,
    ],
    [
      'a feature that it does not know',
      changed((graph) => (graph['requires'] = ['teleports'])),
      /^the graph requires "teleports", which this Fulcrum does not know/,
    ],
    ['features that are no list', changed((graph) => (graph['requires'] = 'teleports')), /^requires: /],
    [
      'a kernel parameter that it does not know',
      changed((graph) => {
        const [stage] = graph['stages'] as unknown as { programs: { ops: { params: Json }[] }[] }[];
        stage!.programs[0]!.ops[0]!.params = { vocabRows: 16, split: 0, hidden: 8, twist: 1 };
      }),
      /twist/,
    ],
    ['a missing field', changed((graph) => delete graph['pools']), /^pools: /],
    ['a field of another type', changed((graph) => (graph['plan'] = 3)), /^plan: /],
    ['no stages', changed((graph) => (graph['stages'] = [])), /^stages: .*does nothing/],
    [
      'a flow through a stage that is not there',
      changed((graph) => ((graph['flow'] as { stages: Json[] }).stages = ['refill', 'decode'])),
      /flow names stage "refill"/,
    ],
    ['a tier edge without a tier', changed((graph) => delete graph['hostTier']), /no `hostTier`/],
    [
      'pages within a pool that is not there',
      changed((graph) => ((graph['pools'] as { within: string }[])[1]!.within = 'refill')),
      /there is no pool refill to lie in/,
    ],
    [
      'pages within a pool of other pages',
      changed(
        (graph) => ((graph['pools'] as { ranks: { pageBytes: number }[] }[])[1]!.ranks[0]!.pageBytes *= 2),
      ),
      /its pages are not those of pool prefill/,
    ],
    [
      'a disk tier that nothing leads to',
      changed((graph) => {
        delete graph['hostTier'];
        graph['diskTier'] = { name: 'nvme', directory: '/tmp', pages: 4 };
        (graph['kv'] as { edges: unknown[] }).edges = [];
      }),
      /`diskTier` through host memory/,
    ],
  ])('refuses %s', (_what, json, message) => {
    const problems = problemsOf(json);
    expect(problems[0]).toMatch(message);
  });

  it('points at the place of a problem deep inside', () => {
    const json = changed((graph) => {
      const stages = graph['stages'] as unknown as { programs: { ops: { op: string }[] }[] }[];
      stages[1]!.programs[0]!.ops[3]!.op = 'dance';
    });
    expect(problemsOf(json)[0]).toMatch(/^stages\[1\]\.programs\[0\]\.ops\[3\]\.op: /);
  });

  it('refuses what only the verifier can see', () => {
    const json = changed((graph) => {
      const stages = graph['stages'] as unknown as RuntimeGraph['stages'];
      (stages[0]!.programs[0]!.values[1]! as { slot: number }).slot = 0;
    });
    expect(problemsOf(json).join('\n')).toMatch(/live in slot 0 at the same time|does not wait/);
  });

  it('says so briefly when everything is wrong', () => {
    const json = changed((graph) => {
      for (const device of graph['stages'] as { ranks: Json }[])
        device.ranks = Array.from({ length: 50 }, () => 'x');
    });
    const problems = problemsOf(json);
    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toBe('and 80 more');
  });

  it('never throws, whatever single value of the file is replaced', () => {
    const paths = leaves(JSON.parse(serialiseRuntimeGraph(GRAPH)) as Json);
    const anything = fc.oneof(
      fc.constantFrom<Json>(null, -1, 0, 1, 2, 10 ** 9, 0.5, 'x', true, [], {}),
      fc.integer(),
    ) as fc.Arbitrary<Json>;
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...paths), anything, (path, value) => {
        const json = changed((graph) => replace(graph, path, value));
        const { graph, problems } = parseRuntimeGraph(json);
        expect((graph === undefined) !== (problems === undefined)).toBe(true);
        if (problems) refused++;
      }),
      { numRuns: 300 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});

type Path = readonly (string | number)[];

function leaves(json: Json, at: Path = []): Path[] {
  if (typeof json !== 'object' || json === null) return [at];
  return [at, ...Object.entries(json).flatMap(([key, value]) => leaves(value, [...at, key]))].filter(
    (path) => path.length > 0,
  );
}

function replace(json: Json, path: Path, value: Json): void {
  const parent = path.slice(0, -1).reduce<Json>((node, key) => (node as Record<string, Json>)[key]!, json);
  (parent as Record<string, Json>)[path.at(-1)!] = value;
}
