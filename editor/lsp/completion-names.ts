/** Completions of names: what is in scope of a place in a document. */
import { CompletionItemKind, type CompletionItem } from 'vscode-languageserver/node.js';
import type { PlanDecl, TopologyDecl } from '../../grammar/syntax.js';
import type { Items } from './completion-words.js';
import { describeSite } from './describe.js';
import type { GlobalKind } from './names.js';
import type { GrammarPosition } from './position.js';
import { globalsOf, placesOf, stagesOf, subjectOf, type Place, type Site } from './resolve.js';
import type { Workspace } from './workspace.js';

/** Where completions are asked for. */
export interface Asked {
  readonly workspace: Workspace;
  readonly path: string;
  readonly position: GrammarPosition;
  /** The plan that the offset lies in, as far as it can be read. */
  readonly plan: PlanDecl | undefined;
  readonly topology: TopologyDecl | undefined;
}

/** Names of the file that an import names, where it does already. */
export function importedNames({ workspace, path, position }: Asked): Items {
  const document = workspace.document(path)!;
  const around = document.tree.file.items.findLast(({ span }) => span.start <= position.typingStart);
  if (around?.kind !== 'import' || around.from.kind === 'error') return [];
  const taken = new Set(position.beside.map(([name]) => name));
  return globalsOf(workspace, workspace.resolve(path, around.from.value))
    .filter(({ text }) => !taken.has(text))
    .map(({ text, site }) => siteItem(site, text));
}

const KINDS: Readonly<Record<Site['node']['kind'], CompletionItemKind>> = {
  device: CompletionItemKind.Class,
  topology: CompletionItemKind.Module,
  model: CompletionItemKind.Struct,
  workload: CompletionItemKind.Event,
  plan: CompletionItemKind.Class,
  param: CompletionItemKind.Variable,
  stage: CompletionItemKind.Method,
  devices: CompletionItemKind.Field,
  group: CompletionItemKind.Folder,
  tier: CompletionItemKind.Field,
};

function siteItem(site: Site, text = site.node.name.text): CompletionItem {
  return {
    label: text,
    kind: KINDS[site.node.kind],
    detail: describeSite(site),
    ...(site.node.doc !== undefined && { documentation: site.node.doc }),
  };
}

/** Declarations of a kind that the file has or imports, those that `fits` agrees to. */
export function named(
  { workspace, path }: Asked,
  kind: GlobalKind,
  fits: (site: Site) => boolean = () => true,
): Items {
  return globalsOf(workspace, path)
    .filter(({ site }) => site.node.kind === kind && fits(site))
    .map(({ text, site }) => siteItem(site, text));
}

/** Stages of the plan. */
export function stages({ workspace, path, plan }: Asked): Items {
  return plan === undefined ? [] : stagesOf(workspace, path, plan).map((site) => siteItem(site));
}

/** Groups that a path leads through as far as it is written: `node` of `node[0].`. Indexes are closed brackets. */
function pathWritten({ position: { before } }: Asked): readonly string[] {
  const segments: string[] = [];
  for (let end = before.length; before[end - 1] === '.';) {
    const name = before[end - 2] === ']' ? end - 4 : end - 2;
    segments.unshift(before[name] ?? '');
    end = name;
  }
  return segments;
}

type Within = readonly string[];

/** Places of these kinds in groups that `isWithin` agrees to; `label` is how each is written. */
function placeItems(
  topology: TopologyDecl | undefined,
  kinds: readonly Place['kind'][],
  isWithin: (within: Within) => boolean,
  label: (name: string, within: Within) => string = (name) => name,
): Items {
  if (topology === undefined) return [];
  return placesOf(topology)
    .filter(({ within, place }) => kinds.includes(place.kind) && isWithin(within))
    .map(({ within, place }) => ({
      label: label(place.name.text, within),
      kind: KINDS[place.kind],
      ...(place.doc !== undefined && { documentation: place.doc }),
    }));
}

/** Whether the groups are these, or the innermost of them are. */
const endsIn =
  (path: Within) =>
  (within: Within): boolean =>
    path.every((segment, index) => within[within.length - path.length + index] === segment);
const isPath =
  (path: Within) =>
  (within: Within): boolean =>
    within.length === path.length && endsIn(path)(within);

function topologyOfPlan({ workspace, path, plan }: Asked): TopologyDecl | undefined {
  return plan && (subjectOf(workspace, path, plan, 'topology')?.node as TopologyDecl | undefined);
}

/** Where a stage of the plan may be: devices of its topology, and groups that lead to them. */
export function places(asked: Asked): Items {
  const topology = topologyOfPlan(asked);
  const path = pathWritten(asked);
  return path.length > 0
    ? placeItems(topology, ['devices', 'group'], isPath(path))
    : placeItems(
        topology,
        ['devices', 'group'],
        () => true,
        (name, within) => [...within, name].join('.'),
      );
}

/** Devices of the plan's topology, by the shortest path that a measure takes. */
export function devices(asked: Asked): Items {
  return placeItems(topologyOfPlan(asked), ['devices'], endsIn(pathWritten(asked)));
}

/** Tiers that KV spills to: those beside the devices. */
export function lowerTiers(asked: Asked): Items {
  return placeItems(topologyOfPlan(asked), ['tier'], endsIn(pathWritten(asked)));
}

/** Tiers of the plan's topology; devices are one. */
export function tiers(asked: Asked): Items {
  return placeItems(topologyOfPlan(asked), ['devices', 'tier'], () => true);
}

/** Ends of a link that stands in these groups of the topology, outermost first: what stands there with it. */
export function placesHere(asked: Asked, groups: readonly string[]): Items {
  const path = [...groups, ...pathWritten(asked)];
  return placeItems(asked.topology, ['devices', 'group', 'tier'], isPath(path));
}
