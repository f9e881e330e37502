/**
 * What the command line of a run set, as its trace tells: what is held against the run later is the same plan with the
 * same values of its params, unless a command line says otherwise.
 */
import { PARAM_TYPES } from '../compiler/check/param-types.js';
import { showValue } from '../compiler/check/params.js';
import type { Plan } from '../compiler/plan/plan.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import { isRecord } from '../runtime/trace/slices.js';
import { checkPlanFile, type CheckedFile } from './load-plan.js';
import { err, type Terminal } from './terminal.js';

/** As a run had them, or those that the first event of a trace tells of. */
export interface RunSettings {
  /** Values of the params of its plan; absent where a compiled plan was run. */
  readonly params?: Plan['params'];
  readonly transitions?: TransitionMode;
}

/** From the facts of a trace. Traces that are older than these facts tell of none. */
export function settingsOf(about: Readonly<Record<string, unknown>>): RunSettings {
  const { params, transitions } = about;
  return {
    ...(isRecord(params) && Object.values(params).every(isValue) && { params: params as Plan['params'] }),
    ...((transitions === 'dataflow' || transitions === 'barrier') && { transitions }),
  };
}

const isValue = (value: unknown): boolean =>
  typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);

type Settings = Readonly<Record<string, string>>;

/** A file as it was run. */
export interface CheckedAsRun {
  readonly checked: CheckedFile;
  /** Params that the command line sets to other values than the run had: `tp = 4`, and `tp = 1` of the run. */
  readonly differ?: { readonly here: string; readonly run: string };
}

/**
 * Checks a plan file with the params of a run, but for those that the command line sets. Says which of them the file
 * would have others of by itself.
 *
 * @param only see `checkPlanFile`
 */
export function checkAsRun(
  file: string,
  set: Settings | undefined,
  { path, params = {} }: Pick<RunSettings, 'params'> & { readonly path: string },
  terminal: Terminal,
  only: readonly string[] = [],
): CheckedAsRun {
  const checked = checkPlanFile(file, set, terminal.colour, only);
  const [chosen] = checked.rounds;
  const others = [...(chosen?.assignment ?? [])].flatMap(([decl, here]) => {
    const name = decl.name.text;
    const run = params[name];
    if (run === undefined || run === here) return [];
    const show = (value: typeof here): string =>
      `${name} = ${showValue(value, PARAM_TYPES.get(decl.type.text))}`;
    return [{ name, run, here: show(here), shown: show(run), isSet: Object.hasOwn(set ?? {}, name) }];
  });
  const adopted = others.filter(({ isSet }) => !isSet);
  const kept = others.filter(({ isSet }) => isSet);
  const list = (texts: readonly string[]): string => texts.join(', ');
  const differ = kept.length > 0 && {
    differ: { here: list(kept.map(({ here }) => here)), run: list(kept.map(({ shown }) => shown)) },
  };
  if (adopted.length === 0) return { checked, ...differ };
  err(terminal, `params as in the run of ${path}: ${list(adopted.map(({ shown }) => shown))}`);
  const all = { ...set, ...Object.fromEntries(adopted.map(({ name, run }) => [name, settingText(run)])) };
  return { checked: checkPlanFile(file, all, terminal.colour, only), ...differ };
}

/** A value as `--set` takes it, exactly; numbers in the unit that they are kept in. */
function settingText(value: Plan['params'][string]): string {
  if (typeof value !== 'number') return String(value);
  if (Number.isInteger(value)) return String(BigInt(value));
  const [, sign, first, rest = '', zeros] = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(String(value)) ?? [];
  return zeros === undefined ? String(value) : `${sign}0.${'0'.repeat(Number(zeros) - 1)}${first}${rest}`;
}
