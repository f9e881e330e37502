/** Device selections (`gpu[0..3]`, `node[0..7].gpu`): paths with index ranges, matched against a topology. */
import { suggest } from '../../grammar/did-you-mean.js';
import type { PathExpr } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import { matchesPrefix, parsePath, pathWithin, type PathPart } from '../plan/places.js';
import type { Topology } from '../plan/plan.js';
import type { CheckedTopology } from './check-topology.js';
import { pathText } from './evaluate.js';
import { replacement } from './fixes.js';
import { quantity } from './readers.js';
import { at, suggestions, type Context } from './scope.js';

const index = quantity('number', { whole: true, min: 0 });

/** A path with its indexes evaluated, or undefined after reporting. */
export function readPattern(expr: PathExpr, cx: Context): readonly PathPart[] | undefined {
  const parts: PathPart[] = [];
  for (const segment of expr.segments) {
    if (!segment.index) {
      parts.push({ name: segment.name.text });
      continue;
    }
    if (reportMistakenRange(segment.index, cx)) return undefined;
    const first = index(segment.index.first, cx, 'the index');
    const last = segment.index.last ? index(segment.index.last, cx, 'the index') : first;
    if (first === undefined || last === undefined) return undefined;
    if (last < first) {
      cx.report(
        report(
          'out-of-range',
          { what: 'the range', value: `${first}..${last}`, must: 'in rising order' },
          {
            primary: at(cx, segment.index),
            helps: [`write \`${last}..${first}\``],
            fixes: [replacement(at(cx, segment.index), `[${last}..${first}]`)],
          },
        ),
      );
      return undefined;
    }
    parts.push({ name: segment.name.text, first, last });
  }
  return parts;
}

/** Reports `0.3` and `0-3` in place of `0..3`; whether the index is one of them. */
function reportMistakenRange(
  { first, last, span }: NonNullable<PathExpr['segments'][number]['index']>,
  cx: Context,
): boolean {
  if (last !== undefined) return false;
  const written = cx.scope.file.text.slice(first.span.start, first.span.end);
  const [, from, to] = /^(\d+)\s*[.-]\s*(\d+)$/.exec(written) ?? [];
  if (from === undefined || Number(from) >= Number(to)) return false;
  const range = `${from}..${to}`;
  cx.report(
    report(
      'out-of-range',
      { what: 'the index', value: written, must: 'a whole number, or a range with two dots' },
      {
        primary: at(cx, first),
        helps: [`write \`${range}\``],
        fixes: [replacement(at(cx, { span }), `[${range}]`, `Change to \`${range}\``)],
      },
    ),
  );
  return true;
}

/** Ids of the devices that ranges take in together, in topology order, or undefined after reporting. */
export function selectDevices(
  ranges: readonly PathExpr[],
  checked: CheckedTopology,
  cx: Context,
): readonly number[] | undefined {
  /** The range that has a device. */
  const taken = new Map<number, PathExpr>();
  let failed = false;
  for (const range of ranges) {
    const ids = devicesOfRange(range, checked, cx);
    const twice = ids?.find((id) => taken.has(id));
    if (twice !== undefined)
      cx.report(
        report(
          'device-repeated',
          { device: checked.topology.devices[twice]!.path },
          {
            primary: at(cx, range),
            related: [{ ...at(cx, taken.get(twice)!), label: 'here already' }],
            helps: ['name every device in one range'],
          },
        ),
      );
    if (ids === undefined || twice !== undefined) failed = true;
    else for (const id of ids) taken.set(id, range);
  }
  return failed ? undefined : [...taken.keys()].sort((a, b) => a - b);
}

/** Ids of the devices of a range that may leave out the groups around it, or undefined after reporting. */
export function selectMeasured(
  expr: PathExpr,
  checked: CheckedTopology,
  cx: Context,
): readonly number[] | undefined {
  const end = expr.segments.map(({ name }) => name.text).join('.');
  const outer = arraysOf(checked).flatMap((array) =>
    array.endsWith(`.${end}`) ? [array.slice(0, -end.length - 1)] : [],
  );
  return devicesOfRange(expr, checked, cx, checked.templates.has(end) ? '' : outer[0]);
}

const arraysOf = ({ templates }: CheckedTopology): readonly string[] =>
  [...templates.values()].filter((t) => t.kind === 'devices').map((t) => t.path);

/** The devices of a range inside `outer`; `''` is the topology itself. */
function devicesOfRange(
  expr: PathExpr,
  checked: CheckedTopology,
  cx: Context,
  outer = '',
): readonly number[] | undefined {
  const parts = readPattern(expr, cx);
  if (!parts) return undefined;
  const { topology, templates } = checked;
  let template = outer;
  for (const [i, part] of parts.entries()) {
    template = pathWithin(template, part.name);
    const found = templates.get(template);
    if (!found) {
      reportUnknownPlace(expr, i, template, checked, cx);
      return undefined;
    }
    if (!checkIndex(part, found.count, expr, i, cx)) return undefined;
    if (i === parts.length - 1 && found.kind !== 'devices') {
      const arrays = arraysOf(checked);
      const own = arrays.filter((a) => a.startsWith(`${template}.`));
      const primary = at(cx, expr);
      const helps = own.map((a) => `name its devices: \`${a}\``);
      // What is written stays, with its indexes, but for a dot that nothing follows yet.
      const written = pathText(expr, cx.scope.file.text).replace(/\s*\.$/, '');
      const fixes =
        own.length > 0
          ? own.map((a) => replacement(primary, `${written}${a.slice(template.length)}`))
          : arrays.map((a) => replacement(primary, a));
      cx.report(report('not-a-device', { place: template, is: found.kind }, { primary, helps, fixes }));
      return undefined;
    }
  }
  return devicesMatching(topology, [...parsePath(outer), ...parts]);
}

/** Reports the segment of a path that `place` ends in; a fix leaves the others and all indexes as they are. */
function reportUnknownPlace(
  expr: PathExpr,
  segment: number,
  place: string,
  checked: CheckedTopology,
  cx: Context,
): void {
  const arrays = arraysOf(checked);
  const { name } = expr.segments[segment]!;
  const written = pathText(expr, cx.scope.file.text);
  const around = place.slice(0, place.length - name.text.length);
  const beside = arrays
    .filter((array) => array.startsWith(around))
    .map((array) => array.slice(around.length).split('.')[0]!);
  const near = suggest(name.text, beside);
  const inside = segment === 0 ? arrays.find((array) => array.endsWith(`.${name.text}`)) : undefined;
  const meant = inside ?? near;
  const primary = at(cx, expr);
  let advice = suggestions(primary, written, arrays, 'devices');
  if (meant !== undefined) {
    const { text } = cx.scope.file;
    const path = `${text.slice(expr.span.start, name.span.start)}${meant}${text.slice(name.span.end, expr.span.end)}`;
    advice = {
      helps: [`did you mean \`${path}\`?`],
      fixes: [replacement(at(cx, name), meant, `Change to \`${path}\``)],
    };
  }
  const where = `topology \`${checked.topology.name}\``;
  cx.report(report('unknown-place', { place, where }, { primary, ...advice }));
}

/** Ids of the devices that a pattern takes in, in topology order. */
export function devicesMatching(
  { devices }: Pick<Topology, 'devices'>,
  parts: readonly PathPart[],
): readonly number[] {
  return devices
    .filter((device) => {
      const place = parsePath(device.path);
      return place.length === parts.length && matchesPrefix(parts, place);
    })
    .map((device) => device.id);
}

/** Reports an index beyond an array's end. */
export function checkIndex(
  part: PathPart,
  size: number | undefined,
  expr: PathExpr,
  segment: number,
  cx: Context,
): boolean {
  if (part.first === undefined) return true;
  const last = part.last ?? part.first;
  const limit = size ?? 1;
  if (part.first < limit && last < limit) return true;
  const index = part.first === last ? String(last) : `${part.first}..${last}`;
  const indexOrigin = at(cx, expr.segments[segment]!.index!);
  const first = Math.min(part.first, limit - 1);
  const range = first === last || first === limit - 1 ? `${limit - 1}` : `${first}..${limit - 1}`;
  // Without a count there is one, which has no index.
  const within = size === undefined ? undefined : `[${range}]`;
  cx.report(
    report(
      'index-out-of-range',
      { place: part.name, index, count: limit },
      { primary: indexOrigin, fixes: within === undefined ? [] : [replacement(indexOrigin, within)] },
    ),
  );
  return false;
}
