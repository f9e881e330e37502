/** Topology declarations: groups are multiplied out into devices and tiers, links stay as they are. */
import type { Expr, Name, PathExpr, TopologyDecl, TopologyMember } from '../../grammar/syntax.js';
import { isName } from '../../grammar/names.js';
import { report } from '../diagnostics/catalogue.js';
import { ENGINE_EFFECTS, FULCRUM_ENGINE } from '../cost/engine-model.js';
import type { DeviceKind, Link, PlacedDevice, Tier, Topology } from '../plan/plan.js';
import { pathWithin } from '../plan/places.js';
import { checkDevice } from './check-device.js';
import { checkLink, warnOfUnusedExchanges } from './check-link.js';
import { plainName } from './evaluate.js';
import { removal } from './fixes.js';
import { readBlock, type Values } from './properties.js';
import { count, filledText, oneOf, quantity, recordOf, SIZES, truth } from './readers.js';
import { at, lookUp, type Context } from './scope.js';
import { formatQuantity } from './units.js';

/** A named thing of a topology before multiplication: `gpu`, `node`, `node.gpu`, `node.host`. */
export interface PlaceTemplate {
  readonly kind: 'devices' | 'group' | 'tier';
  readonly path: string;
  /** Instances in one instance of the group around it; undefined when written without a count. */
  readonly count: number | undefined;
}

export interface CheckedTopology {
  readonly topology: Topology;
  readonly templates: ReadonlyMap<string, PlaceTemplate>;
}

/** More devices than any plan can mean. */
export const MOST_DEVICES = 65_536;

/** Properties of a tier. */
export const TIER_TABLE = {
  capacity: { read: quantity('bytes'), required: true },
  path: { read: filledText('a directory, such as `"/var/lib/fulcrum"`') },
};

const time = quantity('seconds', { min: 0 });

/** Properties of an `overhead` block. */
export const OVERHEAD_TABLE = {
  step: { read: time },
  layer: { read: time },
  request: { read: time },
  kernel: { read: time },
  submit: { read: recordOf(SIZES, time) },
  read: { read: recordOf(SIZES, time) },
  choose: { read: time },
  encode: { read: time },
  activations: { read: oneOf(['f32', 'f16']) },
  activations_in_memory: { read: oneOf(['f32', 'f16']) },
  host_overhead: { read: truth },
  small_gemm_loss: { read: truth },
  virtual_engines: { read: truth },
  copy_engines: { read: truth },
  full_reload: { read: truth },
  host_per_replica: { read: truth },
};

/** Reports an `encode` that cannot be what it is: a part of `submit`. */
function checkEncode(values: Values<typeof OVERHEAD_TABLE>, cx: Context): void {
  const [encode = 0, submit] = [values.get('encode'), values.get('submit')];
  const primary = values.origin('encode');
  if (encode === 0 || primary === undefined) return;
  const helps = ['`encode` is the part of `submit` that kernels of other groups wait for'];
  if (values.origin('submit') === undefined) {
    const facts = { property: 'submit', block: 'overhead', name: '' };
    cx.report(report('missing-property', facts, { primary, helps }));
  } else if (submit !== undefined && encode > Math.min(...Object.values(submit))) {
    const least = formatQuantity(Math.min(...Object.values(submit)), 'seconds');
    const facts = {
      what: '`encode`',
      value: formatQuantity(encode, 'seconds'),
      must: `no more than \`submit\`, ${least}`,
    };
    cx.report(report('out-of-range', facts, { primary, helps }));
  }
}

interface Building {
  readonly devices: PlacedDevice[];
  readonly tiers: Tier[];
  readonly links: Link[];
  readonly templates: Map<string, PlaceTemplate>;
  readonly kinds: Map<string, DeviceKind | undefined>;
  overhead: Topology['overhead'] | undefined;
  overheadDeclared: Topology['overheadDeclared'];
  engine: Topology['engine'];
  failed: boolean;
}

/** Where members stand: the group's instances and its path without and with `[*]`. */
export interface Place {
  readonly instances: readonly string[];
  readonly template: string;
  readonly scope: string;
}

/** The topology of a declaration, or undefined after reporting why there is none. */
export function checkTopology(decl: TopologyDecl, cx: Context): CheckedTopology | undefined {
  const b: Building = {
    devices: [],
    tiers: [],
    links: [],
    templates: new Map(),
    kinds: new Map(),
    overhead: undefined,
    overheadDeclared: undefined,
    engine: undefined,
    failed: false,
  };
  readMembers(decl.members, { instances: [''], template: '', scope: '' }, cx, b);
  if (b.devices.length === 0 && !b.failed) {
    const helps = ['give it an array of devices, such as `gpu[8]: DEVICE`'];
    cx.report(report('no-devices', { topology: decl.name.text }, { primary: at(cx, decl.name), helps }));
    return undefined;
  }
  if (b.failed) return undefined;
  const topology: Topology = {
    name: decl.name.text,
    devices: b.devices,
    tiers: b.tiers,
    links: b.links,
    overhead: b.overhead ?? { step: 0, layer: 0, request: 0, kernel: 0 },
    ...(b.overheadDeclared && { overheadDeclared: b.overheadDeclared }),
    ...(b.engine && { engine: b.engine }),
    origin: at(cx, decl.name),
  };
  return { topology, templates: b.templates };
}

function readMembers(members: readonly TopologyMember[], place: Place, cx: Context, b: Building): void {
  const names = new Map<string, Name>();
  for (const member of members) {
    if (member.kind === 'devices' || member.kind === 'group' || member.kind === 'tier') {
      // What is named nothing, or what cannot be a name, is reported by the parser and can stand in no path.
      if (!isName(member.name.text)) b.failed = true;
      const earlier = member.name.text === '' ? undefined : names.get(member.name.text);
      if (earlier) {
        cx.report(
          report(
            'duplicate-name',
            { name: member.name.text, kind: 'place' },
            {
              primary: at(cx, member.name),
              related: [{ ...at(cx, earlier), label: 'declared here first' }],
              fixes: [removal(cx, member.span, `this \`${member.name.text}\``)],
            },
          ),
        );
        b.failed = true;
        continue;
      }
      names.set(member.name.text, member.name);
    }
    readMember(member, place, cx, b);
  }
  for (const member of members) {
    if (member.kind !== 'link') continue;
    const checked = checkLink(member, place, b, cx);
    if (checked === undefined) b.failed = true;
    else if (checked !== 'twin') {
      b.links.push(checked);
      // Where something is wrong with devices, they are not all there.
      if (!b.failed) warnOfUnusedExchanges(member, checked, b, cx);
    }
  }
}

function readMember(member: TopologyMember, place: Place, cx: Context, b: Building): void {
  switch (member.kind) {
    case 'devices': {
      const size = readCount(member.count, cx, b);
      const path = pathWithin(place.template, member.name.text);
      b.templates.set(path, { kind: 'devices', path, count: size.count });
      const kind = deviceKind(member.device, cx, b);
      if (!kind || !size.ok) {
        b.failed = true;
        return;
      }
      if (tooMany(b.devices.length + place.instances.length * size.instances, member.name, cx, b)) return;
      for (const group of place.instances)
        for (const name of instanceNames(member.name.text, size.count))
          b.devices.push({ id: b.devices.length, path: pathWithin(group, name), group, kind });
      return;
    }
    case 'group': {
      const size = readCount(member.count, cx, b);
      const template = pathWithin(place.template, member.name.text);
      b.templates.set(template, { kind: 'group', path: template, count: size.count });
      if (tooMany(place.instances.length * size.instances, member.name, cx, b)) return;
      const instances = place.instances.flatMap((group) =>
        instanceNames(member.name.text, size.count).map((name) => pathWithin(group, name)),
      );
      const scope = pathWithin(
        place.scope,
        size.count === undefined ? member.name.text : `${member.name.text}[*]`,
      );
      readMembers(member.members, { instances, template, scope }, cx, b);
      return;
    }
    case 'tier': {
      const path = pathWithin(place.template, member.name.text);
      b.templates.set(path, { kind: 'tier', path, count: undefined });
      const values = readBlock(cx, TIER_TABLE, member.members, 'tier', member.name);
      const capacity = values.get('capacity');
      const directory = values.get('path');
      if (capacity === undefined || values.failed) {
        b.failed = true;
        return;
      }
      for (const group of place.instances)
        b.tiers.push({
          path: pathWithin(group, member.name.text),
          name: member.name.text,
          group,
          medium: directory === undefined ? 'host' : 'disk',
          capacity,
          ...(directory !== undefined && { directory }),
          origin: at(cx, member.name),
          propertyOrigins: values.origins,
        });
      return;
    }
    case 'overhead': {
      if (b.overhead) {
        cx.report(
          report(
            'duplicate-block',
            { block: 'overhead' },
            { primary: at(cx, member), fixes: [removal(cx, member.span, 'this block')] },
          ),
        );
        return;
      }
      const values = readBlock(cx, OVERHEAD_TABLE, member.members, 'overhead', undefined);
      b.overheadDeclared = { origin: at(cx, member), propertyOrigins: values.origins };
      const effects = Object.entries(ENGINE_EFFECTS).flatMap(([name, key]) => {
        const value = values.get(name as keyof typeof ENGINE_EFFECTS);
        return value === undefined || value === FULCRUM_ENGINE[key] ? [] : [[key, value] as const];
      });
      if (effects.length > 0) b.engine = Object.fromEntries(effects);
      const [submit, readBack] = [values.get('submit'), values.get('read')];
      const [choose, encode] = [values.get('choose'), values.get('encode')];
      checkEncode(values, cx);
      const activations = values.get('activations');
      const activationsInMemory = values.get('activations_in_memory');
      b.overhead = {
        step: values.get('step') ?? 0,
        layer: values.get('layer') ?? 0,
        request: values.get('request') ?? 0,
        kernel: values.get('kernel') ?? 0,
        ...(submit && { submit }),
        ...(readBack && { read: readBack }),
        ...(choose !== undefined && { choose }),
        ...(encode !== undefined && { encode }),
        ...(activations && { activations }),
        ...(activationsInMemory && { activationsInMemory }),
      };
      return;
    }
    case 'property': {
      const primary = at(cx, member.name);
      cx.report(
        report(
          'unknown-property',
          { property: member.name.text, block: 'topology' },
          {
            primary,
            helps: ['a topology holds devices (`gpu[8]: l4`), tiers, links, groups and `overhead`'],
            fixes: [removal(cx, member.span, `\`${member.name.text}\``)],
          },
        ),
      );
      return;
    }
    default:
      return;
  }
}

function instanceNames(name: string, size: number | undefined): readonly string[] {
  return size === undefined ? [name] : Array.from({ length: size }, (_, i) => `${name}[${i}]`);
}

function readCount(
  expr: Expr | undefined,
  cx: Context,
  b: Building,
): { readonly ok: boolean; readonly count: number | undefined; readonly instances: number } {
  if (!expr) return { ok: true, count: undefined, instances: 1 };
  const size = count(expr, cx, 'the count');
  if (size === undefined) b.failed = true;
  return { ok: size !== undefined, count: size ?? 1, instances: size ?? 1 };
}

function tooMany(devices: number, name: Name, cx: Context, b: Building): boolean {
  if (devices <= MOST_DEVICES) return false;
  b.failed = true;
  cx.report(
    report(
      'out-of-range',
      { what: `the number of \`${name.text}\``, value: String(devices), must: `at most ${MOST_DEVICES}` },
      { primary: at(cx, name) },
    ),
  );
  return true;
}

function deviceKind(
  expr: PathExpr | { readonly kind: 'error' },
  cx: Context,
  b: Building,
): DeviceKind | undefined {
  if (expr.kind === 'error') return undefined;
  const name = plainName(expr);
  if (!name) {
    cx.report(
      report(
        'wrong-type',
        { what: 'a device array', expected: 'the name of a device', found: 'a path' },
        { primary: at(cx, expr) },
      ),
    );
    return undefined;
  }
  if (b.kinds.has(name.text)) return b.kinds.get(name.text);
  const found = lookUp(cx, name, 'device');
  const declared = found && checkDevice(found.decl, found.cx);
  // Kinds of several files may be declared by one name; where that is so, imports call them by others.
  const kind = declared && { ...declared, name: name.text };
  b.kinds.set(name.text, kind);
  return kind;
}
