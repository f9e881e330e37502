/** Which layers attend to a window only: the rules of the families, and how `config.json` writes them. */
import type { ConfigReader } from './config-reader.js';
import type { ModelFamily } from './families.js';
import type { SlidingAttention } from './shape.js';

/**
 * - `never`:            `sliding_window` means nothing
 * - `always`:           every layer slides
 * - `upper when asked`: with `use_sliding_window`, layers from `max_window_layers` on
 * - `every other`:      the first layer, the third, ...
 * - `five of six`:      all but every sixth (`sliding_window_pattern` may say another number)
 */
export type SlidingRule = 'never' | 'always' | 'upper when asked' | 'every other' | 'five of six';

/** Layers from this one on slide in a file that asks for sliding and does not say. */
const MAX_WINDOW_LAYERS = 28;

/** The layers of a model that slide, where nothing is said but its window. */
export function slidingLayers(rule: SlidingRule, layers: number, pattern = 6): readonly number[] {
  const all = Array.from({ length: layers }, (_, layer) => layer);
  switch (rule) {
    case 'never':
      return [];
    case 'always':
    case 'upper when asked':
      return all;
    case 'every other':
      return all.filter((layer) => layer % 2 === 0);
    case 'five of six':
      return all.filter((layer) => (layer + 1) % pattern !== 0);
  }
}

/** Sliding attention with no difference to full attention left out. */
export function slidingAttention(
  window: number | undefined,
  layers: readonly number[],
  context: number,
  localTheta: number | undefined,
): SlidingAttention | undefined {
  if (window === undefined || layers.length === 0) return undefined;
  if (window >= context && localTheta === undefined) return undefined;
  return {
    window: Math.min(window, context),
    layers,
    ...(localTheta !== undefined && { ropeTheta: localTheta }),
  };
}

/** Reads the window and the layers it is for; `layer_types` wins over the rule. `refuse` is told of unknown types. */
export function readSliding(
  config: ConfigReader,
  { sliding: rule, defaults }: ModelFamily,
  layers: number | undefined,
  context: number | undefined,
  localTheta: number | undefined,
  refuse: (feature: string) => void,
): SlidingAttention | undefined {
  const types = config.list('layer_types');
  const strange = types.find((type) => type !== 'sliding_attention' && type !== 'full_attention');
  if (strange !== undefined) refuse(`layers of type ${JSON.stringify(strange)} (\`layer_types\`)`);
  if (types.length > 0 && layers !== undefined && types.length !== layers)
    refuse(`\`layer_types\` of ${types.length} layers in a model of ${layers}`);
  const listed = types.flatMap((type, layer) => (type === 'sliding_attention' ? [layer] : []));
  if (rule === 'never') {
    if (listed.length > 0) refuse('sliding-window attention (`layer_types`)');
    return undefined;
  }
  if (rule === 'upper when asked' && !config.flag('use_sliding_window', false)) {
    if (listed.length > 0) refuse('`layer_types` that slide without `use_sliding_window`');
    return undefined;
  }
  const silent = !config.mentions('sliding_window');
  if (!config.has('sliding_window') && !(silent && defaults.window !== undefined)) {
    if (listed.length > 0) refuse('`layer_types` that slide without a `sliding_window`');
    return undefined;
  }
  const window = config.count('sliding_window', defaults.window);
  const pattern = config.count('sliding_window_pattern', config.count('_sliding_window_pattern', 6));
  const first = rule === 'upper when asked' ? config.size('max_window_layers', MAX_WINDOW_LAYERS) : 0;
  if (window === undefined || pattern === undefined || first === undefined) return undefined;
  if (layers === undefined || context === undefined) return undefined;
  const ruled = slidingLayers(rule, layers, pattern).filter((layer) => layer >= first);
  return slidingAttention(window, types.length > 0 ? listed : ruled, context, localTheta);
}
