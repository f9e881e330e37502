/**
 * From a name to what it stands for: the declaration, in this file or in one that it imports. The rules are those of
 * the checker, but over trees alone, so that they answer for files that do not check.
 */
import type {
  DeviceArray,
  GroupDecl,
  ImportDecl,
  Item,
  PlanDecl,
  Span,
  StageDecl,
  TierDecl,
  TopologyDecl,
  TopologyMember,
} from '../../grammar/syntax.js';
import type { NameSpace, NameUse } from './names.js';
import type { Workspace } from './workspace.js';

export type Declared = Extract<Item, { readonly name: unknown }>;
export type Place = DeviceArray | GroupDecl | TierDecl;

/** Something declared, and where. */
export interface Site {
  readonly path: string;
  /** The name in the declaration. */
  readonly span: Span;
  readonly node: Declared | StageDecl | Place;
  /** What it stands in: the plan of a stage, the topology of a place. */
  readonly owner?: PlanDecl | TopologyDecl;
  /** Where the name that it was looked up by is given to it, when that is an import. */
  readonly alias?: { readonly path: string; readonly span: Span };
}

/** Files that may import each other in a row; a longer way is a circle. */
const MOST_HOPS = 64;

/** The item that a name of a file means, through imports and their aliases. */
export function findGlobal(workspace: Workspace, path: string, text: string, hops = 0): Site | undefined {
  const document = workspace.document(path);
  if (document === undefined || hops > MOST_HOPS) return undefined;
  for (const item of document.tree.file.items) {
    if (item.kind === 'import') {
      const through = importedAs(item, text);
      if (through === undefined || item.from.kind === 'error') continue;
      const { name, alias } = through;
      const found = findGlobal(workspace, workspace.resolve(path, item.from.value), name.text, hops + 1);
      if (found) return alias === undefined ? found : { ...found, alias: { path, span: alias.span } };
    } else if ('name' in item && item.name.text === text) return { path, span: item.name.span, node: item };
  }
  return undefined;
}

/** What an import imports under a name. */
function importedAs({ names }: ImportDecl, text: string): ImportDecl['names'][number] | undefined {
  return names.find(({ name, alias }) => (alias ?? name).text === text);
}

/** Names that mean something in a file, its own and those it imports, as they are called there. */
export function globalsOf(
  workspace: Workspace,
  path: string,
): readonly { readonly text: string; readonly site: Site }[] {
  const document = workspace.document(path);
  const items = document?.tree.file.items ?? [];
  const names = items.flatMap((item) => {
    if (item.kind === 'import') return item.names.map(({ name, alias }) => (alias ?? name).text);
    return 'name' in item ? [item.name.text] : [];
  });
  return [...new Set(names)].flatMap((text) => {
    const site = findGlobal(workspace, path, text);
    return site === undefined ? [] : [{ text, site }];
  });
}

/** The stages of a plan: its own, then those it takes over, and where each stands. */
export function stagesOf(workspace: Workspace, path: string, plan: PlanDecl): readonly Site[] {
  const sites: Site[] = [];
  for (const { path: file, plan: each } of lineage(workspace, path, plan))
    for (const member of each.members)
      if (member.kind === 'stage' && !sites.some(({ node }) => node.name.text === member.name.text))
        sites.push({ path: file, span: member.name.span, node: member, owner: each });
  return sites;
}

/** A plan, and the plans that it is derived from. */
export function lineage(
  workspace: Workspace,
  path: string,
  plan: PlanDecl,
): readonly { readonly path: string; readonly plan: PlanDecl }[] {
  const plans = [{ path, plan }];
  for (let last = plans[0]!; last.plan.base !== undefined && plans.length < MOST_HOPS;) {
    const base = findGlobal(workspace, last.path, last.plan.base.text);
    if (base?.node.kind !== 'plan' || plans.some((each) => each.plan === base.node)) break;
    last = { path: base.path, plan: base.node };
    plans.push(last);
  }
  return plans;
}

/** What a plan is `for` or `on`, its own or taken over. */
export function subjectOf(
  workspace: Workspace,
  path: string,
  plan: PlanDecl,
  what: 'model' | 'topology',
): Site | undefined {
  for (const { path: file, plan: each } of lineage(workspace, path, plan)) {
    const name = each[what];
    if (name === undefined) continue;
    const found = findGlobal(workspace, file, name.text);
    return found?.node.kind === what ? found : undefined;
  }
  return undefined;
}

/** The places of a topology: devices, groups and tiers, with the groups that each stands in. */
export function placesOf(
  topology: TopologyDecl,
): readonly { readonly within: readonly string[]; readonly place: Place }[] {
  const visit = (
    members: readonly TopologyMember[],
    within: readonly string[],
  ): { within: readonly string[]; place: Place }[] =>
    members.flatMap((member) => {
      if (member.kind === 'group')
        return [{ within, place: member }, ...visit(member.members, [...within, member.name.text])];
      return member.kind === 'devices' || member.kind === 'tier' ? [{ within, place: member }] : [];
    });
  return visit(topology.members, []);
}

/** What a name use stands for; undefined when nothing does. */
export function resolveName(workspace: Workspace, path: string, { text, space }: NameUse): Site | undefined {
  switch (space.in) {
    case 'file': {
      const found = findGlobal(workspace, path, text);
      return space.kind === undefined || found?.node.kind === space.kind ? found : undefined;
    }
    case 'module':
      return findGlobal(workspace, workspace.resolve(path, space.module), text);
    case 'stages':
      return stagesOf(workspace, path, space.plan).find(({ node }) => node.name.text === text);
    case 'places':
      return findPlace(path, space.topology, text, space);
    case 'places of plan': {
      const topology = subjectOf(workspace, path, space.plan, 'topology');
      if (topology === undefined) return undefined;
      return findPlace(topology.path, topology.node as TopologyDecl, text, {
        within: [],
        outer: space.outer,
      });
    }
  }
}

/** All that a name use stands for: tiers of one name that several groups declare are one link of a chain. */
export function resolveAll(workspace: Workspace, path: string, use: NameUse): readonly Site[] {
  const { text, space } = use;
  const site = resolveName(workspace, path, use);
  if (site === undefined) return [];
  if (space.in !== 'places of plan' || space.all !== true) return [site];
  const tiers = placesOf(site.owner as TopologyDecl).filter(
    ({ place }) => place.kind !== 'group' && place.name.text === text,
  );
  return tiers.length === 0
    ? [site]
    : tiers.map(({ place }) => ({ ...site, span: place.name.span, node: place }));
}

/** A place by its path: seen from a block, then from those around it, then wherever there is one of that name. */
function findPlace(
  path: string,
  topology: TopologyDecl,
  text: string,
  { within, outer }: Pick<Extract<NameSpace, { in: 'places' }>, 'within' | 'outer'>,
): Site | undefined {
  const places = placesOf(topology).filter(({ place }) => place.name.text === text);
  const standsIn = (groups: readonly string[]) =>
    places.find((each) => each.within.join('.') === groups.join('.'));
  const levels = Array.from({ length: within.length + 1 }, (_, up) => within.slice(0, within.length - up));
  const found =
    levels.map((level) => standsIn([...level, ...outer])).find((each) => each !== undefined) ?? places[0];
  return found && { path, span: found.place.name.span, node: found.place, owner: topology };
}

/** The name use that an offset lies in or right behind. */
export function nameAt(workspace: Workspace, path: string, offset: number): NameUse | undefined {
  return workspace.document(path)?.names.find(({ span }) => span.start <= offset && offset <= span.end);
}

/** What the name at an offset stands for. */
export function siteAt(workspace: Workspace, path: string, offset: number): Site | undefined {
  const use = nameAt(workspace, path, offset);
  return use && resolveName(workspace, path, use);
}

/** All that the name at an offset stands for. */
export function sitesAt(workspace: Workspace, path: string, offset: number): readonly Site[] {
  const use = nameAt(workspace, path, offset);
  return use === undefined ? [] : resolveAll(workspace, path, use);
}

/** Whether two sites are one. */
export function sameSite(a: Site, b: Site): boolean {
  return a.path === b.path && a.span.start === b.span.start;
}
