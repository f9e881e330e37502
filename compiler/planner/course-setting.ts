import type { KvView } from '../model/kv-window.js';
import type { HostTimes } from './bounded-plan.js';
import type { SequencesInOrder } from './decode-rounds.js';

/** What a course goes by, beside the stage that it is of. */
export interface CourseSetting {
  /** KV pages of a replica. */
  readonly room: number;
  /** In order of arrival. */
  readonly sequences: SequencesInOrder;
  readonly kv: Pick<KvView, 'pageTokens'>;
  readonly overhead: HostTimes;
  /** Pages come and go beside kernels. */
  readonly copyEngines: boolean;
}
