/** How the work of an engine appears in a trace. */
import type { RuntimeGraph, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { StepLabel } from '../exec/pipeline.js';
import { pageOwners } from '../../compiler/ir/page-slices.js';
import type { Scheduler } from '../scheduler/scheduler.js';
import type { ActionOf, StepItem } from '../scheduler/types.js';
import { deviceLane } from '../trace/tracer.js';
import type { Tracer } from '../trace/tracer.js';
import type { EngineWork } from './types.js';

/** Notes that a step has begun; says how many tokens before its rows no step of the sequence was given. */
export function beginRows(sequence: { begun: number }, { start, count }: StepItem): number {
  const passedOver = Math.max(0, start - sequence.begun);
  sequence.begun = Math.max(sequence.begun, start + count);
  return passedOver;
}

/** Rows of prompts among those of a step, and of what is computed again: all but those of sequences that decode. */
export function prefillRows(
  items: readonly StepItem[],
  promptTokensOf: (sequence: number) => number,
): number {
  const rows = (item: StepItem): number =>
    item.count > 1 || item.start < promptTokensOf(item.sequence) ? item.count : 0;
  return items.reduce((sum, item) => sum + rows(item), 0);
}

/** A mesh as steps tell of it. */
export function meshText({ dp, pp, tp }: RuntimeStage['mesh']): string {
  return `dp ${dp}, pp ${pp}, tp ${tp}`;
}

/** A step; `prefill` of its rows are those of `prefillRows`, `requests` those whose path leads through it, `reused` the tokens before its rows that were found. */
export function labelOf(
  { id, replica, items }: ActionOf<'step'>,
  { name, mesh, origin }: RuntimeStage,
  prefill: number,
  requests: readonly number[],
  reused = 0,
): StepLabel {
  const rows = items.reduce((sum, item) => sum + item.count, 0);
  const decode = rows - prefill;
  const both = prefill > 0 && decode > 0;
  const kinds = { ...(both && { prefill, decode }), ...(reused > 0 && { reused }) };
  const shape = { replica, sequences: items.length, rows, ...kinds };
  const args = { step: id, stage: name, mesh: meshText(mesh), ...shape, origin };
  return {
    name: `${name} ${both ? 'prefill + decode' : prefill > 0 ? 'prefill' : 'decode'}`,
    args,
    requests,
  };
}

/** What a scheduler has in hand. */
export function workOf(scheduler: Pick<Scheduler, 'state'>): EngineWork {
  const { waiting, prefilling, running, pools, host, disk, ...state } = scheduler.state();
  const moving = state.pagingOut + state.pagingIn + state.spilling + state.fetching;
  const pages = (tier: 'device' | 'host' | 'disk', pool: string, all: { pages: number; free: number }) => ({
    tier,
    pool,
    total: all.pages,
    used: all.pages - all.free,
  });
  return {
    requests: { waiting, prefilling, running, moving, host: state.onHost, disk: state.onDisk },
    pages: [
      ...pools.map((pool) => pages('device', `${pool.pool} ${pool.replica}`, pool)),
      pages('host', 'host', host),
      pages('disk', 'disk', disk),
    ],
  };
}

/** Where requests are, what prompts had in common and how much of every tier is in use. */
export function countWork(tracer: Pick<Tracer, 'counter'>, scheduler: Pick<Scheduler, 'state'>): void {
  tracer.counter('requests', () => workOf(scheduler).requests);
  tracer.counter('prompt tokens reused', () => scheduler.state().reused);
  tracer.counter('KV pages in use', () =>
    Object.fromEntries(workOf(scheduler).pages.map(({ pool, used }) => [pool, used])),
  );
}

/** Pages on their way, on every device that moves a part of them; to be called with each when its part is done. */
export function movingPages(
  tracer: Tracer,
  graph: RuntimeGraph,
  action: ActionOf<'page_out' | 'page_in'>,
): (device: number) => void {
  const pool = graph.pools.find(({ id }) => id === action.pool)!;
  const { origin } = graph.stages.find((stage) => stage.pool === pool.id)!;
  const owners = pageOwners(pool);
  const ranks = pool.ranks.filter(
    (rank) => rank.dp === action.replica && (action.kind === 'page_in' || owners.has(rank)),
  );
  const pages = action.pages.length;
  const args = { sequence: action.sequence, pool: pool.id, pages, origin };
  const slices = new Map(
    ranks.map(({ device, pageBytes }) => {
      const { path } = graph.devices.find(({ id }) => id === device)!;
      const bytes = pages * pageBytes;
      return [device, tracer.begin(deviceLane(path, 'copy'), action.kind, { ...args, bytes })] as const;
    }),
  );
  return (device) => slices.get(device)!.end();
}
