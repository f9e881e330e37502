/** What candidates are told apart by, whatever other sizes they have. */
import { numbered } from '../../compiler/numbered.js';
import type { Candidate } from '../../compiler/planner/candidates.js';

/** A key that candidates have in common whose stages have the same meshes on the same devices. */
export function meshKeys(): (candidate: Pick<Candidate, 'stages'>) => string {
  const idOf = numbered<unknown>();
  return ({ stages }) => stages.flatMap(({ devices, mesh }) => [devices, mesh].map(idOf)).join();
}

/** The same of those whose prefill steps, too, have as many tokens. */
export function stepKeys(): (candidate: Pick<Candidate, 'stages'>) => string {
  const meshesOf = meshKeys();
  return (candidate) => `${meshesOf(candidate)} ${candidate.stages[0]!.microbatchTokens}`;
}
