/** Where a plan may be told that a mesh does not suit it. */
import type { Diagnostic, Origin } from '../diagnostics/diagnostic.js';
import type { Plan, Stage } from './plan.js';

/**
 * The mesh of a stage. A plan that comes from another may have taken the mesh from there and have trouble with it that
 * the other does not have: then the plan is named beside it.
 */
export function meshPlace(
  plan: Pick<Plan, 'name' | 'origin'>,
  { meshOrigin }: Pick<Stage, 'meshOrigin'>,
): { readonly primary: Origin; readonly related: Diagnostic['related'] } {
  const { file, span } = plan.origin;
  const isOwn = meshOrigin.file === file && meshOrigin.span.start >= span.start;
  const label = `plan \`${plan.name}\` has this mesh from there`;
  return { primary: meshOrigin, related: isOwn ? [] : [{ ...plan.origin, label }] };
}
