/**
 * The constants that a plan's simulation depends on, each with its value and where that comes from: declared in a file of
 * the user, a figure shipped in the library with the source that the library's comments give, or a default.
 */
import { formatExactBytes, formatQuantity } from '../../compiler/check/units.js';
import { ENGINE_EFFECTS, engineOf } from '../../compiler/cost/engine-model.js';
import { COMPUTED_TYPES, GEMM_TILE_ROWS, speedType } from '../../compiler/cost/rates.js';
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import { groupBy } from '../../compiler/group-by.js';
import { largestBinding as bindingOf } from '../../compiler/passes/largest-binding.js';
import { kvPlaces } from '../../compiler/passes/kv-places.js';
import { ARRIVING_AHEAD, PAGED_OUT_MICROBATCHES } from '../../compiler/passes/kv-pools.js';
import { PREFILL_SEQUENCES } from '../../compiler/passes/step-sizes.js';
import type { Declared, DeviceKind, KvTier, Link, Plan, Tier, Topology } from '../../compiler/plan/plan.js';
import { declaredPattern, parsePath } from '../../compiler/plan/places.js';
import { joinsDevices } from '../../compiler/plan/routes.js';
import { linkName } from '../../compiler/reshard/roads.js';
import { placeName, type RenderOptions } from '../render-diagnostics.js';

/** A constant that the simulation of a plan depends on. */
export interface Constant {
  /** `l4: bandwidth`, `gpu <-> host: latency`, `node[*]: host: capacity`; no two of a plan have the same. */
  readonly what: string;
  readonly value: string;
  /** Of memory and the like, what `value` rounds. */
  readonly bytes?: number;
  readonly origin: 'declared' | 'shipped' | 'default';
  /** Where it is written, or the declaration is that lacks it. */
  readonly at: string;
  /** Of a shipped figure: what the library's comments say of it. */
  readonly source?: string;
}

/** Texts and names of files, to say where constants stand and what the library says of them. */
export type ConstantTexts = Pick<RenderOptions, 'textOf' | 'nameOf'>;

/** Constants of one device kind, tier, link, plan or engine. */
export interface OwnedConstants {
  /** `kv`: what a plan lets KV have of its tiers. */
  readonly kind: 'device' | 'plan' | 'kv' | 'tier' | 'link' | 'engine';
  /** What it is called: with a colon it begins `what` of each constant. */
  readonly name: string;
  /** Where it stands in the topology, whatever it is called; the same for what others declare there. */
  readonly place: string;
  readonly link?: Link;
  readonly constants: readonly Constant[];
}

/** Constants of the plan's devices, tiers, links and engine, in the order of the topology. */
export function planConstants(plan: Plan, texts: ConstantTexts): readonly Constant[] {
  return ownedConstants(plan, texts).flatMap(({ constants }) => constants);
}

/** As `planConstants`, by what has the constants. */
export function ownedConstants(plan: Plan, texts: ConstantTexts): readonly OwnedConstants[] {
  const { topology, name } = plan;
  const kinds = groupBy(topology.devices, ({ kind }) => kind);
  const ofPlan = { name, place: '' };
  return [
    ...[...kinds].map(([kind, devices]): OwnedConstants => {
      const place = [...new Set(devices.map(({ path }) => declaredPattern(path)))].join(', ');
      return { kind: 'device', name: kind.name, place, constants: deviceConstants(kind, texts) };
    }),
    { kind: 'plan', ...ofPlan, constants: [memoryUse(plan, texts)] },
    { kind: 'kv', ...ofPlan, constants: kvCaps(plan, texts) },
    { kind: 'plan', ...ofPlan, constants: fixedChoices(plan, texts) },
    ...tierConstants(topology, texts),
    ...topology.links.map((link): OwnedConstants => {
      const constants = linkConstants(link, topology, texts);
      return { kind: 'link', name: linkName(link), place: linkPlace(link, topology), link, constants };
    }),
    { kind: 'engine', name: topology.name, place: '', constants: overheadConstants(topology, texts) },
  ];
}

/** What a link joins: arrays without their ranges, and tiers by what they are. */
function linkPlace({ scope, from, to }: Link, { tiers }: Topology): string {
  const mediums = new Map(tiers.map(({ name, medium }) => [name, medium]));
  const endOf = (end: string): string =>
    parsePath(end)
      .map(({ name }) => mediums.get(name) ?? name)
      .join('.');
  return `${scope}: ${endOf(from)} <-> ${endOf(to)}`;
}

/**
 * A constant of a declaration: shipped when its file is the library's.
 *
 * @param around what it is declared in, whose comments hold where it has none of its own
 */
function given(
  what: string,
  value: string,
  { origin, propertyOrigins }: Declared,
  property: string,
  texts: ConstantTexts,
  around?: Origin,
): Constant {
  const at = placeName(propertyOrigins?.[property] ?? origin, texts);
  if (!origin.file.startsWith('std/')) return { what, value, origin: 'declared', at };
  const text = texts.textOf(origin.file) ?? '';
  const own = commentsOn(text, origin.span.start, property);
  const source = own === '' && around !== undefined ? commentsOn(text, around.span.start) : own;
  return { what, value, origin: 'shipped', at, ...(source !== '' && { source }) };
}

const taken = (what: string, value: string, origin: Origin, texts: ConstantTexts): Constant => ({
  what,
  value,
  origin: 'default',
  at: placeName(origin, texts),
});

const sized = (bytes: number, constantOf: (value: string) => Constant): Constant => ({
  ...constantOf(formatQuantity(bytes, 'bytes')),
  bytes,
});

function deviceConstants(kind: DeviceKind, texts: ConstantTexts): readonly Constant[] {
  const { name, origin, sustained, gemm, kernels, attentionRows, assumed = [] } = kind;
  const { largestBinding, shared, sharedHost } = kind;
  const own = (property: string, value: string): Constant =>
    given(`${name}: ${property}`, value, kind, property.split(' ')[0]!, texts);
  const speeds = groupBy(COMPUTED_TYPES, (type) => speedType(kind, type));
  const fractions = (['compute', 'bandwidth'] as const).map((each) => {
    const [what, value] = [`sustained ${each}`, formatQuantity(sustained[each], 'fraction')];
    return assumed.includes(each) ? taken(`${name}: ${what}`, value, origin, texts) : own(what, value);
  });
  const parts = (record: Readonly<Record<string, number>>): string =>
    Object.entries(record)
      .map(([size, part]) => `${size}: ${formatQuantity(part, 'fraction')}`)
      .join(', ');
  return [
    sized(kind.memory, (value) => own('memory', value)),
    own('bandwidth', formatQuantity(kind.bandwidth, 'bytes/s')),
    ...Object.entries(kind.compute).map(([type, rate]) =>
      own(
        `compute ${type}`,
        `${formatQuantity(rate, 'flop/s')}${speeds.has(type) ? '' : ', not used: nothing is computed in it'}`,
      ),
    ),
    ...[...speeds].flatMap(([used, types]) =>
      types
        .filter((type) => type !== used)
        .map((type) => taken(`${name}: compute ${type}`, `as ${used}`, origin, texts)),
    ),
    ...fractions,
    gemm === undefined
      ? taken(`${name}: gemm`, `tiles of ${GEMM_TILE_ROWS} rows are computed whole`, origin, texts)
      : own('gemm', parts(gemm)),
    kernels === undefined
      ? taken(`${name}: kernels`, 'all reach what compute and bandwidth allow', origin, texts)
      : own('kernels', parts(kernels)),
    attentionRows === undefined
      ? taken(`${name}: attention_rows`, 'each row by itself', origin, texts)
      : own('attention_rows', String(attentionRows)),
    sized(bindingOf(kind), (value) =>
      largestBinding === undefined
        ? taken(`${name}: largest_binding`, value, origin, texts)
        : own('largest_binding', value),
    ),
    shared === undefined
      ? taken(`${name}: shared`, 'each device has a processor of its own', origin, texts)
      : own('shared', parts(shared)),
    sharedHost === undefined
      ? taken(`${name}: shared_host`, 'as `shared`', origin, texts)
      : own('shared_host', parts(sharedHost)),
  ];
}

/** How much of device memory there is for weights, workspace and KV. */
function memoryUse(plan: Plan, texts: ConstantTexts): Constant {
  const { name, memoryUse: part, defaults, origin } = plan;
  const [what, value] = [`${name}: memory_use`, formatQuantity(part, 'fraction')];
  return defaults.some((each) => each.what === 'memory_use')
    ? taken(what, value, origin, texts)
    : given(what, value, plan, 'memory_use', texts);
}

/** What the compiler takes for steps and KV pools, and no plan can say. */
function fixedChoices({ name, origin }: Plan, texts: ConstantTexts): readonly Constant[] {
  const ahead = formatQuantity(ARRIVING_AHEAD - 1, 'fraction');
  const choices = {
    'prompts that end in a step': `${PREFILL_SEQUENCES} at most`,
    'KV of prefill on its way out': `of ${PAGED_OUT_MICROBATCHES} microbatches at most`,
    'KV of decode beside the batch': `of ${ahead} more requests at most`,
  };
  return Object.entries(choices).map(([what, value]) => taken(`${name}: ${what}`, value, origin, texts));
}

/**
 * What KV may take of a tier, in all of its instances that have any together, and in each where they are several and
 * alike.
 */
export function showKvCap(plan: Plan, tier: KvTier): string {
  const { cap } = tier;
  // As written where it is: a sum of binary units is no round number in decimal ones.
  const shown = (bytes: number): string =>
    cap === undefined ? formatQuantity(bytes, 'bytes') : formatExactBytes(bytes);
  const sizes = kvPlaces(plan, tier).map(({ tier: { capacity } }) => Math.min(cap ?? Infinity, capacity));
  const all = shown(sizes.reduce((sum, bytes) => sum + bytes, 0));
  const [each] = new Set(sizes).size === 1 ? sizes : [];
  return each === undefined || sizes.length === 1
    ? all
    : `${shown(each)} in each of ${sizes.length}, ${all} in all`;
}

function kvCaps(plan: Plan, texts: ConstantTexts): readonly Constant[] {
  return plan.kv.tiers.flatMap((tier) => {
    const { name, medium, cap, origin } = tier;
    if (medium === 'device') return [];
    const [what, value] = [`${plan.name}: KV in ${name} at most`, showKvCap(plan, tier)];
    return [
      cap === undefined ? taken(what, value, origin, texts) : given(what, value, { origin }, 'tiers', texts),
    ];
  });
}

/** Capacities; instances of a tier in groups that are alike are one declaration. */
function tierConstants({ tiers, origin: around }: Topology, texts: ConstantTexts): readonly OwnedConstants[] {
  const declared = new Map(tiers.map((tier) => [placeName(tier.origin, texts), tier]));
  return [...declared.values()].map((tier) => {
    const { name: own, group, medium, capacity } = tier;
    const name = `${scopeOf(group)}${own}`;
    const constant = sized(capacity, (value) =>
      given(`${name}: capacity`, value, tier, 'capacity', texts, around),
    );
    return { kind: 'tier', name, place: `${scopeOf(group)}${medium}`, constants: [constant] };
  });
}

/** As links have it: `node[*]: ` inside of every node. */
function scopeOf(group: Tier['group']): string {
  return group === '' ? '' : `${declaredPattern(group)}: `;
}

function linkConstants(link: Link, topology: Topology, texts: ConstantTexts): readonly Constant[] {
  const { origin: around } = topology;
  const name = linkName(link);
  const { bandwidth, bandwidthBack, weights, latency, allreduce, origin, propertyOrigins } = link;
  const { allreduceLatency, allgatherLatency } = link;
  const own = (property: string, value: string): Constant =>
    given(`${name}: ${property}`, value, link, property, texts, around);
  const unused = joinsDevices(link, topology) ? '' : ', not used: it joins no devices with devices';
  const ofExchanges = (property: string, value: string): Constant => own(property, `${value}${unused}`);
  const sizes = Object.entries(allreduce).map(
    ([size, rate]) => `${size}: ${formatQuantity(rate, 'bytes/s')}`,
  );
  const delay = formatQuantity(latency, 'seconds');
  return [
    own('bandwidth', formatQuantity(bandwidth, 'bytes/s')),
    bandwidthBack === undefined
      ? taken(`${name}: bandwidth_back`, 'as `bandwidth`', origin, texts)
      : own('bandwidth_back', formatQuantity(bandwidthBack, 'bytes/s')),
    weights === undefined
      ? taken(`${name}: weights`, 'as other bytes', origin, texts)
      : own('weights', formatQuantity(weights, 'bytes/s')),
    propertyOrigins?.['latency'] === undefined
      ? taken(`${name}: latency`, delay, origin, texts)
      : own('latency', delay),
    sizes.length > 0
      ? ofExchanges('allreduce', sizes.join(', '))
      : taken(`${name}: allreduce`, 'a ring over the narrowest link', origin, texts),
    allreduceLatency === undefined
      ? taken(`${name}: allreduce_latency`, 'worked out from the latency', origin, texts)
      : ofExchanges('allreduce_latency', times(allreduceLatency)),
    allgatherLatency === undefined
      ? taken(`${name}: allgather_latency`, 'half of an all-reduce', origin, texts)
      : ofExchanges('allgather_latency', times(allgatherLatency)),
  ];
}

function overheadConstants(topology: Topology, texts: ConstantTexts): readonly Constant[] {
  const { name, overhead, overheadDeclared: block, origin } = topology;
  const { step, layer, request, kernel } = overhead;
  const { submit = {}, read = {}, choose = 0, encode = 0 } = overhead;
  const { activations = 'f32', activationsInMemory = 'f32' } = overhead;
  const parts = { step, layer, request, kernel, submit, read, choose, encode };
  const shown = Object.entries(parts).map(
    ([part, seconds]) =>
      [part, typeof seconds === 'number' ? formatQuantity(seconds, 'seconds') : times(seconds)] as const,
  );
  const engine = engineOf(topology);
  const effects = Object.entries(ENGINE_EFFECTS).map(
    ([part, key]) => [part, engine[key] ? 'true' : 'false'] as const,
  );
  const types = [
    ['activations', activations],
    ['activations_in_memory', activationsInMemory],
  ] as const;
  return [...shown, ...types, ...effects].map(([part, value]) => {
    const what = `${name}: overhead ${part}`;
    return block?.propertyOrigins?.[part] === undefined
      ? taken(what, value, block?.origin ?? origin, texts)
      : given(what, value, block, part, texts, origin);
  });
}

/** Seconds by group size; none take no time. */
function times(record: Readonly<Record<number, number>>): string {
  const parts = Object.entries(record).map(([size, each]) => `${size}: ${formatQuantity(each, 'seconds')}`);
  return parts.length === 0 ? formatQuantity(0, 'seconds') : parts.join(', ');
}

/** Comments right above the declaration at an offset, and above a property in its block, as one text. */
function commentsOn(text: string, offset: number, property?: string): string {
  const lines = text.split('\n');
  const first = text.slice(0, offset).split('\n').length - 1;
  const above = (line: number): readonly string[] => {
    const found: string[] = [];
    for (let i = line - 1; i >= 0 && /^\s*\/\//.test(lines[i]!); i--)
      found.unshift(lines[i]!.replace(/^\s*\/{2,3}\s?/, ''));
    return found;
  };
  if (property === undefined) return above(first).join(' ').trim();
  const end = lines.findIndex((line, i) => i > first && /^\s*\}\s*$/.test(line));
  const own = lines.findIndex(
    (line, i) => i > first && i < end && new RegExp(`^\\s*${property}\\b`).test(line),
  );
  return [...above(first), ...(own < 0 ? [] : above(own))].join(' ').trim();
}
