/** A function of one value that is computed once for each. */
export function once<Key, Value>(compute: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined && !known.has(key)) known.set(key, (value = compute(key)));
    return value as Value;
  };
}

/** The same of an object, for as long as there is one: of which many come and go. */
export function onceForObject<Key extends object, Value extends object>(
  compute: (key: Key) => Value,
): (key: Key) => Value {
  const known = new WeakMap<Key, Value>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) known.set(key, (value = compute(key)));
    return value;
  };
}

/** A function of two numbers that is computed once for each pair. */
export function onceForBoth<Found>(
  compute: (first: number, second: number) => Found,
): (first: number, second: number) => Found {
  const bySecond = once((second: number) => once((first: number) => compute(first, second)));
  return (first, second) => bySecond(second)(first);
}
