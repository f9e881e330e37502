/**
 * What two plans call devices, tiers and links, where they call them otherwise: they are compared by where they stand, so
 * that no change hides behind a new name.
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
  const names = pairs.map(([was, is]) =>
    [was, ...was.others].map((part, nth) => {
      const like = nth === 0 ? is : is.others[nth - 1]!;
      const whole = part.kind === 'way' ? was.name : part.name;
      const name = like.name === part.name ? part.name : `${like.name} (${whole} before)`;
      return { was: keyOf(part), is: keyOf(like), name };
    }),
  );
  const [oldNames, newNames] = (['was', 'is'] as const).map(
    (side) => new Map(names.flat().map((each) => [each[side], each.name])),
  );
  const alone = (owner: ConstantOwner): boolean =>
    ![old, now].every((owners) => owners.has(keyOf(owner))) && !pairs.some((pair) => pair.includes(owner));
  return [named(before, oldNames!, alone), named(after, newNames!, alone)];
}

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
