/** What `fulcrum run` refuses about earlier results, before it opens a device. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { loadGraph } from '../../cli/load-graph.js';
import { batchIdentity, requestDigest } from '../../runtime/jobs/batch-identity.js';
import { encodeHeader, encodeRecord, type ProcessMark } from '../../runtime/jobs/journal-format.js';
import { runInProcess } from './run-program.js';

// Nobody waits here for a process to end.
vi.mock('node:timers/promises', () => ({ setTimeout: () => Promise.resolve() }));

const PLAN = 'plans/clerk.plan';
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-cli-resume-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const requests = join(scratch, 'requests.jsonl');
const results = join(scratch, 'results.jsonl');

const quiet = (): undefined => undefined;
const QUIET = { writeOut: quiet, writeErr: quiet, colour: false, interactive: false, columns: 80 };

/** The files of a run with plan `single` that was stopped after its first request, or that `owner` is at. */
function cutShort(owner?: ProcessMark): void {
  writeFileSync(requests, '{"custom_id": "a"}\n');
  writeFileSync(results, '{}\n');
  const loaded = loadGraph(PLAN, { plan: 'single' }, QUIET);
  if (loaded.kind === 'failed') throw new Error('the plan does not compile');
  const entry = {
    line: 1,
    request: requestDigest('{"custom_id": "a"}'),
    end: 3,
    crc: crc32('{}\n'),
    promptTokens: 1,
    completionTokens: 1,
  };
  writeFileSync(
    `${results}.journal`,
    encodeHeader(batchIdentity({ graph: loaded.graph, requestsPath: requests })) +
      encodeRecord({ finished: [entry] }) +
      (owner === undefined ? '' : encodeRecord({ run: owner })),
  );
}

const run = (plan: string, ...more: string[]) =>
  runInProcess('run', PLAN, '--plan', plan, '--requests', requests, '--out', results, ...more);

describe('fulcrum run over earlier results', () => {
  it('refuses to replace those of a run that was cut short, and names both ways out', async () => {
    cutShort();
    const refused = await run('single');
    expect(refused.status).toBe(3);
    expect(refused.err).toMatch(/error\[FC0930\].*1 finished result [^]*help: .*--resume.*--overwrite/);
    expect(readFileSync(results, 'utf8')).toBe('{}\n');
  });

  it('refuses to resume with another plan or other requests, and names what differs', async () => {
    cutShort();
    const otherPlan = await run('reshard', '--resume');
    expect(otherPlan.status).toBe(3);
    expect(otherPlan.err).toMatch(
      /FC0931[^]*\n {2}stages: prefill\+decode dp 1 pp 1 tp 1 in the journal, prefill dp 1 pp 4 tp 1, decode dp 1 pp 1 tp 4 now\n/,
    );
    expect(otherPlan.err).not.toMatch(/requests:|weights:/);
    writeFileSync(requests, '{"custom_id": "b"}\n\n');
    const otherRequests = await run('single', '--resume');
    expect(otherRequests.err).toMatch(
      /FC0931[^]*\n {2}requests: 19 bytes, .* in the journal, 20 bytes, .* now\n/,
    );
    expect(otherRequests.err).not.toMatch('stages:');
  });

  it('opens no device where every request is answered', async () => {
    cutShort();
    const again = await run('single', '--resume', '--json');
    expect(again.err).not.toMatch('loading weights');
    expect(again.status).toBe(0);
    expect(JSON.parse(again.out)).toMatchObject({
      requests: { read: 1, answered: 1, resumed: 1, unfinished: 0 },
      stats: { steps: { prefill: 0, decode: 0 }, peakMemory: {} },
    });
    expect(readFileSync(results, 'utf8')).toBe('{}\n');
    const text = await run('single', '--resume');
    expect([text.status, text.err]).toEqual([0, expect.stringContaining('1 result of an earlier run kept')]);
  });

  it('leaves what an earlier run reported where every request is answered', async () => {
    cutShort();
    const [trace, metrics] = [join(scratch, 't.json'), join(scratch, 'm.prom')];
    for (const path of [trace, metrics]) writeFileSync(path, 'of the earlier run');
    for (const options of [[], ['--limit', '1']]) {
      const again = await run('single', '--resume', '--trace', trace, '--metrics', metrics, ...options);
      expect(again.status).toBe(0);
      for (const path of [trace, metrics]) {
        expect(again.err).toContain(`nothing is left to do; ${path} stays as it is\n`);
        expect(readFileSync(path, 'utf8')).toBe('of the earlier run');
      }
    }
    rmSync(trace);
    const without = await run('single', '--resume', '--trace', trace);
    expect(without.err).toContain(`nothing is left to do; ${trace} is not written\n`);
    expect(existsSync(trace)).toBe(false);
  });

  it('opens no device where as many requests as are asked for are answered', async () => {
    cutShort();
    writeFileSync(requests, '{"custom_id": "a"}\n{"custom_id": "b"}\n');
    const loaded = loadGraph(PLAN, { plan: 'single' }, QUIET);
    if (loaded.kind === 'failed') throw new Error('the plan does not compile');
    const [, ...records] = readFileSync(`${results}.journal`, 'utf8').split('\n');
    const header = encodeHeader(batchIdentity({ graph: loaded.graph, requestsPath: requests }));
    writeFileSync(`${results}.journal`, header + records.join('\n'));
    const trace = join(scratch, 't.json');
    const again = await run('single', '--resume', '--limit', '1', '--trace', trace, '--json');
    expect(again.err).not.toMatch('loading weights');
    expect(again.status).toBe(0);
    expect(JSON.parse(again.out)).toMatchObject({
      requests: { read: 1, answered: 1, resumed: 1 },
      stats: { peakMemory: {} },
    });
    expect(existsSync(trace)).toBe(false);
  });

  it('refuses to resume with another model, and names its files that differ', async () => {
    cutShort();
    const other = join(scratch, 'model');
    cpSync('plans/models/clerk', other, { recursive: true });
    const weights = join(other, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(weights, bytes);
    const refused = await run('single', '--resume', '--model', other);
    expect(refused.status).toBe(3);
    expect(refused.err).toMatch(/FC0931[^]*\n {2}weights: sha256 .* in the journal, sha256 .* now\n/);
    expect(refused.err).not.toMatch(/config:|tokenizer:|stages:/);
    expect(readFileSync(results, 'utf8')).toBe('{}\n');
  });

  it('refuses results that another process is writing, whatever is asked for', async () => {
    cutShort({ pid: process.ppid, host: hostname() });
    for (const options of [[], ['--resume'], ['--overwrite']]) {
      const refused = await run('single', ...options);
      expect(refused.status).toBe(3);
      expect(refused.err).toMatch(new RegExp(`FC0933.*process ${process.ppid} is writing`));
    }
    expect(readFileSync(results, 'utf8')).toBe('{}\n');
  });

  it('takes --resume or --overwrite, and a --limit from 1', async () => {
    expect((await run('single', '--resume', '--overwrite')).status).toBe(2);
    expect((await run('single', '--limit', '0')).status).toBe(2);
    expect((await run('single', '--limit', 'few')).status).toBe(2);
  });
});
