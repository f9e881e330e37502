/** The shape of a model that a plan declares property by property; what it leaves out is as in its family. */
import type { ModelDecl } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import { familyNamed, foreignTo, MODEL_FAMILIES, type ModelFamily } from '../model/families.js';
import { MAX_CONTEXT, MAX_LAYERS, MAX_SIZE, type ModelShape } from '../model/shape.js';
import { slidingAttention, slidingLayers } from '../model/sliding.js';
import type { DefaultTaken } from '../plan/plan.js';
import { divisors } from './plan/mesh.js';
import { missingProperty, type Values } from './properties.js';
import { oneOf, quantity, truth } from './readers.js';
import { at, type Context } from './scope.js';

const size = quantity('number', { whole: true, min: 1, max: MAX_SIZE });
const length = quantity('tokens', { whole: true, min: 1, max: MAX_CONTEXT });

/** Properties that make up a shape. */
export const SHAPE = {
  family: { read: oneOf(MODEL_FAMILIES.map((family) => family.name)) },
  layers: { read: quantity('number', { whole: true, min: 1, max: MAX_LAYERS }) },
  hidden: { read: size },
  heads: { read: size },
  kv_heads: { read: size },
  head_dim: { read: size },
  ffn: { read: size },
  vocab: { read: size },
  context: { read: length },
  norm_eps: { read: quantity('number') },
  rope_theta: { read: quantity('number') },
  window: { read: length },
  attention_softcap: { read: quantity('number') },
  logit_softcap: { read: quantity('number') },
  tied: { read: truth },
};

export type ShapeProperty = keyof typeof SHAPE;

type ShapeValues = Values<typeof SHAPE>;

/** Properties without which a shape is none. */
const REQUIRED = ['layers', 'hidden', 'heads', 'ffn', 'vocab', 'context'] as const;

/** The shape, and what was filled in; undefined after reporting why there is none. */
export function declaredShape(
  decl: ModelDecl,
  cx: Context,
  values: ShapeValues,
): { readonly shape: ModelShape; readonly defaults: readonly DefaultTaken[] } | undefined {
  const missing = REQUIRED.filter((property) => values.get(property) === undefined);
  for (const property of missing)
    cx.report(
      report(
        'missing-property',
        { property, block: 'model', name: decl.name.text },
        {
          primary: at(cx, decl.name),
          helps: ['a model needs a `source`, or layers, hidden, heads, ffn, vocab and context'],
          fixes: missingProperty(cx, decl.name, 'model', property),
        },
      ),
    );
  if (missing.length > 0) return undefined;
  const family = familyNamed(values.get('family') ?? 'llama')!;
  const heads = values.get('heads')!;
  const kvHeads = values.get('kv_heads') ?? heads;
  const headDim = values.get('head_dim') ?? family.defaults.headDim ?? values.get('hidden')! / heads;
  if (!sound(cx, values, family, kvHeads, headDim)) return undefined;
  const shape = shapeOf(values, family, kvHeads, headDim);
  return { shape, defaults: defaultsTaken(values, family, shape) };
}

/** Whether the numbers fit together and the family has what is given; reports otherwise. */
function sound(
  cx: Context,
  values: ShapeValues,
  family: ModelFamily,
  kvHeads: number,
  headDim: number,
): boolean {
  const [hidden, heads] = [values.get('hidden')!, values.get('heads')!];
  const foreign = foreignTo(family).find((property) => values.origin(property) !== undefined);
  const problem =
    heads % kvHeads !== 0
      ? {
          text: `\`heads\` (${heads}) is no multiple of \`kv_heads\` (${kvHeads})`,
          where: 'kv_heads' as const,
          help: `\`kv_heads\` may be ${divisors(heads).slice(0, 12).join(', ')}`,
        }
      : !Number.isInteger(headDim)
        ? {
            text: `\`hidden\` (${hidden}) cannot be divided by \`heads\` (${heads})`,
            where: 'heads' as const,
            help: 'or give `head_dim`',
          }
        : headDim % 2 !== 0
          ? {
              text: `\`head_dim\` (${headDim}) is odd; rotary embeddings need pairs`,
              where: 'head_dim' as const,
              help: 'give an even `head_dim`',
            }
          : foreign !== undefined
            ? {
                text: `models of family ${family.name} have no \`${foreign}\``,
                where: foreign,
                help: `take \`${foreign}\` out, or name the \`family\` that has it`,
              }
            : undefined;
  if (!problem) return true;
  cx.report(
    report(
      'bad-shape',
      { problem: problem.text },
      {
        primary: values.origin(problem.where) ?? values.origin('heads')!,
        helps: [problem.help],
      },
    ),
  );
  return false;
}

function shapeOf(values: ShapeValues, family: ModelFamily, kvHeads: number, headDim: number): ModelShape {
  const { defaults, sliding: rule } = family;
  const [layers, context] = [values.get('layers')!, values.get('context')!];
  const window = values.get('window') ?? (rule === 'never' ? undefined : defaults.window);
  const sliding = slidingAttention(window, slidingLayers(rule, layers), context, defaults.localTheta);
  const attentionSoftcap = values.get('attention_softcap') ?? defaults.attentionSoftcap;
  const logitSoftcap = values.get('logit_softcap') ?? defaults.logitSoftcap;
  return {
    family: family.name,
    layers,
    hidden: values.get('hidden')!,
    heads: values.get('heads')!,
    kvHeads,
    headDim,
    ffn: values.get('ffn')!,
    vocab: values.get('vocab')!,
    context,
    normEps: values.get('norm_eps') ?? (family.parts.unitNorms ? defaults.normEps : 1e-5),
    ropeTheta: values.get('rope_theta') ?? defaults.theta,
    tied: values.get('tied') ?? defaults.tied,
    qkvBias: family.qkvBias === true,
    outputBias: family.outputBias === true,
    mlpBias: family.mlpBias === true,
    qkNorm: family.qkNorm,
    ...family.parts,
    ...(sliding && { sliding }),
    ...(attentionSoftcap !== undefined && { attentionSoftcap }),
    ...(logitSoftcap !== undefined && { logitSoftcap }),
  };
}

function defaultsTaken(values: ShapeValues, family: ModelFamily, shape: ModelShape): readonly DefaultTaken[] {
  const { defaults } = family;
  const usual = `as in the family ${family.name}`;
  const llama = family.name === 'llama' ? 'as in Llama' : usual;
  const took = (what: ShapeProperty, value: string | undefined, why: string): DefaultTaken[] =>
    values.origin(what) || value === undefined ? [] : [{ what, value, why }];
  return [
    ...took('family', shape.family, 'the most common family'),
    ...took('kv_heads', String(shape.kvHeads), 'every head has keys and values of its own'),
    ...took('head_dim', String(shape.headDim), defaults.headDim === undefined ? 'hidden / heads' : usual),
    ...took('norm_eps', String(shape.normEps), family.parts.unitNorms ? usual : 'as in Llama'),
    ...took('rope_theta', String(shape.ropeTheta), llama),
    ...took('window', shape.sliding && `${shape.sliding.window} tokens`, usual),
    ...took('attention_softcap', shape.attentionSoftcap?.toString(), usual),
    ...took('logit_softcap', shape.logitSoftcap?.toString(), usual),
    ...took(
      'tied',
      String(shape.tied),
      shape.tied
        ? `${usual}: embedding and output projection share a table`
        : 'embedding and output projection are separate tables',
    ),
  ];
}
