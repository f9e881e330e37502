/** Puts a plan that the tuner found into the text of a plan file, in place of the one it put there before. */
import { showMesh } from '../compiler/check/plan/mesh.js';
import { formatExactBytes } from '../compiler/check/units.js';
import { devicesMatching } from '../compiler/check/select-places.js';
import { parsePath, printPath } from '../compiler/plan/places.js';
import type { Plan, Stage, Topology } from '../compiler/plan/plan.js';
import { tierFor } from '../compiler/plan/routes.js';
import { hostKvBytes, planDevices } from '../compiler/planner/candidates.js';
import { parse } from '../grammar/parse.js';
import type { PlanDecl, SourceFile } from '../grammar/syntax.js';

export type Written =
  | { readonly kind: 'written'; readonly name: string; readonly text: string }
  /** The devices of a stage are no range that a plan file can name. */
  | { readonly kind: 'unnameable'; readonly stage: string };

/** The file's text with a plan `NAME_tuned` that has the winner's stages and all else of the plan it was tuned from. */
export function withTunedPlan(text: string, path: string, base: Plan, winner: Plan): Written {
  const name = `${base.name}_tuned`;
  const { file } = parse(text, path);
  const stages: string[] = [];
  for (const stage of winner.stages) {
    const devices = nameDevices(stage.devices, base.topology);
    if (devices === undefined) return { kind: 'unnameable', stage: stage.name };
    stages.push(printStage(stage, devices));
  }
  const lines = [
    `plan ${name} for ${base.model.name} on ${base.topology.name} {`,
    ...inheritedText(file, base.name, hostKvBytes(base) === hostKvBytes(winner)).map((each) => `  ${each}`),
    ...(hostKvBytes(base) === hostKvBytes(winner) ? [] : [`  ${printKv(winner)}`]),
    ...stages.map((stage) => `  ${stage}`),
    `  flow requests -> ${winner.flow.stages.join(' -> ')} -> results`,
    '}',
  ];
  const declaration = lines.join('\n');
  const old = planNamed(file, name);
  const written =
    old === undefined
      ? `${text.trimEnd()}\n\n${declaration}\n`
      : text.slice(0, old.span.start) + declaration + text.slice(old.span.end);
  return { kind: 'written', name, text: written };
}

function planNamed(file: SourceFile, name: string): PlanDecl | undefined {
  return file.items.find((item): item is PlanDecl => item.kind === 'plan' && item.name.text === name);
}

/** The KV of a plan whose caps are others than those written. */
function printKv(plan: Plan): string {
  const { kv, topology } = plan;
  const groups = new Set(planDevices(plan).map((device) => topology.devices[device]!.group));
  const tiers = kv.tiers.map(({ name, medium, capacity }) => {
    if (medium !== 'host') return name;
    // The cap is of each instance.
    const instances = new Set([...groups].map((group) => tierFor(topology, group, name)?.path)).size;
    return `${name} up to ${formatExactBytes(Math.floor(capacity! / instances))}`;
  });
  return `kv { page: ${kv.pageTokens} tokens, dtype: ${kv.dtype}, tiers: ${tiers.join(' -> ')} }`;
}

/**
 * Properties and `kv` blocks of a plan and of those it comes from, as written; the nearest of a name counts.
 *
 * @param kv whether blocks of KV are wanted
 */
function inheritedText(file: SourceFile, name: string, kv: boolean): readonly string[] {
  const found = new Map<string, string>();
  const seen = new Set<string>();
  for (let decl = planNamed(file, name); decl !== undefined;) {
    if (seen.has(decl.name.text)) break;
    seen.add(decl.name.text);
    for (const member of decl.members) {
      const key = member.kind === 'property' ? member.name.text : member.kind;
      if (member.kind !== 'property' && !(kv && member.kind === 'kv')) continue;
      if (!found.has(key)) found.set(key, file.text.slice(member.span.start, member.span.end));
    }
    decl = decl.base === undefined ? undefined : planNamed(file, decl.base.text);
  }
  return [...found.values()];
}

function printStage({ name, phases, mesh, microbatchTokens, batchRequests }: Stage, devices: string): string {
  const head = phases.length === 2 ? `${name}: prefill + decode` : name;
  const sizes = [
    ...(phases.includes('prefill') ? [`microbatch: ${microbatchTokens} tokens`] : []),
    ...(phases.includes('decode') ? [`batch: ${batchRequests} requests`] : []),
  ].join(', ');
  return `stage ${head} on ${devices} { mesh (${showMesh(mesh)}), ${sizes} }`;
}

/** `gpu`, `gpu[0..3]`, or `node[0..1].gpu` where groups are taken whole; undefined for any other set. */
function nameDevices(ids: readonly number[], topology: Topology): string | undefined {
  const paths = ids.map((id) => parsePath(topology.devices[id]!.path));
  const [first, last] = [paths[0]!, paths.at(-1)!];
  const depth = first.length;
  for (let varying = depth - 1; varying >= 0; varying--) {
    const pattern = first.map((part, i) => {
      if (i < varying) return part;
      const from = part.first ?? 0;
      return i === varying
        ? { name: part.name, first: from, last: last[i]!.first ?? 0 }
        : { name: part.name };
    });
    const all = pattern.map((part, i) => (i === varying ? { name: part.name } : part));
    const found = [all, pattern].find((parts) => devicesMatching(topology, parts).join() === ids.join());
    if (found !== undefined) return printPath(found);
  }
  return undefined;
}
