/**
 * The throughput that no plan exceeds, where a search has found none: people who asked for too much are to know by how
 * much.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import { candidateBound } from '../../compiler/planner/bound.js';
import { boundedInParts } from './closer-look.js';
import type { Survey } from './survey.js';

/** Candidates bounded more closely between two pauses. */
const PART = 200;

/**
 * Requests per second that no candidate is faster than, with pauses: the most that any is bounded by. Undefined where none
 * fits, as far as bounds know.
 */
export function* mostPromisedInParts(
  candidates: readonly Candidate[],
  survey: Pick<Survey, 'roughBound' | 'context' | 'demand' | 'requests'>,
): Generator<void, number | undefined> {
  const { context, demand, requests } = survey;
  const rough = (yield* boundedInParts(candidates, survey)).sort((a, b) => a.least - b.least);
  let fewest = Infinity;
  for (const [place, { candidate, least, bound }] of rough.entries()) {
    // The others are no quicker by what costs next to nothing, and so not by what costs more.
    if (least >= fewest) break;
    if (place % PART === PART - 1) yield;
    const closer = bound ?? candidateBound(candidate, context);
    if (closer !== undefined) fewest = Math.min(fewest, closer.least(demand));
  }
  return fewest < Infinity ? requests.length / fewest : undefined;
}
