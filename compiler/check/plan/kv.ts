/** The `kv` block: page size, element type, and the chain of tiers. */
import type { Expr, PathExpr } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Fix, Origin } from '../../diagnostics/diagnostic.js';
import type { DType } from '../../model/shape.js';
import { isQuantised, type WeightType } from '../../model/weight-types.js';
import type { DefaultTaken, KvSpec, KvTier, Tier, Topology } from '../../plan/plan.js';
import { tiersFor } from '../../plan/routes.js';
import type { CheckedTopology } from '../check-topology.js';
import { describe } from '../evaluate.js';
import { readProperties, type PlacedProperty } from '../properties.js';
import { oneOf, quantity, type Reader } from '../readers.js';
import { removal, replacement } from '../fixes.js';
import { at, suggestions, type Context } from '../scope.js';
import { formatBytes, formatExactBytes } from '../units.js';

interface ChainLink {
  readonly target: PathExpr;
  readonly upTo?: Expr;
}

interface Chain {
  readonly links: readonly ChainLink[];
  readonly cx: Context;
}

const chain: Reader<Chain> = (expr, cx, what) => {
  if (expr.kind === 'error') return undefined;
  if (expr.kind === 'chain') return { links: expr.links, cx };
  if (expr.kind === 'path') return { links: [{ target: expr }], cx };
  cx.report(
    report(
      'wrong-type',
      { what, expected: 'a chain such as `gpu -> host`', found: describe(expr) },
      { primary: at(cx, expr) },
    ),
  );
  return undefined;
};

/** Properties of a `kv` block. */
export const KV_TABLE = {
  page: { read: quantity('tokens', { whole: true, min: 1, max: 4096 }) },
  dtype: { read: oneOf(['f32', 'f16']) },
  tiers: { read: chain },
};

/** A tier of the chain before it is known which of its instances the stages reach. */
interface TierUse {
  readonly name: string;
  readonly medium: KvTier['medium'];
  /** Bytes of one instance that may be used. */
  readonly cap?: number;
  readonly origin: Origin;
}

export interface CheckedKv {
  readonly pageTokens: number;
  readonly dtype: DType;
  /** Undefined for the default chain, which depends on the devices of the stages. */
  readonly tiers: readonly TierUse[] | undefined;
  readonly origin: Origin;
  readonly defaults: readonly DefaultTaken[];
}

const DEFAULT_PAGE = 16;

/** Reads the merged properties of `kv`; undefined after reporting. */
export function readKv(
  properties: readonly PlacedProperty[],
  cx: Context,
  origin: Origin,
  checked: CheckedTopology,
  weights: WeightType,
): CheckedKv | undefined {
  const values = readProperties(cx, KV_TABLE, properties, 'kv block', undefined);
  const written = values.get('tiers');
  const tiers = written && readTiers(written, checked);
  if (values.failed || (written && !tiers)) return undefined;
  const dtype = values.get('dtype') ?? (weights === 'f32' ? 'f32' : 'f16');
  const defaults: DefaultTaken[] = [];
  if (!values.origin('page'))
    defaults.push({
      what: 'kv.page',
      value: `${DEFAULT_PAGE} tokens`,
      why: 'little waste at the end of a sequence, copies still long',
    });
  if (!values.origin('dtype'))
    defaults.push({
      what: 'kv.dtype',
      value: dtype,
      why: isQuantised(weights)
        ? `two bytes where the weights (${weights}) take less`
        : `as wide as the weights (${weights})`,
    });
  return { pageTokens: values.get('page') ?? DEFAULT_PAGE, dtype, tiers, origin, defaults };
}

function readTiers({ links, cx }: Chain, checked: CheckedTopology): readonly TierUse[] | undefined {
  const tiers: TierUse[] = [];
  let failed = false;
  for (const [i, link] of links.entries()) {
    const use = readTier(link, i === 0, cx, checked);
    if (!use) {
      failed = true;
      continue;
    }
    const earlier = tiers.find((t) => t.name === use.name);
    if (earlier) {
      cx.report(
        report(
          'tier-repeated',
          { tier: use.name },
          {
            primary: use.origin,
            related: [{ ...earlier.origin, label: 'named here first' }],
            fixes: [withoutLink(links, i, cx)],
          },
        ),
      );
      failed = true;
    }
    tiers.push(use);
  }
  return failed ? undefined : tiers;
}

/** The chain without one of its links behind the first, cap and all. */
function withoutLink(links: readonly ChainLink[], at: number, cx: Context): Fix {
  const endOf = ({ target, upTo }: ChainLink): number => (upTo ?? target).span.end;
  const [before, link] = [links[at - 1]!, links[at]!];
  return removal(
    cx,
    { start: endOf(before), end: endOf(link) },
    `this \`${link.target.segments.at(-1)!.name.text}\``,
  );
}

function readTier(
  { target, upTo }: ChainLink,
  first: boolean,
  cx: Context,
  { topology, templates }: CheckedTopology,
): TierUse | undefined {
  const name = target.segments.at(-1)!.name.text;
  if (name === '') return undefined;
  const origin = at(cx, target);
  const places = [...templates.values()].filter((t) => t.kind !== 'group');
  const lastPart = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
  const place = places.find((t) => lastPart(t.path) === name);
  if (!place) {
    const known = [...new Set(places.map((t) => lastPart(t.path)))];
    cx.report(
      report(
        'unknown-tier',
        { tier: name, topology: topology.name },
        { primary: origin, ...suggestions(origin, name, known, 'tiers and devices') },
      ),
    );
    return undefined;
  }
  if (place.kind === 'devices') {
    if (!first) {
      const helps = ['a chain begins with the devices and leads away from them'];
      cx.report(report('tier-repeated', { tier: name }, { primary: origin, helps }));
      return undefined;
    }
    if (upTo) {
      const cap = { start: target.span.end, end: upTo.span.end };
      const fixes = [removal(cx, cap, 'the cap')];
      cx.report(report('cap-on-device', { tier: name }, { primary: at(cx, upTo), fixes }));
      return undefined;
    }
    return { name, medium: 'device', origin };
  }
  if (first) {
    const devices = places.find((t) => t.kind === 'devices');
    const helps = devices ? [`begin with \`${lastPart(devices.path)} -> ${name}\``] : [];
    const fixes = devices ? [replacement(origin, `${lastPart(devices.path)} -> ${name}`)] : [];
    cx.report(report('first-tier-not-device', { tier: name }, { primary: origin, helps, fixes }));
    return undefined;
  }
  const tier = topology.tiers.find((t) => t.name === name)!;
  const cap = upTo && quantity('bytes')(upTo, cx, `the cap of \`${name}\``);
  if (upTo && cap === undefined) return undefined;
  if (cap !== undefined && cap > tier.capacity) {
    cx.report(
      report(
        'cap-exceeds-capacity',
        { tier: name, cap: formatBytes(cap), capacity: formatBytes(tier.capacity) },
        {
          primary: at(cx, upTo!),
          related: [{ ...tier.origin, label: 'declared here' }],
          fixes: [replacement(at(cx, upTo!), formatExactBytes(tier.capacity))],
        },
      ),
    );
    return undefined;
  }
  return { name, medium: tier.medium, ...(cap !== undefined && { cap }), origin };
}

/** The chain with the directories of the instances that devices in `groups` reach. */
export function placeTiers(
  kv: CheckedKv,
  topology: Topology,
  groups: readonly string[],
  deviceName: string,
): { readonly spec: KvSpec; readonly defaults: readonly DefaultTaken[] } {
  const instances = (name: string): readonly Tier[] => tiersFor(topology, groups, name);
  const host = topology.tiers.find((t) => t.medium === 'host' && instances(t.name).length > 0);
  const uses: readonly TierUse[] = kv.tiers ?? [
    { name: deviceName, medium: 'device', origin: kv.origin },
    ...(host ? [{ name: host.name, medium: host.medium, origin: kv.origin }] : []),
  ];
  const tiers = uses.map((use): KvTier => {
    const { name, medium, cap, origin } = use;
    if (medium === 'device') return { name, medium, origin };
    const directory = instances(name)[0]?.directory;
    return {
      name,
      medium,
      ...(cap !== undefined && { cap }),
      ...(directory !== undefined && { directory }),
      origin,
    };
  });
  const defaults: DefaultTaken[] = kv.tiers
    ? []
    : [
        {
          what: 'kv.tiers',
          value: tiers.map((t) => t.name).join(' -> '),
          why: host ? 'host memory takes what the devices cannot hold' : 'the topology has no host tier',
        },
      ];
  return {
    spec: { pageTokens: kv.pageTokens, dtype: kv.dtype, tiers, origin: kv.origin },
    defaults: [...kv.defaults, ...defaults],
  };
}
