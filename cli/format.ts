/** Figures for people. */

export { formatBinaryBytes as formatBytes } from '../compiler/check/units.js';

/** `12,345`. By hand: the first number that `Intl` formats takes longer than to check most plans. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replaceAll(/(?<=\d)(?=(?:\d{3})+$)/g, ',');
}

/** `1.2 s`, `3 min 05 s`, `14 h 08 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const [whole, minutes] = [Math.round(seconds), Math.round(seconds / 60)];
  const [large, small, units] =
    whole < 3600 ? [whole, whole % 60, ['min', 's']] : [minutes, minutes % 60, ['h', 'min']];
  return `${formatCount(Math.floor(large / 60))} ${units[0]} ${String(small).padStart(2, '0')} ${units[1]}`;
}

/** Three digits of any time: `310 us`, `4.20 ms`, `12.3 s`, `3 min 05 s`. */
export function formatDuration(seconds: number): string {
  // What three digits make of it decides on the unit: 0.9996 is 1.00 s, and not 1000 ms.
  const rounded = Number(seconds.toPrecision(3));
  if (rounded >= 60) return formatSeconds(seconds);
  if (rounded === 0) return '0 s';
  const [unit, size] = rounded >= 1 ? ['s', 1] : rounded >= 1e-3 ? ['ms', 1e-3] : ['us', 1e-6];
  return `${(rounded / Number(size)).toPrecision(3)} ${unit}`;
}

/** Three digits of requests per second, all of them from a thousand on: `0.0123`, `4.82`, `4,820`. */
export function formatRequestRate(perSecond: number): string {
  return perSecond >= 999.5 ? formatCount(perSecond) : perSecond.toPrecision(3);
}

/** Tokens per second; `-` when nothing was measured. */
export function formatRate(tokens: number, seconds: number): string {
  return seconds > 0 ? `${formatCount(tokens / seconds)} tokens/s` : '-';
}

/** `+12%`, `-3.4%`; without a sign where it rounds to nothing. */
export function formatSignedPercent(fraction: number, digits: number): string {
  const rounded = Number((100 * fraction).toFixed(digits));
  return `${rounded > 0 ? '+' : ''}${(rounded || 0).toFixed(digits)}%`;
}

/** `1 error`, `2 errors`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** A text two columns further in; lines with nothing in them stay empty. */
export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

/** Lines of columns, each as wide as its widest cell; all but the first are right-aligned where `right` says so. */
export function formatTable(rows: readonly (readonly string[])[], right: readonly boolean[] = []): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
