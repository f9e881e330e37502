import type { Link } from '../compiler/plan/plan.js';
import { arrayName, linkName } from '../compiler/reshard/roads.js';

/** `gpu <-> host, gpu to host`: a link and a way over it. Between ends that are alike both ways are the link's own. */
export function linkWay({
  link,
  from,
  to,
}: {
  readonly link: string;
  readonly from: string;
  readonly to: string;
}): string {
  return from === to ? link : `${link}, ${from} to ${to}`;
}

/** The two ways over a link, forth and back; both the same between ends that are alike. */
export function waysOver(link: Link): readonly [forth: string, back: string] {
  const [from, to] = [arrayName(link.from), arrayName(link.to)];
  const name = linkName(link);
  return [linkWay({ link: name, from, to }), linkWay({ link: name, from: to, to: from })];
}
