/** Arguments of calls, which stand in their order or are named: `lognormal(deviation: 400 tokens, mean: 900 tokens)`. */
import type { CallExpr, Expr } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import { replacement } from './fixes.js';
import { at, choices, type Context } from './scope.js';

/**
 * The values of a call that takes exactly one for each of `names`, in that order; undefined after reporting what is
 * missing, too much or named otherwise. What is not named takes the places that are left.
 *
 * @param expected what they are, in words for a message
 */
export function argumentsOf(
  call: CallExpr,
  names: readonly string[],
  expected: string,
  cx: Context,
): readonly Expr[] | undefined {
  const what = `\`${call.callee.text}\``;
  const placed = new Map<string, Expr>();
  for (const { name, value } of call.args) {
    if (name === undefined) continue;
    const primary = at(cx, name);
    if (!names.includes(name.text)) {
      const near = choices(primary, name.text, names, 'arguments');
      const facts = { what: `an argument of ${what}`, value: name.text, known: names };
      cx.report(report('unknown-value', facts, { primary, ...near }));
      return undefined;
    }
    if (placed.has(name.text)) {
      const others = names.filter((each) => !call.args.some((arg) => arg.name?.text === each));
      const fixes = others.map((each) => replacement(primary, each));
      const facts = { property: name.text, block: `call of ${what}` };
      cx.report(report('duplicate-property', facts, { primary, fixes }));
      return undefined;
    }
    placed.set(name.text, value);
  }
  if (call.args.length !== names.length) {
    const facts = { what, expected, found: String(call.args.length) };
    cx.report(report('wrong-type', facts, { primary: at(cx, call) }));
    return undefined;
  }
  const left = names.filter((name) => !placed.has(name));
  const plain = call.args.filter(({ name }) => name === undefined);
  for (const [i, name] of left.entries()) placed.set(name, plain[i]!.value);
  return names.map((name) => placed.get(name)!);
}
