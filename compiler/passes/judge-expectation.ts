/** Compares a figure with what a plan expects of it, and says so where the two disagree. */
import { formatBytesIn, formatQuantity } from '../check/units.js';
import { report, type Surroundings } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import type { RuntimeGraph } from '../ir/runtime-graph.js';
import type { CheckedExpectation } from '../plan/plan.js';
import { showBytesLimit } from '../plan/print-plan.js';

export type Bound = Extract<CheckedExpectation, { kind: 'bound' }>;
export type Never = Extract<CheckedExpectation, { kind: 'never' }>;
export type Causes = Required<Pick<Surroundings, 'related' | 'notes'>>;

/**
 * The diagnostic of a bound that `value` does not keep; undefined when it does. Time depends on the machine as much as on
 * the plan, so that one is a warning.
 *
 * @param seen where the value was seen, behind it: ` in the run`; nothing for the compiled plan
 */
export function judgeBound(
  expectation: Bound,
  value: number,
  seen: string,
  causes: () => Causes,
): Diagnostic | undefined {
  if (holds(value, expectation)) return undefined;
  const limit = showLimit(expectation);
  const shown = showFigure(expectation, value);
  const facts = {
    measure: describeMeasure(expectation),
    value: shown === limit ? exactly(expectation, value) : shown,
    seen,
    bound: `${expectation.op} ${limit}`,
  };
  const around = { primary: expectation.origin, ...causes() };
  return expectation.measure === 'time'
    ? report('time-not-met', facts, around)
    : report('expectation-not-met', facts, around);
}

/** The diagnostic of a `never` whose op occurs; undefined when it does not. */
export function judgeNever(
  { op, of, stage, origin }: Never,
  count: number,
  seen: string,
  causes: () => Causes,
): Diagnostic | undefined {
  if (count === 0) return undefined;
  const measure = `${op}${of === undefined ? '' : ` of ${of}`}${stage === undefined ? '' : ` in ${stage}`}`;
  const facts = { measure, value: String(count), seen, bound: '== 0' };
  return report('expectation-not-met', facts, { primary: origin, ...causes() });
}

/** Only activations are carried by collectives and sends of programs; weights and KV move in other ways. */
export function concernsPrograms({ of }: Never): boolean {
  return of === undefined || of === 'activations';
}

function holds(value: number, { op, limit }: Bound): boolean {
  const outcomes = { '<': value < limit, '<=': value <= limit, '>': value > limit, '>=': value >= limit };
  return { ...outcomes, '==': value === limit, '!=': value !== limit }[op];
}

/** A figure of a measure, for people: bytes in the unit of the limit that they are held against. */
export function showFigure(bound: Pick<Bound, 'measure' | 'limit' | 'unit'>, figure: number): string {
  switch (bound.measure) {
    case 'peak':
    case 'bytes':
      return formatBytesIn(figure, showBytesLimit(bound).split(' ')[1]!);
    case 'time':
      return formatQuantity(Number(figure.toPrecision(3)), 'seconds');
    case 'collectives':
    case 'transitions':
      return String(figure);
  }
}

function showLimit(expectation: Bound): string {
  const { measure, limit } = expectation;
  if (measure === 'time') return formatQuantity(limit, 'seconds');
  return measure === 'peak' || measure === 'bytes' ? showBytesLimit(expectation) : String(limit);
}

/** A figure that looks like its bound once it is rounded. */
function exactly(bound: Bound, figure: number): string {
  switch (bound.measure) {
    case 'peak':
    case 'bytes':
      return `${figure} B`;
    case 'time':
      return `${figure} s`;
    case 'collectives':
    case 'transitions':
      return showFigure(bound, figure);
  }
}

function describeMeasure({ measure, stage, devices, edge, per }: Bound): string {
  const about = edge ? `${edge.from} -> ${edge.to}` : [stage, devices?.text].filter(Boolean).join(', ');
  const args = [about, per && `per: ${per}`].filter(Boolean).join(', ');
  return args === '' ? measure : `${measure}(${args})`;
}

/** Devices that a `peak` is about: those of its stage, as far as it names them when it does. */
export function measuredDevices(
  { stage, devices: named }: Pick<Bound, 'stage' | 'devices'>,
  { devices, stages }: RuntimeGraph,
): RuntimeGraph['devices'] {
  const ids = new Set(
    stages
      .filter(({ name }) => (stage ?? name) === name)
      .flatMap(({ ranks }) => ranks.map(({ device }) => device)),
  );
  return devices.filter(({ id }) => ids.has(id) && named?.ids.includes(id) !== false);
}
