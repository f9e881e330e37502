/** The shapes, request sets and plans of the throughput benchmark. */
import { compilePlan } from '../../compiler/compile.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { ModelShape } from '../../compiler/model/shape.js';
import type { Plan, Topology } from '../../compiler/plan/plan.js';
import { makePlan } from '../../test/compiler/support/make-plan.js';
import type { StageOptions } from '../../test/compiler/support/make-plan.js';
import type { RequestSize } from './requests.js';
import { CLERK_SHAPE, LLAMA_110M } from './shapes.js';

export interface Case {
  readonly shape: Partial<ModelShape> & { readonly vocab: number };
  readonly microbatchTokens: number;
  readonly batchRequests: number;
  readonly requests: number;
  readonly sets: readonly RequestSize[];
}

export const CASES: Readonly<Record<string, Case>> = {
  clerk: {
    shape: { ...CLERK_SHAPE, context: 512 },
    microbatchTokens: 256,
    batchRequests: 16,
    requests: 24,
    sets: [
      { promptTokens: 320, newTokens: 16 },
      { promptTokens: 128, newTokens: 32 },
      { promptTokens: 64, newTokens: 64 },
      { promptTokens: 32, newTokens: 64 },
    ],
  },
  '110m': {
    shape: { ...LLAMA_110M, context: 256 },
    microbatchTokens: 64,
    batchRequests: 4,
    requests: 4,
    sets: [
      { promptTokens: 80, newTokens: 4 },
      { promptTokens: 32, newTokens: 8 },
      { promptTokens: 16, newTokens: 16 },
      { promptTokens: 8, newTokens: 16 },
    ],
  },
};

export type Stages = readonly Pick<StageOptions, 'name' | 'mesh' | 'phases'>[];

export const PLANS: Readonly<Record<string, Stages>> = {
  'static tp': [
    { name: 'prefill', mesh: { tp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
  'static pp': [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { pp: 4 } },
  ],
  're-shard': [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
  fused: [{ name: 'serve', mesh: { tp: 4 }, phases: ['prefill', 'decode'] }],
};

/** Compiles one of the plans, on another topology of four devices where one is given. */
export function compile(
  { shape, microbatchTokens, batchRequests }: Case,
  stages: Stages,
  topology?: Topology,
): { readonly plan: Plan; readonly runtime: RuntimeGraph } {
  const made = makePlan({
    shape,
    stages: stages.map((stage) => ({ ...stage, microbatchTokens, batchRequests })),
  });
  const plan = { ...made, topology: topology ?? made.topology };
  const { runtime, diagnostics } = compilePlan(plan);
  const error = diagnostics.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new Error(error.message);
  return { plan, runtime };
}

/**
 * The graph with so little room that KV goes to disk as well: device pages for the sequences that decode at once, and
 * host pages for the prompts of a third of the requests.
 *
 * @param directory where the disk tier has its files
 */
export function throughDisk(
  graph: RuntimeGraph,
  { promptTokens, newTokens }: RequestSize,
  { batchRequests, requests }: Case,
  directory: string,
): RuntimeGraph {
  const pagesOf = (tokens: number): number => Math.ceil(tokens / graph.kv.pageTokens);
  const longest = pagesOf(promptTokens + newTokens);
  const prompts = requests * pagesOf(promptTokens);
  const devicePages = (batchRequests + 1) * longest;
  const nvme = { kind: 'tier_full', tier: 'nvme' } as const;
  return {
    ...graph,
    pools: graph.pools.map((pool) => ({ ...pool, pages: Math.min(pool.pages, devicePages) })),
    hostTier: { ...graph.hostTier!, pages: Math.max(longest, Math.floor(prompts / 3)) },
    diskTier: { name: 'nvme', directory, pages: prompts },
    flow: {
      ...graph.flow,
      rules: [
        { to: 'decode', when: { kind: 'or', left: nvme, right: { kind: 'requests_empty' } } },
        { to: 'prefill', when: { kind: 'tier_used', tier: 'nvme', op: '<', fraction: 0.2 } },
      ],
    },
  };
}
