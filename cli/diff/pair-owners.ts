/**
 * What two plans call devices, tiers and links, where they call them otherwise: they are compared by where they stand, and
 * tiers of KV by their kind, so that no change hides behind a new name.
 */
import { groupBy } from '../../compiler/group-by.js';
import type { Called, ConstantOwner, Figure, FigureName } from './figures.js';

/** A figure as it is compared: what both plans have is called the same on both sides. */
export interface NamedFigure extends Figure {
  readonly name: string;
}

/**
 * Names figures so that those to be compared are called the same on both sides. The constants of what one side alone has
 * are one figure that says what it is.
 */
export function pairOwners(
  before: readonly Figure[],
  after: readonly Figure[],
): readonly [before: readonly NamedFigure[], after: readonly NamedFigure[]] {
  const [old, now] = [ownersOf(before), ownersOf(after)];
  const pairs = renamed(lacking(old, now), lacking(now, old));
  const names = [
    ...pairs.flatMap(([was, is]) =>
      [was, ...was.others].map((part, nth) => shared(part, nth === 0 ? is : is.others[nth - 1]!, was.name)),
    ),
    ...kvTierPairs(before, after).map(([was, is]) => shared(was, is, was.name)),
  ];
  const [oldNames, newNames] = (['was', 'is'] as const).map(
    (side) => new Map(names.map((each) => [each[side], each.name])),
  );
  const alone = (owner: ConstantOwner): boolean =>
    ![old, now].every((owners) => owners.has(keyOf(owner))) && !pairs.some((pair) => pair.includes(owner));
  return [named(before, oldNames!, alone), named(after, newNames!, alone)];
}

/** What both sides call a part of names, by the key that it has on each; `whole` is what says what it was before. */
function shared(was: Called, is: Called, whole: string): Readonly<Record<'was' | 'is' | 'name', string>> {
  const name = is.name === was.name ? was.name : `${is.name} (${whole} before)`;
  return { was: keyOf(was), is: keyOf(is), name };
}

/** The tiers of KV of one kind: those of other groups may have other names, or the same. */
function kvTierPairs(
  before: readonly Figure[],
  after: readonly Figure[],
): readonly (readonly [was: Called, is: Called])[] {
  const [old, now] = [kvTiers(before), kvTiers(after)];
  return [...old].flatMap(([kind, was]) => (now.has(kind) ? [[was, now.get(kind)!] as const] : []));
}

const kvTiers = (figures: readonly Figure[]): ReadonlyMap<Called['kind'], Called> =>
  new Map(
    figures
      .flatMap(({ name }) => name)
      .flatMap((part) =>
        typeof part !== 'string' && (part.kind === 'host tier' || part.kind === 'disk tier')
          ? [[part.kind, part] as const]
          : [],
      ),
  );

const keyOf = ({ kind, name }: Called): string => `${kind} ${name}`;

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

/**
 * @param names of what the other side calls otherwise, by `keyOf`
 * @param alone whether the other side has no such owner
 */
function named(
  figures: readonly Figure[],
  names: ReadonlyMap<string, string>,
  alone: (owner: ConstantOwner) => boolean,
): readonly NamedFigure[] {
  const told = new Set<string>();
  return figures.flatMap((figure): readonly NamedFigure[] => {
    const { owner } = figure;
    if (owner === undefined || !alone(owner)) return [{ ...figure, name: nameOf(figure.name, names) }];
    const key = keyOf(owner);
    if (told.has(key)) return [];
    told.add(key);
    return [{ ...figure, name: key, value: owner.summary }];
  });
}

function nameOf(name: FigureName, names: ReadonlyMap<string, string>): string {
  if (typeof name === 'string') return name;
  return name
    .map((part) => (typeof part === 'string' ? part : (names.get(keyOf(part)) ?? part.name)))
    .join('');
}
