/**
 * What the scheduler alone costs the host: the state machine with all requests waiting from the start, and every action
 * done as soon as those before it are. No device, no clock. Under each plan prompts have nothing in common, or their first
 * half, or are lengths alone as in a simulation. Times are the processor's, garbage collection included.
 *
 *   npm run bench:scheduler -- [requests]
 */
import { pageKeys } from '../runtime/engine/page-keys.js';
import { createScheduler } from '../runtime/scheduler/scheduler.js';
import type { Action, SchedulerConfig, SchedulerEvent } from '../runtime/scheduler/types.js';
import { configOf, nvmeRules } from '../test/runtime/scheduler/configs.js';
import type { ConfigOptions, PlanKind } from '../test/runtime/scheduler/configs.js';
import { asked, countAsked, inPlaces } from './support/arguments.js';
import { processorSeconds, timed } from './support/timed.js';

const PROMPT_TOKENS = 512;
const NEW_TOKENS = 64;
const PAGE_TOKENS = 16;

/** Room for about 1,000 sequences on the devices of a stage. */
const SIZES: ConfigOptions = {
  depth: 4,
  maxTokens: 4096,
  maxSequences: 256,
  batchRequests: 512,
  pageTokens: PAGE_TOKENS,
  prefillPages: 40_000,
  decodePages: 40_000,
  hostPages: 100_000,
};

const PLANS: Readonly<Record<string, readonly [PlanKind, ConfigOptions?]>> = {
  static: ['static'],
  fused: ['fused'],
  're-shard': ['resharded'],
  're-shard, disk': ['resharded', { diskPages: 1_000_000, rules: nvmeRules }],
  disaggregated: ['disaggregated'],
};

const PROMPTS = ['unique', 'half in common', 'lengths'] as const;

type Prompts = (typeof PROMPTS)[number];

function keysOf(request: number, prompts: Prompts): readonly string[] | undefined {
  if (prompts === 'lengths') return undefined;
  const common = prompts === 'unique' ? 0 : PROMPT_TOKENS / 2;
  const ids = Array.from({ length: PROMPT_TOKENS }, (_, i) => (i < common ? i : (request + 1) * 1024 + i));
  return pageKeys(ids, PAGE_TOKENS);
}

/** The event that ends an action: every row that is to be sampled yields a token, and no sequence ends before its last. */
function eventFor(action: Exclude<Action, { kind: 'prepare' | 'reject' }>): SchedulerEvent {
  const { kind, id } = action;
  if (kind === 'step') {
    const sampled = action.items
      .filter((item) => item.sample)
      .map(({ sequence }) => ({ sequence, finished: false }));
    return { kind: 'step_done', id, sampled };
  }
  if (kind === 'spill') return { kind: 'spill_done', id, failed: false };
  if (kind === 'fetch') return { kind: 'fetch_done', id, failed: false };
  return { kind: `${kind}_done`, id };
}

function measure(config: SchedulerConfig, requests: number, prompts: Prompts): readonly string[] {
  const { value: keys, seconds: keySeconds } = timed(
    () => Array.from({ length: requests }, (_, id) => keysOf(id, prompts)),
    processorSeconds,
  );
  const scheduler = createScheduler(config);
  const started = processorSeconds();
  keys.forEach((pageKeys, id) => {
    const request = { id, promptTokens: PROMPT_TOKENS, maxNewTokens: NEW_TOKENS };
    scheduler.apply({
      kind: 'arrive',
      request: { ...request, ...(pageKeys !== undefined && { pageKeys }) },
    });
  });
  const flying: Action[] = [];
  const counts = { steps: 0, moves: 0 };
  let slowest = 0;
  for (;;) {
    const before = performance.now();
    const actions = scheduler.next();
    slowest = Math.max(slowest, performance.now() - before);
    flying.push(...actions);
    const action = flying.shift();
    if (action === undefined) break;
    if (action.kind === 'prepare') continue;
    if (action.kind === 'reject') throw new Error(action.why);
    if (action.kind === 'step') counts.steps++;
    else if (action.kind !== 'switch') counts.moves++;
    scheduler.apply(eventFor(action));
  }
  const seconds = processorSeconds() - started;
  const { finished, switches } = scheduler.state();
  if (finished !== requests) throw new Error(`${finished} of ${requests} requests finished`);
  return [
    String(counts.steps),
    String(counts.moves),
    String(switches),
    keySeconds.toFixed(2),
    seconds.toFixed(2),
    ((1000 * seconds) / counts.steps).toFixed(3),
    slowest.toFixed(1),
  ];
}

const [count = '20000'] = asked('scheduler', inPlaces(process.argv.slice(2), 1));
const requests = asked('scheduler', countAsked('requests', count));
const HEADINGS = ['steps', 'moves', 'transitions', 'keys s', 'scheduling s', 'ms a step', 'slowest ms'];
console.log(`${requests} requests of ${PROMPT_TOKENS} prompt tokens and ${NEW_TOKENS} new ones`);
console.log(`| plan | prompts | ${HEADINGS.join(' | ')} |`);
console.log(`|---|---|${HEADINGS.map(() => '---').join('|')}|`);
for (const [plan, [kind, options]] of Object.entries(PLANS)) {
  for (const prompts of PROMPTS) {
    const cells = measure(configOf(kind, { ...SIZES, ...options }), requests, prompts);
    console.log(`| ${[plan, prompts, ...cells].join(' | ')} |`);
  }
}
