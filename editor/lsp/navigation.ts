/** Definition, references and rename: all over the files of the workspace. */
import { isName } from '../../grammar/names.js';
import { PROPERTIES, type PropertyDoc } from '../../grammar/reference.js';
import { WORDS } from '../../grammar/reference-words.js';
import type { PlanDecl, Span } from '../../grammar/syntax.js';
import { keywordOf } from '../../grammar/tokens.js';
import { TRUTH_WORDS } from '../../grammar/truth-words.js';
import type { NameUse } from './names.js';
import {
  globalsOf,
  lineage,
  nameAt,
  resolveAll,
  resolveName,
  sameSite,
  siteAt,
  sitesAt,
  type Site,
} from './resolve.js';
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

/** Every place that speaks of what the name at an offset stands for, its declarations first. */
export function referencesAt(
  workspace: Workspace,
  path: string,
  offset: number,
  withDeclaration: boolean,
): readonly Location[] {
  const sites = sitesAt(workspace, path, offset);
  const uses = usesOf(workspace, path, sites);
  return [...(withDeclaration ? sites.map(({ path: file, span }) => ({ path: file, span })) : []), ...uses];
}

/** Uses of things of one name other than their declarations. */
function usesOf(workspace: Workspace, from: string, sites: readonly Site[]): readonly Location[] {
  const paths = new Set([from, ...sites.map((site) => site.path), ...workspace.allPaths()]);
  return [...paths].flatMap((path) =>
    (workspace.document(path)?.names ?? [])
      .filter(
        (use) =>
          !use.declares &&
          // Imports can give another name to what a file or another import names.
          (use.text === sites[0]?.node.name.text || use.space.in === 'file' || use.space.in === 'module') &&
          refersTo(workspace, path, use, sites),
      )
      .map(({ span }) => ({ path, span })),
  );
}

function refersTo(workspace: Workspace, path: string, use: NameUse, sites: readonly Site[]): boolean {
  return resolveAll(workspace, path, use).some((found) => sites.some((site) => sameSite(found, site)));
}

/** These things and those that a use of theirs speaks of as well: they go by one name. */
function together(workspace: Workspace, from: string, sites: readonly Site[]): readonly Site[] {
  const spoken = usesOf(workspace, from, sites).flatMap(({ path, span }) =>
    sitesAt(workspace, path, span.start),
  );
  const more = spoken.reduce<readonly Site[]>(
    (all, each) => (all.some((site) => sameSite(site, each)) ? all : [...all, each]),
    sites,
  );
  return more.length === sites.length ? sites : together(workspace, from, more);
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
  if (namingOf(site).path.startsWith('std/'))
    return `\`${site.node.name.text}\` is declared in "${site.path}", which ships with Fulcrum`;
  const fixed = phaseName(site);
  if (fixed !== undefined) return fixed;
  return { span: use.span, text: use.text };
}

/** Where what a site was found by is called so: at the alias of an import, else at the declaration. */
function namingOf({ path, span, alias }: Site): Location {
  return alias ?? { path, span };
}

function sameLocation(a: Location, b: Location): boolean {
  return a.path === b.path && a.span.start === b.span.start;
}

/** A stage without phases has them by its name. */
function phaseName({ node }: Site): string | undefined {
  if (node.kind !== 'stage' || node.phases.length > 0) return undefined;
  // A stage that is like another has the phases of that unless its name is one.
  if (node.like !== undefined && !Object.hasOwn(WORDS.phases, node.name.text)) return undefined;
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
  if (!isName(to)) return `\`${to}\` is not a name`;
  const site = siteAt(workspace, path, offset)!;
  const sites = together(workspace, path, sitesAt(workspace, path, offset));
  const namings = sites.map(namingOf);
  const isNaming = (location: Location): boolean => namings.some((naming) => sameLocation(location, naming));
  // An alias keeps its own name when the declaration is renamed, and the declaration when the alias is.
  const uses = usesOf(workspace, path, sites).filter(
    ({ path: file, span }) =>
      sitesAt(workspace, file, span.start).some((found) => isNaming(namingOf(found))) &&
      workspace.document(file)!.text.slice(span.start, span.end) === may.text,
  );
  const locations = [...namings, ...uses.filter((use) => !isNaming(use))];
  const files = new Set(locations.map((each) => each.path));
  return (
    clashOf(workspace, site, to, files) ?? overridden(workspace, site, to, [path, ...files]) ?? locations
  );
}

/** Why a stage cannot be renamed that plans derived from each other declare, each for itself, or then would. */
function overridden(
  workspace: Workspace,
  { node, owner }: Site,
  to: string,
  paths: readonly string[],
): string | undefined {
  if (node.kind !== 'stage' || owner === undefined) return undefined;
  const name = node.name.text;
  for (const { plan, line } of lineages(workspace, paths)) {
    const others = line.filter((each) => each !== owner);
    if (others.length === line.length) continue;
    if (others.some((each) => declaresStage(each, name)))
      return `\`${plan.name.text}\` takes over stage \`${name}\` of another plan, and both declare it`;
    const taken = others.find((each) => declaresStage(each, to));
    if (taken !== undefined) return `there is a \`${to}\` already in plan \`${taken.name.text}\``;
  }
  return undefined;
}

function declaresStage(plan: PlanDecl, name: string): boolean {
  return plan.members.some((member) => member.kind === 'stage' && member.name.text === name);
}

/** The plans of these files and of the workspace, each with itself and the plans that it is derived from. */
function lineages(
  workspace: Workspace,
  paths: readonly string[],
): readonly { readonly plan: PlanDecl; readonly line: readonly PlanDecl[] }[] {
  return [...new Set([...paths, ...workspace.allPaths()])].flatMap((path) =>
    (workspace.document(path)?.tree.file.items ?? []).flatMap((item) =>
      item.kind === 'plan'
        ? [{ plan: item, line: lineage(workspace, path, item).map(({ plan }) => plan) }]
        : [],
    ),
  );
}

/** A name that is taken where the thing is declared, or in a file that speaks of it. */
function clashOf(
  workspace: Workspace,
  site: Site,
  to: string,
  files: ReadonlySet<string>,
): string | undefined {
  if (site.owner === undefined)
    for (const file of files)
      if (globalsOf(workspace, file).some(({ text }) => text === to))
        return `there is a \`${to}\` already${file === namingOf(site).path ? '' : ` in ${file}`}`;
  const taken = (workspace.document(namingOf(site).path)?.names ?? []).some(({ declares, text, space }) => {
    if (!declares || text !== to) return false;
    if (site.owner === undefined) return space.in === 'file';
    if (space.in === 'stages') return space.plan === site.owner;
    return space.in === 'places' && space.topology === site.owner;
  });
  if (taken) return `there is a \`${to}\` already`;
  return isReserved(site, to) ? `\`${to}\` has another meaning here` : undefined;
}

/** Words between and before operands. A line that ends in one goes on, and any name can end a line. */
const OPERATOR_WORDS: ReadonlySet<string> = new Set(['and', 'or', 'not']);

/** Words that properties take: a param of the same name would stand in for them. */
const VALUE_WORDS: ReadonlySet<string> = new Set(
  Object.values<Readonly<Record<string, PropertyDoc>>>(PROPERTIES).flatMap((table) =>
    Object.values(table).flatMap(({ value }) => (value.kind === 'words' ? value.words : [])),
  ),
);

/** Whether a word is read as something else where things of this kind are spoken of. */
function isReserved({ node }: Site, to: string): boolean {
  if (TRUTH_WORDS.has(to) || OPERATOR_WORDS.has(to)) return true;
  switch (node.kind) {
    case 'stage':
      return to === 'requests' || to === 'results';
    // Rules watch them, and a keyword goes on with the condition; groups begin an item, as keywords do.
    case 'devices':
    case 'tier':
    case 'group':
      return to === 'requests' || keywordOf.has(to);
    case 'param':
      return to === 'fill' || to === 'language' || VALUE_WORDS.has(to);
    default:
      return to === 'language';
  }
}
