/** From a line of a plan file to what it caused, and from an op back to the line that caused it. */
import { resolve } from 'node:path';
import type { CompiledPlan } from '../../compiler/check-and-compile.js';
import { causesOf, findCaused, type Caused } from '../../compiler/provenance.js';
import { lineMap } from '../../grammar/line-map.js';
import { plural } from '../format.js';
import { placeName, type RenderOptions } from '../render-diagnostics.js';

/** The file that is asked about, and its compiled plans. */
export interface AskedFile {
  readonly file: string;
  readonly compiled: readonly CompiledPlan[];
  readonly render: RenderOptions;
}

/** What something in a plan file caused in one plan, each with the place that caused it. */
export interface PlanCauses {
  readonly plan: string;
  readonly caused: readonly (Omit<Caused, 'origin'> & { readonly place: string })[];
}

/** What has its origin on a line (counted from 1), plan by plan; plans without any are left out. */
export function causedByLine({ file, compiled, render }: AskedFile, line: number): readonly PlanCauses[] {
  const path = resolve(file);
  const lines = lineMap(render.textOf(path) ?? '');
  return gather(compiled, render, ({ plan, result }) =>
    causesOf(plan, result).filter(
      ({ origin }) => origin.file === path && lines.position(origin.span.start).line === line,
    ),
  );
}

/** The op with an id, with the place that caused it, plan by plan; plans without it are left out. */
export function causesOfOp({ compiled, render }: AskedFile, id: string): readonly PlanCauses[] {
  return gather(compiled, render, ({ plan, result }) => {
    const found = findCaused(plan, result, id);
    return found === undefined ? [] : [found];
  });
}

function gather(
  compiled: readonly CompiledPlan[],
  render: RenderOptions,
  causes: (plan: CompiledPlan) => readonly Caused[],
): readonly PlanCauses[] {
  return compiled.flatMap((each) => {
    const caused = causes(each).map(({ origin, ...rest }) => ({ ...rest, place: placeName(origin, render) }));
    return caused.length === 0 ? [] : [{ plan: each.plan.name, caused }];
  });
}

const HEADINGS: Readonly<Record<Caused['kind'], string>> = {
  layout: 'split weight',
  collective: 'inserted op',
  send: 'send',
  kernel: 'kernel',
  buffer: 'allocation',
  move: 'move',
};

/** Several lines: what was caused by kind, each with its id. */
export function describeCaused({ plan, caused }: PlanCauses): string {
  const kinds = [...new Set(caused.map(({ kind }) => kind))];
  return [
    `plan ${plan}`,
    ...kinds.flatMap((kind) => {
      const each = caused.filter((one) => one.kind === kind);
      return [
        `  ${plural(each.length, HEADINGS[kind])}`,
        ...each.flatMap(({ id, text, reason, place }) => [
          `    ${id}  ${text}`,
          `      ${place}${reason === undefined ? '' : `: ${reason}`}`,
        ]),
      ];
    }),
  ].join('\n');
}
