/** Two sets of figures side by side: as values, as a table, and as Markdown for a comment on a change. */
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRequestRate,
  formatSignedPercent,
  formatTable,
  indent,
} from '../format.js';
import { escapeMarkdown } from './escape-markdown.js';
import { FIGURE_GROUPS, type Figure, type FigureGroup, type Unit } from './figures.js';
import { pairOwners, type NamedFigure } from './pair-owners.js';
import { describeOtherRequests, describeWorkloads, type WorkloadPair } from './workload.js';

/** A figure of two plans. */
export interface Difference {
  readonly group: FigureGroup;
  readonly name: string;
  readonly unit: Unit;
  /** Absent where only the other plan has the figure. */
  readonly before?: number | string;
  readonly after?: number | string;
}

/** How the figures of two plans differ. */
export interface PlanDiff {
  /** `a.plan: reshard`. */
  readonly before: string;
  readonly after: string;
  /** What times are predicted for; absent where none are. */
  readonly workload?: WorkloadPair;
  /** Figures that differ. */
  readonly changes: readonly Difference[];
  /** Figures that do not differ and are not zero, but without which others would mislead (see `Figure.standing`). */
  readonly standing: readonly Difference[];
  /** How many figures do not differ. */
  readonly equal: number;
}

/** Names of plans that only one of two files has. */
export interface Unpaired {
  /** Only in the file before. */
  readonly gone: readonly string[];
  /** Only in the file after. */
  readonly new: readonly string[];
}

/** What changes from one plan to another. */
export function diffFigures(
  before: { readonly title: string; readonly figures: readonly Figure[] },
  after: { readonly title: string; readonly figures: readonly Figure[] },
  workload?: WorkloadPair,
): PlanDiff {
  const key = ({ group, name }: NamedFigure): string => `${group} ${name}`;
  const [old, now] = pairOwners(before.figures, after.figures).map(
    (figures) => new Map(figures.map((each) => [key(each), each])),
  );
  const all = new Map([...old!, ...now!]);
  const [changes, standing]: [Difference[], Difference[]] = [[], []];
  for (const [name, { group, name: own, unit, standing: stands }] of all) {
    const [was, is] = inOneUnit(old!.get(name), now!.get(name));
    const nothing = isNothing(was) && isNothing(is);
    const equal = was?.value === is?.value || nothing;
    if (equal && (nothing || !stands)) continue;
    (equal ? standing : changes).push({
      group,
      name: own,
      unit,
      ...(was && { before: was.value }),
      ...(is && { after: is.value }),
    });
  }
  return {
    before: before.title,
    after: after.title,
    ...(workload && { workload }),
    changes,
    standing,
    equal: all.size - changes.length,
  };
}

/** Sizes that are short in decimal units on one side and in binary ones on the other, in binary ones: else more may look less. */
function inOneUnit(
  was: Figure | undefined,
  is: Figure | undefined,
): readonly [Figure | undefined, Figure | undefined] {
  const [before, after] = [was?.bytes, is?.bytes];
  if (before === undefined || after === undefined || isBinary(was!) === isBinary(is!)) return [was, is];
  const texts = [before, after].map(formatBytes);
  const [old, now] = texts[0] === texts[1] ? [`${before} B`, `${after} B`] : texts;
  return [
    { ...was!, value: old! },
    { ...is!, value: now! },
  ];
}

const isBinary = ({ value }: Figure): boolean => String(value).endsWith('iB');

/** Whether a figure is absent or zero: both say the same. */
function isNothing(figure: Figure | undefined): boolean {
  return figure === undefined || figure.value === 0;
}

function shown(value: number | string | undefined, unit: Unit): string {
  if (value === undefined) return '-';
  if (typeof value === 'string') return value;
  switch (unit) {
    case 'bytes':
      return formatBytes(Math.round(value));
    case 'seconds':
      return formatDuration(value);
    case 'rate':
      return formatRequestRate(value);
    case 'count':
    case 'text':
      return formatCount(value);
  }
}

/** `+12%`, `-3.4%`, `+<0.1%`, `2.1x`; empty where nothing can be compared. */
function change({ before, after }: Difference): string {
  if (typeof before !== 'number' || typeof after !== 'number' || before === 0 || before === after) return '';
  const quotient = after / before;
  if (quotient >= 2) return `${quotient.toFixed(1)}x`;
  const more = quotient - 1;
  // Something did change, or it would not be in the list.
  if (Math.abs(more) < 0.0005) return `${more < 0 ? '-' : '+'}<0.1%`;
  return formatSignedPercent(more, Math.abs(more) < 0.0995 ? 1 : 0);
}

function rowsOf(diff: PlanDiff, group: FigureGroup): readonly (readonly string[])[] {
  return [...diff.changes, ...diff.standing]
    .filter((each) => each.group === group)
    .map((each) => [each.name, shown(each.before, each.unit), shown(each.after, each.unit), change(each)]);
}

const RIGHT = [false, true, true, true];

/** What times are predicted for, and what that means where it is not the same on both sides. */
function workloadLines({ workload }: PlanDiff): readonly string[] {
  if (workload === undefined) return [];
  const other = describeOtherRequests(workload);
  return [describeWorkloads(workload), ...(other === undefined ? [] : [other])];
}

/** The differences as text for a terminal. */
export function describeDiff(diff: PlanDiff): string {
  const groups = FIGURE_GROUPS.map((group) => [group, rowsOf(diff, group)] as const).filter(
    ([, rows]) => rows.length > 0,
  );
  const heading = [`${diff.before} -> ${diff.after}`, ...workloadLines(diff).map((line) => `  ${line}`)].join(
    '\n',
  );
  const equal = equalFigures(diff);
  if (groups.length === 0) return `${heading}\n  ${equal}`;
  // One table for all, so that its columns stand below each other.
  const lines = formatTable(
    groups.flatMap(([group, rows]) => [[group], ...rows.map(([name, ...rest]) => [`  ${name}`, ...rest])]),
    RIGHT,
  );
  return `${heading}\n${indent(lines)}\n  ${equal}`;
}

function equalFigures({ changes, equal }: PlanDiff): string {
  const count = formatCount(equal);
  return changes.length === 0 ? `no difference in ${count} figures` : `${count} figures do not change`;
}

/** The differences in Markdown, for a comment: a table for each group of figures. */
export function markdownDiff(diff: PlanDiff): string {
  const [workload, other] = workloadLines(diff).map(escapeMarkdown);
  const heading = [
    `### ${escapeMarkdown(diff.before)} → ${escapeMarkdown(diff.after)}`,
    ...(workload === undefined ? [] : [workload]),
    ...(other === undefined ? [] : [`**${other}**`]),
  ].join('\n\n');
  const tables = FIGURE_GROUPS.flatMap((group) => {
    const rows = rowsOf(diff, group);
    if (rows.length === 0) return [];
    return [
      [
        `| ${group} | before | after | change |`,
        '| --- | ---: | ---: | ---: |',
        ...rows.map((row) => `| ${row.map(escapeMarkdown).join(' | ')} |`),
      ].join('\n'),
    ];
  });
  const equal = equalFigures(diff);
  return [heading, ...tables, `${equal.charAt(0).toUpperCase()}${equal.slice(1)}.`].join('\n\n');
}

/** A paragraph of a line for each plan that has nothing to be compared with; none where there is no such plan. */
export function describeUnpaired({ gone, new: added }: Unpaired): readonly string[] {
  const lines = [
    ...gone.map((name) => `plan ${name} is gone`),
    ...added.map((name) => `plan ${name} is new`),
  ];
  return lines.length === 0 ? [] : [lines.join('\n')];
}

/** As `describeUnpaired`, as a list in Markdown. */
export function markdownUnpaired(unpaired: Unpaired): readonly string[] {
  return describeUnpaired(unpaired).map((lines) => escapeMarkdown(lines).replace(/^/gm, '- '));
}
