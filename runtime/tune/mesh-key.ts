/** What candidates are told apart by, whatever sizes they have. */
import { numbered } from '../../compiler/numbered.js';
import type { Candidate } from '../../compiler/planner/candidates.js';

/** A key that candidates have in common whose stages have the same meshes on the same devices. */
export function meshKeys(): (candidate: Pick<Candidate, 'stages'>) => string {
  const idOf = numbered<unknown>();
  return ({ stages }) => stages.flatMap(({ devices, mesh }) => [devices, mesh].map(idOf)).join();
}
