/**
 * One pipeline stage of a sharded stage to a draft program: blocks one after the other, a receive before and a send
 * after them, residual additions fused with the norms that follow.
 */
import type { ShardedBlock, ShardedStage } from '../ir/sharded.js';
import type { ModelShape } from '../model/shape.js';
import { segmentBlocks } from './block-weights.js';
import { fuseNorms } from './fuse-norms.js';
import { once } from '../once.js';
import { blockFacts, lowerBlock, type BlockFacts } from './lower-block.js';
import { createProgramBuilder, type DraftProgram, type WrittenLayer } from './program-builder.js';

export interface LoweringContext {
  readonly shape: ModelShape;
  readonly pageTokens: number;
  readonly kvDtype: 'f32' | 'f16' | 'bf16';
}

/**
 * Lowers pipeline stage `pp`; the program serves all its tp ranks and replicas.
 *
 * @param factsOf blocks of the stage, each looked at once for all programs
 */
export function lowerProgram(
  stage: ShardedStage,
  pp: number,
  context: LoweringContext,
  factsOf: (block: ShardedBlock) => BlockFacts = factsOfBlocks(stage),
): DraftProgram {
  const builder = createProgramBuilder();
  const segment = stage.segments.find((candidate) => candidate.pp === pp)!;
  const { origin } = segment;
  let current: number | undefined;
  if (!segment.embed) {
    const hidden = stage.embed.values.find((value) => value.id === stage.embed.output)!;
    const cols = hidden.type.dims.find((dim) => dim.name === 'hidden')!.size!;
    current = builder.value('x', 'tokens', cols);
    builder.emit({ op: 'recv', fromPp: pp - 1, value: current, origin });
  }
  const written: { readonly facts: BlockFacts; readonly as: WrittenLayer }[] = [];
  for (const { block, layer } of segmentBlocks(stage, pp)) {
    const facts = factsOf(block);
    const like = written.find(
      (each) => each.facts === facts && areAlike(facts, each.as.layer, layer, context),
    );
    if (like !== undefined) {
      current = builder.repeat(like.as, layer, current!);
      continue;
    }
    const [from, input] = [builder.here(), current];
    current = lowerBlock(builder, facts, layer, input, context);
    if (layer >= 0)
      written.push({ facts, as: { layer, from, to: builder.here(), input: input!, output: current! } });
  }
  if (segment.sendsTo !== undefined) {
    builder.emit({ op: 'send', toPp: segment.sendsTo, value: current!, origin });
  }
  const draft = builder.finish();
  return { ...draft, ops: fuseNorms(draft.ops) };
}

/** Whether two layers of a block differ in their number alone. */
function areAlike({ weights }: BlockFacts, a: number, b: number, { shape }: LoweringContext): boolean {
  const typed = [...weights.values()].every(({ value }) => value.stored === undefined);
  const slides = (layer: number): boolean => shape.sliding?.layers.includes(layer) === true;
  return typed && slides(a) === slides(b);
}

/** Answers what is the same for all layers of a block of a stage. Blocks are looked at once. */
export function factsOfBlocks({ mesh, kvReplicas }: ShardedStage): (block: ShardedBlock) => BlockFacts {
  const layout = { tp: mesh.tp, kvReplicas };
  return once((block: ShardedBlock) => blockFacts(block, layout));
}
