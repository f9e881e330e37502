/**
 * Constants of devices, tiers and links that are called otherwise in one of two plans: compared by where they stand, so
 * that no change of them hides behind a new name.
 */
import { groupBy } from '../../compiler/group-by.js';
import type { ConstantOwner, Figure } from './figures.js';

/**
 * Names constants so that those to be compared are called the same on both sides. An owner that one side alone has is
 * one figure that says what it is.
 */
export function pairOwners(
  before: readonly Figure[],
  after: readonly Figure[],
): readonly [before: readonly Figure[], after: readonly Figure[]] {
  const [old, now] = [ownersOf(before), ownersOf(after)];
  const shared = [...old.keys()].filter((key) => now.has(key));
  const same = shared.map((key) => [key, old.get(key)!.name] as const);
  const pairs = renamed(lacking(old, now), lacking(now, old)).map(
    ([was, is]) => [keyOf(was), keyOf(is), `${is.name} (${was.name} before)`] as const,
  );
  return [
    named(before, new Map([...same, ...pairs.map(([was, , name]) => [was, name] as const)])),
    named(after, new Map([...same, ...pairs.map(([, is, name]) => [is, name] as const)])),
  ];
}

const keyOf = ({ kind, name }: ConstantOwner): string => `${kind} ${name}`;

function ownersOf(figures: readonly Figure[]): ReadonlyMap<string, ConstantOwner> {
  return new Map(figures.flatMap(({ owner }) => (owner ? [[keyOf(owner), owner]] : [])));
}

function lacking(
  owners: ReadonlyMap<string, ConstantOwner>,
  others: ReadonlyMap<string, ConstantOwner>,
): readonly ConstantOwner[] {
  return [...owners].flatMap(([key, owner]) => (others.has(key) ? [] : [owner]));
}

/** Owners that stand at one place: of several there nobody knows which became which. */
function renamed(
  gone: readonly ConstantOwner[],
  added: readonly ConstantOwner[],
): readonly (readonly [was: ConstantOwner, is: ConstantOwner])[] {
  const [lost, found] = [gone, added].map((owners) =>
    groupBy(owners, ({ kind, place }) => `${kind} ${place}`),
  );
  return [...lost!].flatMap(([place, were]) => {
    const are = found!.get(place) ?? [];
    return were.length === 1 && are.length === 1 ? [[were[0]!, are[0]!] as const] : [];
  });
}

/** @param names of owners; those of one side alone have none */
function named(figures: readonly Figure[], names: ReadonlyMap<string, string>): readonly Figure[] {
  const told = new Set<string>();
  return figures.flatMap((figure): readonly Figure[] => {
    const { owner } = figure;
    if (owner === undefined) return [figure];
    const key = keyOf(owner);
    const name = names.get(key);
    if (name !== undefined) return [{ ...figure, name: `${name}: ${figure.name}` }];
    if (told.has(key)) return [];
    told.add(key);
    return [{ ...figure, name: key, value: owner.summary }];
  });
}
