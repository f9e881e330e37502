/** The actions that move bytes: KV pages between tiers, weights at a transition. Each resolves when it is done. */
import { residencesOf, transitionBetween } from '../../compiler/ir/residences.js';
import type { ActionOf } from '../scheduler/types.js';
import { DISK, HOST } from '../trace/tracer.js';
import type { EngineParts } from './parts.js';
import { movingPages } from './trace-work.js';

/** Device pages to host pages, or back. */
export async function moveHostPages(
  action: ActionOf<'page_out' | 'page_in'>,
  { graph, prepared, tally, tracer }: EngineParts,
): Promise<void> {
  const pool = prepared.pools.get(action.pool)!;
  const { replica, pages, hostPages } = action;
  const moved = movingPages(tracer, graph, action);
  const out = action.kind === 'page_out';
  const bytes = await (out
    ? pool.pageOut(replica, pages, hostPages, moved)
    : pool.pageIn(replica, pages, hostPages, moved));
  tally.bytes[out ? 'kvOut' : 'kvIn'] += bytes;
}

/** Host pages to disk, or back; says whether any page was lost. */
export async function moveDiskPages(
  action: ActionOf<'spill' | 'fetch'>,
  { graph, prepared, tracer }: EngineParts,
): Promise<boolean> {
  const disk = prepared.disk!;
  const { sequence, hostPages, diskPages } = action;
  const spill = action.kind === 'spill';
  const slice = tracer.begin(spill ? DISK.write : DISK.read, action.kind, {
    sequence,
    pages: hostPages.length,
    origin: graph.diskTier!.origin,
  });
  const moved = spill ? disk.spill(hostPages, diskPages) : disk.fetch(diskPages, hostPages);
  const outcomes = await moved.finally(() => slice.end());
  return outcomes.some((outcome) => outcome !== 'ok');
}

/** Gives the devices of a group the weights of another stage. */
export async function switchStage(
  { from, to }: ActionOf<'switch'>,
  { graph, prepared, tally, transitions, tracer }: EngineParts,
): Promise<void> {
  const slice = tracer.begin(HOST.transitions, `${from} -> ${to}`, {
    mode: transitions,
    origin: transitionBetween(graph, residencesOf(graph), from, to)?.origin,
  });
  tally.clocks.transition.begin();
  let bytes: number | undefined;
  try {
    bytes = await prepared.switchTo(from, to, transitions);
  } finally {
    tally.clocks.transition.end();
    slice.end(bytes === undefined ? undefined : { bytes });
  }
  tally.bytes.weights += bytes;
  tally.transitions++;
}
