/**
 * Puts a plan that the tuner found into the text of a plan file, in place of the one it put there before. A comment
 * tells the two apart from what people write.
 */
import { compileChecked } from '../compiler/check-and-compile.js';
import { checkFile, type CheckResult } from '../compiler/check/check-file.js';
import { showMesh } from '../compiler/check/plan/mesh.js';
import { formatExactBytes } from '../compiler/check/units.js';
import { devicesMatching } from '../compiler/check/select-places.js';
import type { Diagnostic } from '../compiler/diagnostics/diagnostic.js';
import type { CompilerHost } from '../compiler/host.js';
import { once } from '../compiler/once.js';
import { carryingTier } from '../compiler/passes/kv-edges.js';
import { printPath, type PathPart } from '../compiler/plan/places.js';
import type { Mesh, Plan, Stage, Topology } from '../compiler/plan/plan.js';
import { shareDevices } from '../compiler/plan/share-devices.js';
import { patternsOf } from '../compiler/plan/ranges.js';
import { formatPlan } from '../grammar/format.js';
import { itemAfter } from '../grammar/items.js';
import { parse, type Parsed } from '../grammar/parse.js';
import type { Item, PlanDecl, SourceFile } from '../grammar/syntax.js';
import { isError } from './load-plan.js';

export type Written =
  | {
      readonly kind: 'written';
      readonly name: string;
      /** Of the file. */
      readonly text: string;
      /** Of the plan alone. */
      readonly declaration: string;
      /** The name it would have, had the file no declaration of that name that somebody else wrote. */
      readonly taken?: string;
    }
  /** The file cannot say what was found: `declaration` does, as well as it can be said. */
  | { readonly kind: 'unsayable'; readonly why: string; readonly declaration: string }
  /** What was found would be an error of the file with other values of its params. */
  | { readonly kind: 'unsound'; readonly why: string; readonly declaration: string };

/** The files that a plan may come from, and what decides how they are read. */
export interface TunedSource {
  readonly host: CompilerHost;
  /** The file that is to have the plan, and its text. */
  readonly path: string;
  readonly text: string;
  readonly set: Readonly<Record<string, string>> | undefined;
}

/** Stands before a plan that may be replaced. */
const MARK = '// Written by `fulcrum tune --write`, which replaces it. Without this line it stays.';

/**
 * The file's text with a plan `NAME_tuned`, or `NAME_tuned_2` and so on where that is somebody's own, that has the winner's
 * stages and all else of the plan it was tuned from: as that is written, or where it means something else here, such as a
 * param of another file, in figures. What is written is read back: a text that would be another plan is none, and neither is
 * one that makes a sound file unsound with other values of params. An axis is written as `fill` where that keeps it sound.
 */
export function withTunedPlan(source: TunedSource, base: Plan, winner: Plan): Written {
  const { path, text } = source;
  const parsed = parse(text, path);
  const { file } = parsed;
  const usual = `${base.name}_tuned`;
  const { name, old } = placeFor(parsed, usual);
  const own = inheritedText(source, file, base.name);
  const [cap, capFound] = [base, winner].map((plan) => carryingTier(plan)?.cap);
  const asWritten = cap === capFound ? own : new Map([...own, kvInFigures(winner)]);
  const inFigures = new Map([...asWritten.keys()].flatMap((key) => inFigure(key, base, winner)));
  const lineEnd = /\r\n|\n|\r/.exec(text)?.[0] ?? '\n';
  const attempt = (inherited: ReadonlyMap<string, string>, filled: number): Attempt => {
    const lines = [
      `plan ${name} for ${nameIn(file, base.model.name)} on ${nameIn(file, base.topology.name)} {`,
      ...[...inherited.values()].map((each) => `  ${each}`),
      ...winner.stages.map(
        (stage) => `  ${printStage(stage, nameDevices(stage.devices, base.topology), filled)}`,
      ),
      `  flow requests -> ${winner.flow.stages.join(' -> ')} -> results`,
      '}',
    ];
    const declaration = laidOut(lines.join('\n'), path).replaceAll('\n', lineEnd);
    const written =
      old === undefined
        ? `${text.trimEnd()}${lineEnd}${lineEnd}${MARK}${lineEnd}${declaration}${lineEnd}`
        : text.slice(0, old.span.start) + declaration + text.slice(old.span.end);
    const read = checkFile(hostWith(source, written), path, {
      plans: [name],
      ...(source.set && { set: source.set }),
    });
    const [plan] = read.plans;
    const others = plan && differences(plan, winner);
    return {
      declaration,
      text: written,
      others,
      ...(others?.length === 0 && { fault: faultOf({ ...source, text: written }, name, read) }),
    };
  };
  const found: Attempt[] = [];
  const isUnsoundAnyway = once((name: string) => faultOf(source, name) !== undefined);
  const mostAxes = Math.max(...winner.stages.map(({ mesh }) => axesOf(mesh).length));
  for (const inherited of [asWritten, inFigures])
    for (let filled = 0; filled <= mostAxes; filled++) {
      const made = attempt(inherited, filled);
      found.push(made);
      if (made.others?.length !== 0) break;
      if (made.fault === undefined || isUnsoundAnyway(base.name)) {
        const { declaration, text: written } = made;
        return { kind: 'written', name, text: written, declaration, ...(name !== usual && { taken: usual }) };
      }
    }
  const unsound = found.find(({ fault }) => fault !== undefined);
  if (unsound !== undefined) {
    const { fault, declaration } = unsound;
    return { kind: 'unsound', why: `plan ${name} would be an error ${describeFault(fault!)}`, declaration };
  }
  const { declaration, others } = found.at(-1)!;
  const which = others === undefined ? '' : ` (${others.join(', ')})`;
  return {
    kind: 'unsayable',
    why: `${base.name} takes from other files what a plan here would not have${which}: import its model and topology, or write its properties out`,
    declaration,
  };
}

/** A declaration, and the file with it. */
interface Attempt {
  readonly declaration: string;
  readonly text: string;
  /** In what the plan that is read back is another; undefined where none is. */
  readonly others: readonly string[] | undefined;
  /** Where it is the same: the first error that it is with the values that its params have, or may have, in the file. */
  readonly fault?: Diagnostic | undefined;
}

function hostWith({ host, path }: TunedSource, text: string): CompilerHost {
  return { ...host, readText: (each) => (each === path ? text : host.readText(each)) };
}

/**
 * The first error of a plan of a text that `check` finds without `--set`.
 *
 * @param read what reading the plan with `--set` has found
 */
function faultOf(source: TunedSource, name: string, read?: CheckResult): Diagnostic | undefined {
  const { path, set, text } = source;
  // Without params there are no other values.
  if (read !== undefined && set === undefined && read.rounds.length === 1) return undefined;
  const checked = checkFile(hostWith(source, text), path, { plans: [name] });
  return (
    checked.diagnostics.find(isError) ??
    compileChecked(checked, path, { everyValue: true }).diagnostics.find(isError)
  );
}

/** The values that an error depends on are the last note of it. */
function describeFault({ message, notes }: Diagnostic): string {
  const values = notes.findLast((note) => note.startsWith('with '));
  return `${values ?? 'without `--set`'}: ${message}`;
}

/** What is inherited by a key of `inheritedText`, in figures that mean the same in any file. */
function inFigure(key: string, base: Plan, winner: Plan): readonly (readonly [string, string])[] {
  switch (key) {
    case 'kv':
      return [kvInFigures(winner)];
    case 'memory_use':
      return [[key, `memory_use: ${showFraction(winner.memoryUse)}`]];
    case 'weights':
      return [[key, `weights: ${winner.model.weights}`]];
    case 'residence':
      return base.residence === undefined ? [] : [[key, `residence: ${base.residence}`]];
    default:
      return [];
  }
}

/** To be read again. */
function showFraction(value: number): string {
  const percent = Number((value * 100).toPrecision(6));
  return percent * 0.01 === value ? `${percent}%` : String(value);
}

/** The first of `NAME`, `NAME_2`, ... that is free, or that of a plan with the mark, which is then to be replaced. */
function placeFor(
  { file, comments }: Parsed,
  usual: string,
): { readonly name: string; readonly old?: PlanDecl } {
  const marked = markedItems({ file, comments });
  const taken = new Set(file.items.flatMap(namesOf));
  for (let place = 1; ; place++) {
    const name = place === 1 ? usual : `${usual}_${place}`;
    const old = planNamed(file, name);
    if (old !== undefined && marked.has(old)) return { name, old };
    if (!taken.has(name)) return { name };
  }
}

/** Items with the mark before them. */
function markedItems({ file, comments }: Pick<Parsed, 'file' | 'comments'>): ReadonlySet<unknown> {
  return new Set(
    comments.flatMap(({ text, span }) => (text.trimEnd() === MARK ? itemAfter(file, span.end) : [])),
  );
}

/** The plan of a file beside those that searches have put there, if it is the only one. */
export function planBesideTuned(text: string, path: string): string | undefined {
  const parsed = parse(text, path);
  const marked = markedItems(parsed);
  const own = parsed.file.items.filter((item) => item.kind === 'plan' && !marked.has(item));
  return marked.size > 0 && own.length === 1 ? namesOf(own[0]!)[0] : undefined;
}

/** What an item declares in its file. */
function namesOf(item: Item): readonly string[] {
  if (item.kind === 'import') return item.names.map(({ name, alias }) => (alias ?? name).text);
  return 'name' in item ? [item.name.text] : [];
}

/** A declaration as `fmt` would have it, with plain line ends. */
function laidOut(declaration: string, path: string): string {
  const formatted = formatPlan(declaration, path);
  return formatted.kind === 'formatted' ? formatted.text.trimEnd() : declaration;
}

/** In what two plans do not run the same. */
function differences(a: Plan, b: Plan): readonly string[] {
  const [ours, theirs] = [whatMatters(a), whatMatters(b)];
  return Object.keys(ours).filter((name) => JSON.stringify(ours[name]) !== JSON.stringify(theirs[name]));
}

/** What plans that run the same have in common, by what it is called. */
function whatMatters(plan: Plan): Readonly<Record<string, unknown>> {
  const { model, topology, stages, kv, memoryUse, residence } = plan;
  const parts = stages.map(({ name, phases, devices, mesh, layerSplit, microbatchTokens, batchRequests }) => [
    ...[name, phases, devices, mesh.dp, mesh.pp, mesh.tp],
    ...[layerSplit, microbatchTokens, batchRequests],
  ]);
  // Devices may be named after any of those of a plan, and are after the first where nothing is said.
  const tiers = kv.tiers.map(({ name, medium, cap }) => [medium === 'device' ? medium : name, cap]);
  const places = JSON.stringify(topology, (key, value: unknown) =>
    /origins?$/i.test(key) ? undefined : value,
  );
  return {
    model: model.shape,
    weights: model.weights,
    topology: places,
    stages: parts,
    kv: [kv.pageTokens, kv.dtype, tiers],
    memory_use: memoryUse,
    residence: shareDevices(stages) ? residence : undefined,
  };
}

/** What a file calls a declaration that it may import under another name. */
function nameIn(file: SourceFile, declared: string): string {
  for (const item of file.items) {
    if (item.kind !== 'import') continue;
    const found = item.names.find(({ name }) => name.text === declared);
    if (found !== undefined) return (found.alias ?? found.name).text;
  }
  return declared;
}

function planNamed(file: SourceFile, name: string): PlanDecl | undefined {
  return file.items.find((item): item is PlanDecl => item.kind === 'plan' && item.name.text === name);
}

/** The KV of a plan, by its key in `inheritedText`. */
function kvInFigures({ kv }: Plan): readonly [string, string] {
  const tiers = kv.tiers.map(({ name, cap }) =>
    cap === undefined ? name : `${name} up to ${formatExactBytes(cap)}`,
  );
  return ['kv', `kv { page: ${kv.pageTokens} tokens, dtype: ${kv.dtype}, tiers: ${tiers.join(' -> ')} }`];
}

/**
 * Properties and `kv` blocks of a plan and of those it comes from, as written: a property by its name, a block as `kv`. The
 * nearest of a name counts.
 */
function inheritedText(source: TunedSource, file: SourceFile, name: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const seen = new Set<PlanDecl>();
  let at: PlacedPlan | undefined = findPlan(source, { file, path: source.path }, name);
  while (at !== undefined && !seen.has(at.decl)) {
    const { decl, file: own } = at;
    seen.add(decl);
    for (const member of decl.members) {
      if (member.kind !== 'property' && member.kind !== 'kv') continue;
      const key = member.kind === 'property' ? member.name.text : member.kind;
      if (!found.has(key)) found.set(key, own.text.slice(member.span.start, member.span.end));
    }
    at = decl.base && findPlan(source, at, decl.base.text);
  }
  return found;
}

interface PlacedFile {
  readonly file: SourceFile;
  readonly path: string;
}

interface PlacedPlan extends PlacedFile {
  readonly decl: PlanDecl;
}

/** The plan that a name stands for in a file, in whatever file it is declared. */
function findPlan(source: TunedSource, { file, path }: PlacedFile, name: string): PlacedPlan | undefined {
  const own = planNamed(file, name);
  if (own !== undefined) return { decl: own, file, path };
  for (const item of file.items) {
    if (item.kind !== 'import' || item.from.kind !== 'string') continue;
    const imported = item.names.find((each) => (each.alias ?? each.name).text === name);
    const from = source.host.resolve(path, item.from.value);
    const text = imported && source.host.readText(from);
    if (typeof text === 'string')
      return findPlan(source, { file: parse(text, from).file, path: from }, imported!.name.text);
  }
  return undefined;
}

/** The axes of a mesh, as they are written. */
function axesOf(mesh: Mesh): readonly string[] {
  return showMesh(mesh).split(', ');
}

/**
 * @param filled which axis of the mesh takes what the others leave, the last being 1, or the first where there are fewer;
 *   0 is none
 */
function printStage(
  { name, phases, mesh, microbatchTokens, batchRequests }: Stage,
  devices: string,
  filled: number,
): string {
  const head = phases.length === 2 ? `${name}: prefill + decode` : name;
  const sizes = [
    ...(phases.includes('prefill') ? [`microbatch: ${microbatchTokens} tokens`] : []),
    ...(phases.includes('decode') ? [`batch: ${batchRequests} requests`] : []),
  ].join(', ');
  const axes = axesOf(mesh);
  const at = filled === 0 ? undefined : Math.max(axes.length - filled, 0);
  const shown = axes.map((axis, place) => (place === at ? axis.replace(/\d+$/, 'fill') : axis)).join(', ');
  return `stage ${head} on ${devices} { mesh (${shown}), ${sizes} }`;
}

/**
 * `gpu`, `gpu[0..3]`, `node[0..1].gpu[0]` or several such ranges: as few as devices of equal numbers on neighbouring places
 * need, and no index where it would be all of them.
 */
function nameDevices(ids: readonly number[], topology: Topology): string {
  return patternsOf(ids.map((id) => topology.devices[id]!.path))
    .map((pattern) => printPath(withoutFull(pattern, topology)))
    .join(', ');
}

/** The pattern without indexes that take in all there are, from the last on. */
function withoutFull(pattern: readonly PathPart[], topology: Topology): readonly PathPart[] {
  const meant = devicesMatching(topology, pattern).join();
  return pattern.reduceRight<readonly PathPart[]>((found, { name }, level) => {
    const shorter = found.with(level, { name });
    return devicesMatching(topology, shorter).join() === meant ? shorter : found;
  }, pattern);
}
