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
