import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import { openEngine } from '../../../runtime/engine/open.js';
import type { OpenEngineOptions } from '../../../runtime/engine/open.js';
import type { EngineStats, SamplingParams } from '../../../runtime/engine/types.js';
import { GREEDY } from '../../fixtures/greedy.js';

export interface Generated {
  readonly ids: number[];
  /** Logits behind each id, when captured. */
  readonly logits: Float32Array[];
}

export interface GenerateOptions {
  readonly maxNewTokens: number;
  readonly stopIds: readonly number[];
  readonly captureLogits?: boolean;
  readonly sampling?: (prompt: number) => SamplingParams;
  readonly engine?: Omit<OpenEngineOptions, 'modelDirectory'>;
}

/** Runs all prompts through one engine and returns what each produced, in prompt order. */
export async function generate(
  graph: RuntimeGraph,
  modelDirectory: string,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<{ readonly outputs: readonly Generated[]; readonly stats: EngineStats }> {
  const engine = await openEngine(graph, { ...options.engine, modelDirectory });
  try {
    const outputs = prompts.map((): Generated => ({ ids: [], logits: [] }));
    let finished = 0;
    prompts.forEach((promptIds, i) => {
      engine.submit({
        promptIds,
        maxNewTokens: options.maxNewTokens,
        stopIds: options.stopIds,
        sampling: options.sampling?.(i) ?? GREEDY,
        onToken: (token) => {
          outputs[i]!.ids.push(token.id);
          return false;
        },
        ...(options.captureLogits === true ? { onLogits: (row) => outputs[i]!.logits.push(row) } : {}),
        onFinish: () => finished++,
        onError: (error) => {
          throw error;
        },
      });
    });
    await engine.run();
    if (finished !== prompts.length) throw new Error(`${finished} of ${prompts.length} requests finished`);
    return { outputs, stats: engine.stats() };
  } finally {
    await engine.dispose();
  }
}

/** Largest absolute difference of two rows over the largest absolute value of the reference. */
export function relativeError(actual: Float32Array, expected: Float64Array): number {
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i]! - expected[i]!));
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return difference / scale;
}
