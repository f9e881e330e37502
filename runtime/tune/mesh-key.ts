/**
 * Keys that tell candidates apart by their meshes, whatever other sizes they have. They go by the values that candidates
 * of one `findCandidates` share: of others, equal meshes have different keys.
 */
import { numbered } from '../../compiler/numbered.js';
import type { Candidate } from '../../compiler/planner/candidates.js';

/** A key that is the same for candidates whose stages have the same meshes on the same devices. */
export function meshKeys(): (candidate: Pick<Candidate, 'stages'>) => string {
  const idOf = numbered<unknown>();
  return ({ stages }) => stages.flatMap(({ devices, mesh }) => [devices, mesh].map(idOf)).join();
}

/** A key that is the same for candidates with the same meshes on the same devices and as many tokens in a prefill step. */
export function stepKeys(): (candidate: Pick<Candidate, 'stages'>) => string {
  const meshesOf = meshKeys();
  return (candidate) => `${meshesOf(candidate)} ${candidate.stages[0]!.microbatchTokens}`;
}
