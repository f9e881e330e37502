/**
 * The journal of a batch as bytes: which requests have a result on disk, and what batch they belong to. It lies beside
 * the results, is only ever appended to, and can be read by eye.
 *
 * One record per line: eight hex digits of CRC-32 over the rest, a space, a JSON object. The first is the header; then
 * come, in the order in which they happened,
 *
 * - `run`: a process took the batch up;
 * - `finished`: results that are on disk, those of one commit in one record. Results lie in the results file in this
 *   order without gaps, so the last `end` says how much of that file counts;
 * - `ended`: that process let go of the batch, having answered all of it or not.
 *
 * Invariant: a record is written only when the one before it is on disk. So a crash can damage the last record and no
 * other: a damaged last record never happened, any other damage is a fault of the disk or of somebody's editor.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';

const FORMAT = 'fulcrum-journal';
const VERSION = 1;

/** What the answers of a batch depend on, by a name for people (`requests`, `weights`); values only compare. */
export type BatchIdentity = Readonly<Record<string, string>>;

const processSchema = z.object({ pid: z.int(), host: z.string(), started: z.string().optional() });

/** A process of some machine; `started` tells it from a later one with the same number, where that is known. */
export type ProcessMark = Readonly<z.infer<typeof processSchema>>;

/** The process that a JSON text names; undefined where it names none. */
export function parseProcessMark(text: string): ProcessMark | undefined {
  try {
    return processSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

const finishedSchema = z.object({
  line: z.int().min(1),
  request: z.string(),
  end: z.int().min(1),
  crc: z.int().min(0),
  promptTokens: z.int().min(0),
  completionTokens: z.int().min(0),
  error: z.string().optional(),
  room: z.int().min(1).optional(),
});

/**
 * A request whose result is on disk. `line`: of the request file, from 1. `request`: digest of that line. `end`: offset
 * behind its line in the results file. `crc`: CRC-32 of that line, its line end included. `error`: code, when it has
 * no answer. `room`: tokens that a sequence could have, where the plan's KV pools held too few for the whole answer, or
 * for the request at all.
 */
export type FinishedRequest = Readonly<z.infer<typeof finishedSchema>>;

const recordSchema = z.union([
  z.strictObject({ run: processSchema }),
  z.strictObject({ finished: z.array(finishedSchema).min(1) }),
  z.strictObject({ ended: z.object({ complete: z.boolean() }) }),
]);

export type JournalRecord = Readonly<z.infer<typeof recordSchema>>;

const headerSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  batch: z.record(z.string(), z.string()),
});

export interface Journal {
  readonly batch: BatchIdentity;
  readonly finished: readonly FinishedRequest[];
  /** Bytes of the results file that count. */
  readonly resultBytes: number;
  /** Who took the batch up last and has not let go of it. */
  readonly owner?: ProcessMark;
  /** The last run answered everything it was asked to. */
  readonly complete: boolean;
  /** Bytes of the journal that are whole records. */
  readonly bytes: number;
}

export type ParsedJournal =
  { readonly journal: Journal; readonly problem?: undefined } | { readonly problem: string };

export function encodeHeader(batch: BatchIdentity): string {
  return encode({ format: FORMAT, version: VERSION, batch });
}

export function encodeRecord(record: JournalRecord): string {
  return encode(record);
}

function encode(value: object): string {
  const json = JSON.stringify(value);
  return `${checksum(json)} ${json}\n`;
}

function checksum(text: string | Uint8Array): string {
  return crc32(text).toString(16).padStart(8, '0');
}

const LINE_BREAK = 0x0a;
const CHECKSUM_DIGITS = 8;

/** Reads a journal. A damaged last record is left out; anything else that is wrong is named in plain words. */
export function parseJournal(bytes: Uint8Array): ParsedJournal {
  const first = recordAt(bytes, 0);
  if (first === undefined) return { problem: 'it does not begin with the header of a journal' };
  const header = headerSchema.safeParse(first.value);
  if (!header.success) return { problem: headerProblem(first.value) };
  const finished: FinishedRequest[] = [];
  const lines = new Set<number>();
  let owner: ProcessMark | undefined;
  let complete = false;
  let at = first.next;
  while (at < bytes.length) {
    const found = recordAt(bytes, at);
    if (found === undefined) {
      if (isLastLine(bytes, at)) break;
      return { problem: `it is damaged at byte ${at}` };
    }
    const parsed = recordSchema.safeParse(found.value);
    if (!parsed.success) return { problem: `the record at byte ${at} is none that this version knows` };
    const record = parsed.data;
    if ('run' in record) {
      owner = record.run;
      complete = false;
    } else if ('ended' in record) {
      owner = undefined;
      complete = record.ended.complete;
    } else {
      for (const request of record.finished) {
        const isNext = request.end > (finished.at(-1)?.end ?? 0) && !lines.has(request.line);
        if (!isNext) return { problem: `the record at byte ${at} contradicts those before it` };
        lines.add(request.line);
        finished.push(request);
      }
    }
    at = found.next;
  }
  return {
    journal: {
      batch: header.data.batch,
      finished,
      resultBytes: finished.at(-1)?.end ?? 0,
      ...(owner === undefined ? {} : { owner }),
      complete,
      bytes: at,
    },
  };
}

/** The value of a whole, undamaged line and where the next one begins. */
function recordAt(bytes: Uint8Array, at: number): { value: unknown; next: number } | undefined {
  const end = bytes.indexOf(LINE_BREAK, at);
  if (end < 0) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at);
  const json = text.subarray(CHECKSUM_DIGITS + 1);
  if (text.toString('latin1', 0, CHECKSUM_DIGITS + 1) !== `${checksum(json)} `) return undefined;
  try {
    return { value: JSON.parse(json.toString('utf8')), next: end + 1 };
  } catch {
    return undefined;
  }
}

function isLastLine(bytes: Uint8Array, at: number): boolean {
  const end = bytes.indexOf(LINE_BREAK, at);
  return end < 0 || end === bytes.length - 1;
}

function headerProblem(value: unknown): string {
  const { format, version } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (format !== FORMAT) return 'it does not begin with the header of a journal';
  return `it is of version ${JSON.stringify(version)}, this Fulcrum reads version ${VERSION}`;
}

/** What two batches differ in: names with both values; `absent` where one has none. */
export function identityDifferences(
  before: BatchIdentity,
  now: BatchIdentity,
): readonly { readonly name: string; readonly before: string; readonly now: string }[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((name) => before[name] !== now[name])
    .map((name) => ({ name, before: before[name] ?? 'absent', now: now[name] ?? 'absent' }));
}
