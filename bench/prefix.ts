/**
 * What it saves to compute a common beginning of prompts once: the same requests with and without, under each way to share
 * out a model. Prompts begin with the same 520 tokens, half a page more than 32 pages, and go on with 40 of their own. Weights are random; software
 * devices are one processor, so trust the ratios within a run.
 *
 *   npm run bench:prefix
 */
import { compilePlan } from '../compiler/compile.js';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { openEngine } from '../runtime/engine/open.js';
import { makePlan } from '../test/compiler/support/make-plan.js';
import type { StageOptions } from '../test/compiler/support/make-plan.js';
import { submitRequests } from './support/requests.js';
import { CLERK_SHAPE } from './support/shapes.js';

const SHAPE = { ...CLERK_SHAPE, context: 1024 };
const REQUESTS = Array.from({ length: 24 }, () => ({ promptTokens: 560, newTokens: 16 }));
const SHARED_TOKENS = 520;

type Stages = readonly Pick<StageOptions, 'name' | 'mesh' | 'devices' | 'phases'>[];

const PLANS: Readonly<Record<string, Stages>> = {
  fused: [{ name: 'serve', mesh: { tp: 2 }, phases: ['prefill', 'decode'] }],
  static: [
    { name: 'prefill', mesh: { pp: 2 } },
    { name: 'decode', mesh: { pp: 2 } },
  ],
  're-shard': [
    { name: 'prefill', mesh: { pp: 2 } },
    { name: 'decode', mesh: { tp: 2 } },
  ],
  disaggregated: [
    { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1] },
    { name: 'decode', mesh: { tp: 2 }, devices: [2, 3] },
  ],
};

function compile(stages: Stages): RuntimeGraph {
  const batch = { microbatchTokens: 256, batchRequests: 16 };
  const { runtime, diagnostics } = compilePlan(
    makePlan({ shape: SHAPE, stages: stages.map((stage) => ({ ...stage, ...batch })) }),
  );
  const error = diagnostics.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new Error(error.message);
  return runtime;
}

async function measure(graph: RuntimeGraph, reusesPrefixes: boolean): Promise<readonly string[]> {
  const engine = await openEngine(graph, { reusesPrefixes });
  try {
    submitRequests(engine, SHAPE.vocab, REQUESTS, SHARED_TOKENS);
    const began = performance.now();
    await engine.run();
    const seconds = (performance.now() - began) / 1000;
    const { promptTokens, reusedTokens, copiedPages, prefillSeconds, bytes } = engine.stats();
    const found = reusedTokens.device + reusedTokens.host + reusedTokens.disk;
    return [
      String(promptTokens - found),
      String(found),
      String(copiedPages),
      prefillSeconds.toFixed(2),
      ((bytes.kvOut + bytes.kvIn) / 1e6).toFixed(1),
      seconds.toFixed(2),
    ];
  } finally {
    await engine.dispose();
  }
}

const HEADINGS = [
  'plan',
  'reuse',
  'computed',
  'found',
  'pages copied',
  'prefill s',
  'KV out + in MB',
  'total s',
];
console.log(
  `${REQUESTS.length} prompts of ${REQUESTS[0]!.promptTokens} tokens, ${SHARED_TOKENS} of them common`,
);
console.log(`| ${HEADINGS.join(' | ')} |`);
console.log(`|${HEADINGS.map(() => '---').join('|')}|`);
for (const [name, stages] of Object.entries(PLANS)) {
  const graph = compile(stages);
  for (const reuses of [false, true]) {
    const cells = await measure(graph, reuses);
    console.log(`| ${[name, reuses ? 'yes' : 'no', ...cells].join(' | ')} |`);
  }
}
