/** Which requests of a workload no plan has room for: why a search found none. */
import { engineOf } from '../cost/engine-model.js';
import { kvView } from '../model/kv-window.js';
import type { Plan } from '../plan/plan.js';
import { candidateBound, candidateHostPages } from './bound.js';
import { createBoundContext } from './bounded-stage.js';
import type { Candidate } from './candidates.js';
import { demandOf, type RequestLengths } from './demand.js';

/** The requests that no candidate has room for. */
export interface Unheld {
  /** How many requests no candidate has room for. */
  readonly requests: number;
  /** Place of the longest of them in the workload, from 0. */
  readonly place: number;
  /** The longest of them. */
  readonly longest: RequestLengths;
}

/** Whether no plan for the model serves the request: its prompt alone is longer than the context. */
export function exceedsContext(
  { model: { shape } }: Pick<Plan, 'model'>,
  { promptTokens }: Pick<RequestLengths, 'promptTokens'>,
): boolean {
  return promptTokens > shape.context;
}

/**
 * Requests that no candidate has room for, as far as bounds know; undefined where there are none, or where no
 * candidate has room for its weights and a microbatch.
 */
export function unheldRequests(
  candidates: readonly Candidate[],
  requests: readonly RequestLengths[],
): Unheld | undefined {
  const [first] = candidates;
  if (first === undefined) return undefined;
  const { model, kv, topology } = first.base;
  const view = kvView(model.shape, kv.pageTokens);
  const { context } = model.shape;
  const places = requests.map((_, place) => place);
  const tokensOf = (place: number): number => {
    const { promptTokens, outputTokens } = requests[place]!;
    // A sequence ends with the context; a prompt that exceeds it never begins.
    return Math.min(promptTokens + outputTokens, Math.max(context, promptTokens + 1));
  };
  places.sort((a, b) => tokensOf(a) - tokensOf(b));
  const bounds = createBoundContext(first.base, engineOf(topology));
  let [held, anyFits] = [0, false];
  for (const candidate of candidates) {
    const bound = candidateBound(candidate, bounds);
    if (bound === undefined) continue;
    anyFits = true;
    const hostPages = candidateHostPages(candidate);
    const holds = (place: number): boolean => {
      const { promptTokens } = requests[place]!;
      const outputTokens = tokensOf(place) - promptTokens;
      return (
        !exceedsContext(first.base, requests[place]!) &&
        bound.fits(demandOf([{ promptTokens, outputTokens }], view), hostPages)
      );
    };
    while (held < places.length && holds(places[held]!)) held++;
    if (held === places.length) return undefined;
  }
  const place = places.at(-1)!;
  if (!anyFits) return undefined;
  return { requests: places.length - held, place, longest: requests[place]! };
}
