/**
 * Checks the tokens of a tokenizer.json before the tokenizer library makes tables of them: what it cannot use it reports
 * with errors of its own insides, two tokens with one id not at all, and a table goes up to the largest id, however large.
 */
import { RuntimeFailure } from '../failure.js';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The largest token id of a tokenizer.json; -1 without tokens. Fails with FC0914 for tokens that cannot be used. */
export function largestTokenId(origin: string, json: Json): number {
  const refuse = (what: string): never => {
    throw new RuntimeFailure('FC0914', `cannot use ${origin}: ${what}`, {
      subject: origin,
      help: 'fetch or convert the tokenizer again',
    });
  };
  const { model } = json;
  const added = json['added_tokens'] ?? [];
  if (!isObject(model)) return refuse('it has no `model`');
  const { vocab } = model;
  if (!isObject(vocab) && !Array.isArray(vocab)) return refuse('its `model` has no `vocab`');
  if (!Array.isArray(added)) return refuse('its `added_tokens` are no list');
  refuseMerges(model, refuse);
  let largest = -1;
  const take = (names: Map<number, string>, name: unknown, id: unknown, where: string): void => {
    if (typeof name !== 'string') return refuse(`${where} is no token`);
    if (!Number.isSafeInteger(id) || (id as number) < 0) {
      return refuse(`${where} has the id ${JSON.stringify(id)}, which is no whole number from 0`);
    }
    const other = names.get(id as number) ?? name;
    if (other !== name) {
      return refuse(
        `tokens ${JSON.stringify(other)} and ${JSON.stringify(name)} both have the id ${id as number}`,
      );
    }
    names.set(id as number, name);
    largest = Math.max(largest, id as number);
  };
  const own = new Map<number, string>();
  if (Array.isArray(vocab)) {
    // Ids are places in the list.
    vocab.forEach((entry: unknown, id) => {
      const [name, score] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
      take(own, typeof score === 'number' ? name : undefined, id, `entry ${id} of \`vocab\``);
    });
  } else {
    for (const [name, id] of Object.entries(vocab)) take(own, name, id, `token ${JSON.stringify(name)}`);
  }
  // An added token may take over the id of another in `vocab`, as that of a reserved one.
  const over = new Map<number, string>();
  added.forEach((token: unknown, i) => {
    const { content, id }: Json = isObject(token) ? token : {};
    take(over, content, id, `entry ${i} of \`added_tokens\``);
  });
  return largest;
}

/** Merges are pairs of tokens, or texts of two with a space between, and all of one kind. */
function refuseMerges(model: Json, refuse: (what: string) => never): void {
  const { merges, type } = model;
  if ((merges === undefined || merges === null) && type !== 'BPE') return;
  if (!Array.isArray(merges)) return refuse('its `model` is BPE and has no list of `merges`');
  const arePairs = Array.isArray(merges[0]);
  const isPair = (merge: unknown): boolean =>
    Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string');
  const isText = (merge: unknown): boolean => typeof merge === 'string' && merge.includes(' ');
  const wrong = merges.findIndex((merge) => !(arePairs ? isPair(merge) : isText(merge)));
  if (wrong < 0) return;
  const form = arePairs ? 'a pair of tokens as the first one is' : 'two tokens with a space between';
  refuse(`entry ${wrong} of \`merges\`, ${JSON.stringify(merges[wrong])}, is not ${form}`);
}
