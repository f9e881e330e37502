/** What an engine is made of. All parts live from its opening to its disposal. */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { TransitionMode } from '../scheduler/types.js';
import type { Tracer } from '../trace/tracer.js';
import type { OpenSequences } from './open-sequences.js';
import type { Prepared } from './prepare.js';
import type { Tally } from './tally.js';

/** What carrying out an action takes; the scheduler, which gives them out, is none of it. */
export interface EngineParts {
  readonly graph: RuntimeGraph;
  readonly prepared: Prepared;
  readonly sequences: OpenSequences;
  readonly tally: Tally;
  readonly transitions: TransitionMode;
  readonly tracer: Tracer;
}
