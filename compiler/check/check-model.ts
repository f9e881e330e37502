/** Model declarations: a source with a `config.json`, or a shape written in the plan (`declared-shape.ts`). */
import type { Expr, ModelDecl } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Origin } from '../diagnostics/diagnostic.js';
import { shapeFromConfig, type ConfigProblem } from '../model/config.js';
import type { ModelSpec } from '../model/shape.js';
import { storedTypes } from '../model/stored-types.js';
import { PLAN_WEIGHT_TYPES, type WeightType } from '../model/weight-types.js';
import type { DefaultTaken } from '../plan/plan.js';
import { argumentsOf } from './arguments.js';
import { declaredShape, SHAPE, type ShapeProperty } from './declared-shape.js';
import { removal } from './fixes.js';
import { ownProperties, readBlock, type Values } from './properties.js';
import { oneOf, quantity, text, type Reader } from './readers.js';
import { at, suggestions, type Context } from './scope.js';

export interface CheckedModel {
  readonly spec: ModelSpec;
  /**
   * Where a dimension's size comes from: `from config.json of "./m"`, the metadata of a GGUF file, or a property of the
   * declaration.
   */
  readonly provenance: (property: string) => { readonly note: string; readonly origin?: Origin };
  readonly defaults: readonly DefaultTaken[];
}

type Source =
  { readonly kind: 'path'; readonly path: string } | { readonly kind: 'random'; readonly seed: number };

const seed = quantity('number', { whole: true, min: 0, max: 2 ** 32 - 1 });

const source: Reader<Source> = (expr: Expr, cx, what) => {
  if (expr.kind === 'call' && expr.callee.text === 'random') {
    const [only] = argumentsOf(expr, ['seed'], 'one seed, as in `random(7)`', cx) ?? [];
    if (only === undefined) return undefined;
    const value = seed(only, cx, 'the seed');
    return value === undefined ? undefined : { kind: 'random', seed: value };
  }
  const path = text(expr, cx, what);
  return path === undefined ? undefined : { kind: 'path', path };
};

/** Element type of weights. */
export const weightsType: Reader<WeightType> = oneOf<WeightType>(PLAN_WEIGHT_TYPES);

/** Properties of a model. */
export const MODEL_TABLE = { source: { read: source }, weights: { read: weightsType }, ...SHAPE };

/** The model of a declaration, or undefined after reporting why there is none. */
export function checkModel(decl: ModelDecl, cx: Context): CheckedModel | undefined {
  const values = readBlock(cx, MODEL_TABLE, decl.members, 'model', decl.name);
  const from = values.get('source');
  if (values.failed) return undefined;
  if (from?.kind === 'path') return fromSource(decl, cx, values, from.path);
  return fromShape(decl, cx, values, from?.seed);
}

function fromSource(
  decl: ModelDecl,
  cx: Context,
  values: Values<typeof MODEL_TABLE>,
  path: string,
): CheckedModel | undefined {
  const primary = values.origin('source') ?? at(cx, decl.name);
  // The context may be narrowed.
  const stated = (Object.keys(SHAPE) as ShapeProperty[]).find(
    (property) => property !== 'context' && values.origin(property) !== undefined,
  );
  if (stated !== undefined) {
    cx.report(
      report(
        'bad-shape',
        { problem: `\`${stated}\` is given, but the shape of this model comes from its source` },
        {
          primary: values.origin(stated)!,
          related: [{ ...primary, label: 'the shape comes from here' }],
          helps: [`remove \`${stated}\`, or remove \`source\` and declare the whole shape`],
          fixes: ownProperties(cx, decl.members)
            .filter(({ property }) => property.name.text === stated)
            .map(({ property }) => removal(cx, property.span, `\`${stated}\``)),
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
  const read = shapeFromConfig(answer.json, values.get('context'));
  if (read.kind === 'problems') {
    for (const problem of read.problems) reportConfig(problem, answer.path, primary, cx);
    return undefined;
  }
  const stored = values.origin('weights') ? undefined : storedTypes(answer.json, read.shape);
  const weights = values.get('weights') ?? stored?.smallest ?? read.dtype ?? 'f32';
  const config = answer.inMetadata ? 'the metadata' : 'config.json';
  return {
    spec: {
      name: decl.name.text,
      source: path,
      sourceBase: cx.scope.path,
      shape: read.shape,
      weights,
      ...(stored && { stored: stored.types }),
      origin: primary,
    },
    provenance: () => ({ note: `from ${config} of "${path}"`, origin: primary }),
    defaults: values.origin('weights')
      ? []
      : [
          {
            what: 'weights',
            value: stored?.shown ?? weights,
            why: stored
              ? 'blocks of the file are kept as they are'
              : read.dtype
                ? `the element type that ${config} names`
                : `${config} names no element type that is known`,
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
          {
            primary,
            helps: suggestions(primary, problem.architecture, problem.known, 'architectures').helps,
          },
        ),
      );
      return;
    case 'feature':
      cx.report(
        report(
          'unsupported-feature',
          { feature: problem.feature, path },
          { primary, helps: ['to plan without it, declare the shape in place of `source`'] },
        ),
      );
      return;
    case 'field':
      cx.report(
        report(
          'bad-model-config',
          { path, problem: problem.problem },
          { primary, helps: ['mend the file; to plan without it, declare the shape in place of `source`'] },
        ),
      );
  }
}

/** A model by its shape alone; runnable where a seed is given. */
function fromShape(
  decl: ModelDecl,
  cx: Context,
  values: Values<typeof MODEL_TABLE>,
  randomSeed: number | undefined,
): CheckedModel | undefined {
  const declared = declaredShape(decl, cx, values);
  if (!declared) return undefined;
  const weights = values.get('weights') ?? 'f16';
  return {
    spec: {
      name: decl.name.text,
      shape: declared.shape,
      weights,
      ...(randomSeed !== undefined && { randomSeed }),
      origin: at(cx, decl.name),
    },
    provenance: (property) => {
      const origin = values.origin(property as keyof typeof MODEL_TABLE);
      return { note: `of model \`${decl.name.text}\``, ...(origin && { origin }) };
    },
    defaults: [
      ...declared.defaults,
      ...(values.origin('weights')
        ? []
        : [{ what: 'weights', value: weights, why: 'as most models are stored' }]),
    ],
  };
}
