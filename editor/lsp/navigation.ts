/** Definition, references and rename: all over the files of the workspace. */
import type { Span } from '../../grammar/syntax.js';
import { keywordOf } from '../../grammar/tokens.js';
import { nameAt, resolveName, sameSite, siteAt, type Site } from './resolve.js';
import type { Workspace } from './workspace.js';

export interface Location {
  readonly path: string;
  readonly span: Span;
}

/** Where what the name at an offset stands for is declared; a file where a string names one. */
export function definitionAt(workspace: Workspace, path: string, offset: number): Location | undefined {
  const link = linksIn(workspace, path).find(({ span }) => span.start <= offset && offset <= span.end);
  return link ? { path: link.target, span: { start: 0, end: 0 } } : siteAt(workspace, path, offset);
}

/** Every place that speaks of the thing that the name at an offset stands for, its declaration first. */
export function referencesAt(
  workspace: Workspace,
  path: string,
  offset: number,
  withDeclaration: boolean,
): readonly Location[] {
  const site = siteAt(workspace, path, offset);
  if (site === undefined) return [];
  const uses = usesOf(workspace, path, site);
  return [...(withDeclaration ? [{ path: site.path, span: site.span }] : []), ...uses];
}

/** Uses of a thing other than its declaration. */
function usesOf(workspace: Workspace, from: string, site: Site): readonly Location[] {
  const paths = new Set([from, site.path, ...workspace.allPaths()]);
  return [...paths].flatMap((path) =>
    (workspace.document(path)?.names ?? [])
      .filter(
        (use) =>
          !use.declares &&
          (use.text === site.node.name.text || use.space.in === 'file') &&
          refersTo(workspace, path, use, site),
      )
      .map(({ span }) => ({ path, span })),
  );
}

function refersTo(
  workspace: Workspace,
  path: string,
  use: Parameters<typeof resolveName>[2],
  site: Site,
): boolean {
  const found = resolveName(workspace, path, use);
  return found !== undefined && sameSite(found, site);
}

/** Files that the imports of a file name. */
export function linksIn(
  workspace: Workspace,
  path: string,
): readonly { readonly span: Span; readonly target: string }[] {
  return (workspace.document(path)?.tree.file.items ?? []).flatMap((item) => {
    if (item.kind !== 'import' || item.from.kind === 'error') return [];
    const target = workspace.resolve(path, item.from.value);
    return workspace.document(target) === undefined ? [] : [{ span: item.from.span, target }];
  });
}

/** What may be renamed at an offset; a reason in words where it may not. */
export function renameable(
  workspace: Workspace,
  path: string,
  offset: number,
): { readonly span: Span; readonly text: string } | string {
  const use = nameAt(workspace, path, offset);
  const site = use && resolveName(workspace, path, use);
  if (use === undefined || site === undefined) return 'there is no name to rename here';
  if (site.path.startsWith('std/'))
    return `\`${site.node.name.text}\` is declared in "${site.path}", which ships with Fulcrum`;
  const fixed = phaseName(site);
  if (fixed !== undefined) return fixed;
  return { span: use.span, text: use.text };
}

/** A stage without phases has them by its name. */
function phaseName({ node }: Site): string | undefined {
  if (node.kind !== 'stage' || node.phases.length > 0 || node.like !== undefined) return undefined;
  return `the name of stage \`${node.name.text}\` says what it does: write its phases after a colon first`;
}

/** The edits of a rename, or why it cannot be. */
export function rename(
  workspace: Workspace,
  path: string,
  offset: number,
  to: string,
): readonly Location[] | string {
  const may = renameable(workspace, path, offset);
  if (typeof may === 'string') return may;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(to)) return `\`${to}\` is not a name`;
  const site = siteAt(workspace, path, offset)!;
  const clash = clashOf(workspace, site, to);
  if (clash !== undefined) return clash;
  const text = site.node.name.text;
  // An alias keeps its own name: only what is written as the thing is called changes.
  const uses = usesOf(workspace, path, site).filter(
    ({ path: file, span }) => workspace.document(file)!.text.slice(span.start, span.end) === text,
  );
  const locations = [{ path: site.path, span: site.span }, ...uses];
  return locations.filter(
    (each, index) =>
      index ===
      locations.findIndex((other) => other.path === each.path && other.span.start === each.span.start),
  );
}

/** A name that is taken where the thing is declared. */
function clashOf(workspace: Workspace, site: Site, to: string): string | undefined {
  const taken = (workspace.document(site.path)?.names ?? []).some(({ declares, text, space }) => {
    if (!declares || text !== to) return false;
    if (site.owner === undefined) return space.in === 'file';
    if (space.in === 'stages') return space.plan === site.owner;
    return space.in === 'places' && space.topology === site.owner;
  });
  if (taken) return `there is a \`${to}\` already`;
  const reserved = site.node.kind === 'stage' && (to === 'requests' || to === 'results');
  return reserved || (site.owner === undefined && keywordOf.has(to) && to === 'language')
    ? `\`${to}\` has another meaning here`
    : undefined;
}
