/** Workload declarations: a count of requests with lengths, or a file of lengths. */
import type { WorkloadDecl } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import { typicalLength, type Length, type Workload } from '../plan/workload.js';
import { argumentsOf } from './arguments.js';
import { removal } from './fixes.js';
import { missingProperty, readBlock } from './properties.js';
import { filledText, quantity, type Reader } from './readers.js';
import { at, suggestions, type Context } from './scope.js';

const tokens = quantity('tokens', { whole: true, min: 1 });
const spread = quantity('tokens', { min: 0 });

interface Distribution {
  readonly names: readonly [string, string];
  /** Of the second argument, given the first one. */
  readonly second: (first: number) => Reader<number>;
  readonly make: (a: number, b: number) => Length;
}

/** Distributions by name, each with its two arguments, the first of which is a length. */
const DISTRIBUTIONS: Readonly<Record<string, Distribution>> = {
  uniform: {
    names: ['least', 'most'],
    second: (low) => quantity('tokens', { whole: true, min: low }),
    make: (low, high) => ({ kind: 'uniform', low, high }),
  },
  normal: {
    names: ['mean', 'deviation'],
    second: () => spread,
    make: (mean, deviation) => ({ kind: 'normal', mean, deviation }),
  },
  lognormal: {
    names: ['mean', 'deviation'],
    second: () => spread,
    make: (mean, deviation) => ({ kind: 'lognormal', mean, deviation }),
  },
};

const length: Reader<Length> = (expr, cx, what) => {
  if (expr.kind !== 'call') {
    const fixed = tokens(expr, cx, what);
    return fixed === undefined ? undefined : { kind: 'fixed', tokens: fixed };
  }
  const name = expr.callee.text;
  const distribution = Object.hasOwn(DISTRIBUTIONS, name) ? DISTRIBUTIONS[name] : undefined;
  if (!distribution) {
    const primary = at(cx, expr.callee);
    const known = Object.keys(DISTRIBUTIONS);
    cx.report(
      report(
        'unknown-value',
        { what, value: name, known },
        { primary, ...suggestions(primary, name, known, 'distributions') },
      ),
    );
    return undefined;
  }
  const [first, second] = argumentsOf(expr, distribution.names, 'two lengths', cx) ?? [];
  if (first === undefined || second === undefined) return undefined;
  const a = tokens(first, cx, what);
  const b = distribution.second(a ?? 1)(second, cx, what);
  return a === undefined || b === undefined ? undefined : distribution.make(a, b);
};

/** Each is an object in memory for as long as a simulation lasts. */
const MOST_REQUESTS = 1_000_000;

const count = quantity('requests', { whole: true, min: 1, max: MOST_REQUESTS });

const file = filledText('the name of a file, such as `"lengths.jsonl"`');

const requests: Reader<number | string> = (expr, cx, what) =>
  (expr.kind === 'string' ? file : count)(expr, cx, what);

/** Properties of a workload. */
export const WORKLOAD_TABLE = {
  requests: { read: requests, required: true },
  prompt: { read: length },
  output: { read: length },
  prefix: { read: tokens },
};

/** What a line of a file says in place of a property. */
const IN_LINES: Readonly<Record<string, string>> = {
  prompt: '"prompt_tokens": 120',
  output: '"output_tokens": 30',
  prefix: '"prefix_tokens": 100',
};

/** Reports the lengths that stand beside a file of lengths, which would count for nothing. */
function refuseLengths(decl: WorkloadDecl, cx: Context): void {
  for (const member of decl.members) {
    if (member.kind !== 'property' || !Object.hasOwn(IN_LINES, member.name.text)) continue;
    const property = member.name.text;
    cx.report(
      report(
        'unknown-property',
        { property, block: 'workload of a file' },
        {
          primary: at(cx, member.name),
          helps: [`the lines of the file say it, as in \`{${IN_LINES[property]}}\``],
          fixes: [removal(cx, member.span, `\`${property}\``)],
        },
      ),
    );
  }
}

/** The workload of a declaration, or undefined after reporting why there is none. */
export function checkWorkload(decl: WorkloadDecl, cx: Context): Workload | undefined {
  const values = readBlock(cx, WORKLOAD_TABLE, decl.members, 'workload', decl.name);
  const asked = values.get('requests');
  if (asked === undefined) return undefined;
  const head = { name: decl.name.text, origin: at(cx, decl.name) };
  if (typeof asked === 'string') {
    refuseLengths(decl, cx);
    return {
      ...head,
      requests: {
        kind: 'file',
        path: asked,
        base: cx.scope.path,
        origin: values.origin('requests')!,
      },
    };
  }
  const [prompt, output] = [values.get('prompt'), values.get('output')];
  for (const property of ['prompt', 'output'] as const)
    if (!values.origin(property))
      cx.report(
        report(
          'missing-property',
          { property, block: 'workload', name: decl.name.text },
          {
            primary: at(cx, decl.name),
            helps: ['or name a file of lengths: `requests: "lengths.jsonl"`'],
            fixes: missingProperty(cx, decl.name, 'workload', property),
          },
        ),
      );
  if (!prompt || !output) return undefined;
  const prefix = values.get('prefix');
  const longest = typicalLength(prompt);
  if (prefix !== undefined && prefix > longest)
    cx.report(
      report(
        'prefix-exceeds-prompt',
        { workload: decl.name.text, prefix, prompt: longest },
        { primary: values.origin('prefix')!, helps: ['`prompt` counts the tokens of `prefix` too'] },
      ),
    );
  return {
    ...head,
    requests: { kind: 'drawn', count: asked, prompt, output, ...(prefix !== undefined && { prefix }) },
  };
}
