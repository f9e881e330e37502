/** A source that provokes a diagnostic. */
import type { Slug } from '../../../compiler/diagnostics/catalogue.js';

export interface Case {
  readonly slug: Slug;
  readonly source: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly plan?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly models?: Readonly<Record<string, unknown>>;
  /** Found only when the plans are compiled. */
  readonly compiled?: boolean;
  /** Part of the message, a help or a note that must be there. */
  readonly says?: string;
}
