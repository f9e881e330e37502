import { formatCount, plural } from './format.js';

/**
 * How many prompt tokens were found and where; undefined where prompts have nothing in common.
 *
 * @param all what the tokens found are some of
 */
export function describeReuse(
  promptTokens: number,
  { device, host, disk }: { readonly device: number; readonly host: number; readonly disk: number },
  copiedPages: number,
  all: string,
): string | undefined {
  const reused = device + host + disk;
  if (reused === 0) return undefined;
  const places = [
    `${formatCount(device)} on the devices`,
    ...(host > 0 ? [`${formatCount(host)} in the host tier`] : []),
    ...(disk > 0 ? [`${formatCount(disk)} on disk`] : []),
  ];
  const share = ((100 * reused) / promptTokens).toFixed(1);
  const copies = copiedPages > 0 ? `; ${plural(copiedPages, 'page')} copied` : '';
  return `${formatCount(reused)} of ${all} found (${share}%): ${places.join(', ')}${copies}`;
}
