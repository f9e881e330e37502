/** Links of a topology: one record for all instances of the scope that they stand in. */
import type { LinkDecl, Name, PathExpr, Property } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import { pathWithin, printPath } from '../plan/places.js';
import type { Link, Topology } from '../plan/plan.js';
import { joinsDevices } from '../plan/routes.js';
import type { CheckedTopology, Place } from './check-topology.js';
import { removal } from './fixes.js';
import { readBlock } from './properties.js';
import { quantity, recordOf, SEVERAL } from './readers.js';
import { at, suggestions, type Context } from './scope.js';
import { checkIndex, readPattern } from './select-places.js';

const time = quantity('seconds', { min: 0 });

/** Properties of a link. */
export const LINK_TABLE = {
  bandwidth: { read: quantity('bytes/s'), required: true },
  bandwidth_back: { read: quantity('bytes/s') },
  weights: { read: quantity('bytes/s') },
  latency: { read: time },
  allreduce: { read: recordOf(SEVERAL, quantity('bytes/s')) },
  allreduce_latency: { read: recordOf(SEVERAL, time) },
  allgather_latency: { read: recordOf(SEVERAL, time) },
};

/** A link, `'twin'` after reporting that it is declared already, or undefined after reporting why there is none. */
export function checkLink(
  decl: LinkDecl,
  place: Place,
  { links, templates }: Pick<CheckedTopology, 'templates'> & Pick<Topology, 'links'>,
  cx: Context,
): Link | 'twin' | undefined {
  const from = endpoint(decl.from, place, templates, cx);
  const to = endpoint(decl.to, place, templates, cx);
  const values = readBlock(cx, LINK_TABLE, decl.members, 'link', linkName(decl));
  const bandwidth = values.get('bandwidth');
  if (from === undefined || to === undefined || bandwidth === undefined || values.failed) return undefined;
  const twin = links.find(
    (l) => l.scope === place.scope && ((l.from === from && l.to === to) || (l.from === to && l.to === from)),
  );
  if (twin) {
    cx.report(
      report(
        'duplicate-link',
        { from, to },
        {
          primary: at(cx, decl.from),
          related: [{ ...twin.origin, label: 'declared here first' }],
          fixes: [removal(cx, decl.span, 'this link')],
        },
      ),
    );
    return 'twin';
  }
  const back = values.get('bandwidth_back');
  if (back !== undefined && from === to) {
    const property = decl.members.find(
      (member) => member.kind === 'property' && member.name.text === 'bandwidth_back',
    )!;
    cx.report(
      report(
        'no-way-back',
        { place: from },
        { primary: at(cx, property), fixes: [removal(cx, property.span, '`bandwidth_back`')] },
      ),
    );
    return undefined;
  }
  const [reducing, gathering] = [values.get('allreduce_latency'), values.get('allgather_latency')];
  return {
    scope: place.scope,
    from,
    to,
    bandwidth,
    ...(back !== undefined && { bandwidthBack: back }),
    ...(values.get('weights') !== undefined && { weights: values.get('weights')! }),
    latency: values.get('latency') ?? 0,
    allreduce: values.get('allreduce') ?? {},
    ...(reducing && { allreduceLatency: reducing }),
    ...(gathering && { allgatherLatency: gathering }),
    origin: { file: cx.scope.path, span: { start: decl.from.span.start, end: decl.to.span.end } },
    propertyOrigins: values.origins,
  };
}

/** Properties that are of exchanges between devices. */
const OF_EXCHANGES: readonly string[] = ['allreduce', 'allreduce_latency', 'allgather_latency'];

/** Warns of figures of exchanges on a link to a tier, or to what has no devices: exchanges through one are a ring. */
export function warnOfUnusedExchanges(
  decl: LinkDecl,
  link: Link,
  topology: Pick<Topology, 'devices'>,
  cx: Context,
): void {
  const figures = decl.members.filter((member) => member.kind === 'property').filter(isOfExchanges);
  if (figures.length === 0 || joinsDevices(link, topology)) return;
  for (const { name, span } of figures) {
    const facts = { property: name.text, from: link.from, to: link.to };
    const helps = [
      'an exchange over several links is a ring over the narrowest; a link between devices may say better',
    ];
    const fixes = [removal(cx, span, `\`${name.text}\``)];
    cx.report(report('exchange-not-used', facts, { primary: at(cx, name), helps, fixes }));
  }
}

const isOfExchanges = ({ name }: Property): boolean => OF_EXCHANGES.includes(name.text);

/** A link has no name of its own: its ends stand for it. */
function linkName(decl: LinkDecl): Name {
  return { text: '', span: { start: decl.from.span.start, end: decl.to.span.end } };
}

/** Text of a link's end after checking that every part of it exists in the scope. */
function endpoint(
  expr: PathExpr | { readonly kind: 'error' },
  place: Place,
  templates: CheckedTopology['templates'],
  cx: Context,
): string | undefined {
  if (expr.kind === 'error') return undefined;
  const parts = readPattern(expr, cx);
  if (!parts) return undefined;
  let template = place.template;
  for (const [i, part] of parts.entries()) {
    const known = [...templates.keys()]
      .filter((t) => parentOf(t) === template)
      .map((t) => t.slice(template === '' ? 0 : template.length + 1));
    template = pathWithin(template, part.name);
    const found = templates.get(template);
    if (!found) {
      const primary = at(cx, expr.segments[i]!.name);
      const where = place.template === '' ? 'this topology' : `\`${place.template}\``;
      cx.report(
        report(
          'unknown-place',
          { place: part.name, where },
          { primary, ...suggestions(primary, part.name, known, 'places') },
        ),
      );
      return undefined;
    }
    if (!checkIndex(part, found.count, expr, i, cx)) return undefined;
  }
  return printPath(parts);
}

const parentOf = (template: string): string => template.slice(0, Math.max(0, template.lastIndexOf('.')));
