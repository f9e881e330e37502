/** Model declarations: a source with a `config.json`, or a shape written in the plan. */
import type { Expr, ModelDecl } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Origin } from '../diagnostics/diagnostic.js';
import { shapeFromConfig, type ConfigProblem } from '../model/config.js';
import type { DType, ModelShape, ModelSpec } from '../model/shape.js';
import type { DefaultTaken } from '../plan/plan.js';
import { readBlock, type Values } from './properties.js';
import { count, oneOf, quantity, text, truth, type Reader } from './readers.js';
import { at, type Context } from './scope.js';

export interface CheckedModel {
  readonly spec: ModelSpec;
  /** Where a dimension's size comes from: `from config.json of "./m"` or a property of the declaration. */
  readonly provenance: (property: string) => { readonly note: string; readonly origin?: Origin };
  readonly defaults: readonly DefaultTaken[];
}

type Source =
  { readonly kind: 'path'; readonly path: string } | { readonly kind: 'random'; readonly seed: number };

const seed = quantity('number', { whole: true, min: 0, max: 2 ** 32 - 1 });

const source: Reader<Source> = (expr: Expr, cx, what) => {
  if (expr.kind === 'call' && expr.callee.text === 'random') {
    const only = expr.args[0];
    if (!only || expr.args.length > 1) {
      cx.report(
        report(
          'wrong-type',
          { what: '`random`', expected: 'one seed, as in `random(7)`', found: `${expr.args.length} values` },
          { primary: at(cx, expr) },
        ),
      );
      return undefined;
    }
    const value = seed(only.value, cx, 'the seed');
    return value === undefined ? undefined : { kind: 'random', seed: value };
  }
  const path = text(expr, cx, what);
  return path === undefined ? undefined : { kind: 'path', path };
};

/** Weights that this version holds in device memory; the quantised ones are refused by name. */
const WEIGHTS = ['f32', 'f16', 'bf16', 'int8', 'int4'] as const;

/** Element type of weights; types of the language that cannot run yet are reported. */
export const weightsType: Reader<DType> = (expr, cx, what) => {
  const type = oneOf(WEIGHTS)(expr, cx, what);
  if (type !== 'int8' && type !== 'int4') return type;
  cx.report(
    report(
      'not-supported',
      { feature: `\`weights: ${type}\`` },
      { primary: at(cx, expr), helps: ['f32, f16 and bf16 are'] },
    ),
  );
  return undefined;
};

const SHAPE = {
  family: { read: oneOf(['llama', 'mistral', 'qwen2', 'qwen3']) },
  layers: { read: count },
  hidden: { read: count },
  heads: { read: count },
  kv_heads: { read: count },
  head_dim: { read: count },
  ffn: { read: count },
  vocab: { read: count },
  context: { read: quantity('tokens', { whole: true, min: 1 }) },
  norm_eps: { read: quantity('number') },
  rope_theta: { read: quantity('number') },
  tied: { read: truth },
};

const TABLE = { source: { read: source }, weights: { read: weightsType }, ...SHAPE };

/** The model of a declaration, or undefined after reporting why there is none. */
export function checkModel(decl: ModelDecl, cx: Context): CheckedModel | undefined {
  const values = readBlock(cx, TABLE, decl.members, 'model', decl.name);
  const from = values.get('source');
  if (values.failed) return undefined;
  if (from?.kind === 'path') return fromSource(decl, cx, values, from.path);
  return fromShape(decl, cx, values, from?.seed);
}

function fromSource(
  decl: ModelDecl,
  cx: Context,
  values: Values<typeof TABLE>,
  path: string,
): CheckedModel | undefined {
  const primary = values.origin('source') ?? at(cx, decl.name);
  const stated = (Object.keys(SHAPE) as (keyof typeof SHAPE)[]).find((p) => values.origin(p) !== undefined);
  if (stated !== undefined) {
    cx.report(
      report(
        'bad-shape',
        { problem: `\`${stated}\` is given, but the shape of this model comes from its source` },
        {
          primary: values.origin(stated)!,
          related: [{ ...primary, label: 'the shape comes from here' }],
          helps: [`remove \`${stated}\`, or remove \`source\` and declare the whole shape`],
        },
      ),
    );
    return undefined;
  }
  const answer = cx.host.readModelConfig(cx.scope.path, path);
  if (answer.kind === 'missing') {
    cx.report(
      report(
        'model-unreadable',
        { source: path, why: answer.why },
        { primary, helps: answer.help === undefined ? [] : [answer.help] },
      ),
    );
    return undefined;
  }
  const read = shapeFromConfig(answer.json);
  if (read.kind === 'problems') {
    for (const problem of read.problems) reportConfig(problem, answer.path, primary, cx);
    return undefined;
  }
  const weights = values.get('weights') ?? read.dtype ?? 'f32';
  return {
    spec: { name: decl.name.text, source: path, sourceBase: cx.scope.path, shape: read.shape, weights },
    provenance: () => ({ note: `from config.json of "${path}"`, origin: primary }),
    defaults: values.origin('weights')
      ? []
      : [
          {
            what: 'weights',
            value: weights,
            why: read.dtype
              ? 'the element type that config.json names'
              : 'config.json names no element type that is known',
          },
        ],
  };
}

function reportConfig(problem: ConfigProblem, path: string, primary: Origin, cx: Context): void {
  switch (problem.kind) {
    case 'architecture':
      cx.report(
        report(
          'unsupported-architecture',
          { architecture: problem.architecture, known: problem.known },
          { primary },
        ),
      );
      return;
    case 'feature':
      cx.report(report('unsupported-feature', { feature: problem.feature, path }, { primary }));
      return;
    case 'field':
      cx.report(report('bad-model-config', { path, problem: problem.problem }, { primary }));
  }
}

/** Properties without which a shape is none. */
const REQUIRED = ['layers', 'hidden', 'heads', 'ffn', 'vocab', 'context'] as const;

function fromShape(
  decl: ModelDecl,
  cx: Context,
  values: Values<typeof TABLE>,
  randomSeed: number | undefined,
): CheckedModel | undefined {
  const missing = REQUIRED.filter((property) => values.get(property) === undefined);
  for (const property of missing)
    cx.report(
      report(
        'missing-property',
        { property, block: 'model', name: decl.name.text },
        {
          primary: at(cx, decl.name),
          helps: ['a model needs a `source`, or layers, hidden, heads, ffn, vocab and context'],
        },
      ),
    );
  if (missing.length > 0) return undefined;
  const family = values.get('family') ?? 'llama';
  const [hidden, heads] = [values.get('hidden')!, values.get('heads')!];
  const kvHeads = values.get('kv_heads') ?? heads;
  const headDim = values.get('head_dim') ?? (family === 'qwen3' ? 128 : hidden / heads);
  const problem =
    heads % kvHeads !== 0
      ? {
          text: `\`heads\` (${heads}) is no multiple of \`kv_heads\` (${kvHeads})`,
          where: 'kv_heads' as const,
        }
      : !Number.isInteger(headDim)
        ? {
            text: `\`hidden\` (${hidden}) cannot be divided by \`heads\` (${heads})`,
            where: 'heads' as const,
          }
        : headDim % 2 !== 0
          ? {
              text: `\`head_dim\` (${headDim}) is odd; rotary embeddings need pairs`,
              where: 'head_dim' as const,
            }
          : undefined;
  if (problem) {
    cx.report(
      report(
        'bad-shape',
        { problem: problem.text },
        {
          primary: values.origin(problem.where) ?? values.origin('heads')!,
          helps: problem.where === 'heads' ? ['or give `head_dim`'] : [],
        },
      ),
    );
    return undefined;
  }
  const weights = values.get('weights') ?? 'f16';
  const shape: ModelShape = {
    family,
    layers: values.get('layers')!,
    hidden,
    heads,
    kvHeads,
    headDim,
    ffn: values.get('ffn')!,
    vocab: values.get('vocab')!,
    context: values.get('context')!,
    normEps: values.get('norm_eps') ?? 1e-5,
    ropeTheta: values.get('rope_theta') ?? 10_000,
    tied: values.get('tied') ?? false,
    qkvBias: family === 'qwen2',
    outputBias: false,
    mlpBias: false,
    qkNorm: family === 'qwen3',
  };
  const took = (what: keyof typeof TABLE, value: string, why: string): DefaultTaken[] =>
    values.origin(what) ? [] : [{ what, value, why }];
  return {
    spec: { name: decl.name.text, shape, weights, ...(randomSeed !== undefined && { randomSeed }) },
    provenance: (property) => {
      const origin = values.origin(property as keyof typeof TABLE);
      return { note: `of model \`${decl.name.text}\``, ...(origin && { origin }) };
    },
    defaults: [
      ...took('family', family, 'the most common family'),
      ...took('kv_heads', String(kvHeads), 'every head has keys and values of its own'),
      ...took('head_dim', String(headDim), family === 'qwen3' ? 'as in all Qwen3 models' : 'hidden / heads'),
      ...took('weights', weights, 'as most models are stored'),
      ...took('norm_eps', String(shape.normEps), 'as in Llama'),
      ...took('rope_theta', String(shape.ropeTheta), 'as in Llama'),
      ...took('tied', String(shape.tied), 'embedding and output projection are separate tables'),
    ],
  };
}
