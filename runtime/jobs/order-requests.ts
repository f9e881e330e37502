/**
 * The order in which the requests of a block are submitted: those with a common prompt prefix next to each other, so
 * that its KV is there when the next one wants it, and long ones first, so that a batch does not end with one request
 * that everything waits for.
 *
 * The prompts form a tree: requests that share whole units of tokens from some point on are a family, which may hold
 * smaller families that share more. A family stands together, as long as its longest member; families and single
 * requests are ordered by length, longest first, requests of equal length as they came.
 *
 * Fairness: only requests of one block change places, so a request is overtaken by at most the others of its block.
 */
export interface OrderedRequest {
  readonly promptIds: readonly number[];
  readonly maxNewTokens: number;
}

/** Tokens of a shared prefix worth standing together for, and the steps in which prefixes are compared. */
const UNIT = 16;

/** A family or a single request: positions in the block, in order, and the longest length among them. */
interface Unit {
  readonly positions: readonly number[];
  readonly longest: number;
}

/** The same requests in the order that helps. Depends on nothing but the requests and their order. */
export function orderToHelp<T extends OrderedRequest>(requests: readonly T[]): T[] {
  const everything = familyOf(requests, [...requests.keys()], 0);
  return everything.positions.map((position) => requests[position]!);
}

/** The requests at `positions`, which agree in their first `shared` tokens, as one unit. */
function familyOf(requests: readonly OrderedRequest[], positions: readonly number[], shared: number): Unit {
  const branches = new Map<string, number[]>();
  for (const position of positions) {
    const { promptIds } = requests[position]!;
    // A prompt that ends within the next unit shares it with none.
    const isWhole = promptIds.length >= shared + UNIT;
    const key = isWhole ? promptIds.slice(shared, shared + UNIT).join() : `ends ${position}`;
    const branch = branches.get(key);
    if (branch === undefined) branches.set(key, [position]);
    else branch.push(position);
  }
  const units = [...branches.values()].map((branch): Unit => {
    if (branch.length > 1) return familyOf(requests, branch, sharedUnits(requests, branch, shared + UNIT));
    const { promptIds, maxNewTokens } = requests[branch[0]!]!;
    return { positions: branch, longest: promptIds.length + maxNewTokens };
  });
  // Sorting keeps the order of equals, and branches are in the order of their first members.
  units.sort((a, b) => b.longest - a.longest);
  return { positions: units.flatMap((unit) => unit.positions), longest: units[0]?.longest ?? 0 };
}

/** How many tokens, in whole units from `from`, all of them agree in. */
function sharedUnits(
  requests: readonly OrderedRequest[],
  positions: readonly number[],
  from: number,
): number {
  const first = requests[positions[0]!]!.promptIds;
  let shared = first.length;
  for (const position of positions) {
    const { promptIds } = requests[position]!;
    let at = from;
    while (at < shared && promptIds[at] === first[at]) at++;
    shared = Math.min(shared, at);
  }
  return from + Math.floor((shared - from) / UNIT) * UNIT;
}
