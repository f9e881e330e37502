/** `fulcrum graph` end to end. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runInProcess } from '../run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-graph-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Draws a plan of the demo's file; the file that was written. */
async function draw(name: string, ...options: readonly string[]): Promise<string> {
  const file = join(folder, name);
  const run = await runInProcess('graph', 'plans/clerk.plan', '--plan', 'reshard', ...options, '--out', file);
  expect(run).toMatchObject({ status: 0, out: '', err: expect.stringContaining(`wrote ${file}`) as string });
  return readFileSync(file, 'utf8');
}

describe('graph', () => {
  it('takes the format from the ending of the file', async () => {
    expect(await draw('x.svg')).toMatch(/^<svg /);
    expect(await draw('x.dot')).toMatch(/^digraph /);
    expect(await draw('x.mmd')).toMatch(/\nflowchart LR\n/);
    expect(await draw('x.HTML')).toMatch(/^<!doctype html>/);
    expect(await draw('x.txt', '--format', 'dot')).toMatch(/^digraph /);
  });

  it('draws the level that is asked for, the topology else, and all on a page', async () => {
    const transitions = await draw('y.svg', '--level', 'transitions');
    for (const text of ['reshard: clerk on workstation', 'prefill (pp: 4)', 'decode (tp: 4)', 'uploaded'])
      expect(transitions).toContain(text);
    expect(await draw('y.svg')).toContain('gpu &lt;-&gt; host');
    expect((await draw('y.html')).match(/<section class="card"/g)).toHaveLength(4);
    expect((await draw('y.html', '--level', 'flow')).match(/<section class="card"/g)).toHaveLength(1);
  });

  it('writes to standard output where that is asked for, once the format is', async () => {
    const args = ['graph', 'plans/clerk.plan', '--plan', 'reshard', '--level', 'flow', '--out', '-'];
    const run = await runInProcess(...args, '--format', 'dot');
    expect(run).toEqual({ status: 0, out: await draw('out.dot', '--level', 'flow'), err: '' });
    expect(existsSync('-')).toBe(false);
    const without = await runInProcess(...args);
    expect(without).toMatchObject({ status: 2, out: '' });
    expect(without.err).toContain('standard output has no name that says a format: give --format');
  });

  it('has bytes in the units of the other commands', async () => {
    const { out } = await runInProcess('check', 'plans/clerk.plan');
    const [, peak, budget] = /gpu\[0\] .* ([\d.]+ MiB) +([\d.]+ MiB)\n/.exec(out)!;
    const [, kv] = /through host, ([\d.]+ KiB) out/.exec(out)!;
    const [, weights] = /weights prefill -> decode: ([\d.]+ MiB) uploaded/.exec(out)!;
    expect(await draw('units.dot')).toContain(`${peak} of ${budget}`);
    expect(await draw('units.svg', '--level', 'flow')).toContain(`KV, ${kv} a token`);
    const moves = await draw('units.svg', '--level', 'transitions');
    for (const text of [`through host, ${kv} out`, `(host to gpu): ${weights},`])
      expect(moves).toContain(text);
    expect(moves).not.toMatch(/\d [KMG]B\b/);
  });

  it('says how busy links are in a simulation of a workload', async () => {
    const lengths = join(folder, 'lengths.jsonl');
    writeFileSync(lengths, '{"prompt_tokens": 100, "output_tokens": 10}\n'.repeat(5));
    const svg = await draw('busy.svg', '--workload', lengths);
    expect(svg).toMatch(/busiest lane in use \d+\.\d% of the time/);
    expect(svg).toContain('5 requests');
  });

  it('warns of requests that are not served, and says so where the drawing goes', async () => {
    const lengths = join(folder, 'unserved.jsonl');
    writeFileSync(
      lengths,
      ['100, "output_tokens": 10', '100000, "output_tokens": 1', '100, "output_tokens": 100000']
        .map((each) => `{"prompt_tokens": ${each}}\n`)
        .join(''),
    );
    const args = ['plans/clerk.plan', '--plan', 'reshard', '--workload', lengths];
    const run = await runInProcess('graph', ...args, '--out', join(folder, 'unserved.svg'));
    const warnings = (text: string): readonly string[] => text.match(/^warning: .*$/gm) ?? [];
    expect(warnings(run.err)).toEqual([
      expect.stringContaining('plan reshard can never fit 1 of 3 requests'),
      expect.stringContaining('no room for the whole answers of 1 of 2 requests'),
    ]);
    expect(warnings((await runInProcess('simulate', ...args)).err)).toEqual(warnings(run.err));
    expect(readFileSync(join(folder, 'unserved.svg'), 'utf8')).toContain(
      '3 requests, 1 rejected, 1 answer cut short.',
    );
  });

  it('takes the first workload of the file where none is named, and says so, or what is missing', async () => {
    const file = join(folder, 'own.plan');
    const stages = readFileSync('plans/clerk.plan', 'utf8').replaceAll(
      '"./',
      '"' + join(process.cwd(), 'plans') + '/',
    );
    writeFileSync(file, `${stages}\nworkload few { requests: 3, prompt: 50 tokens, output: 5 tokens }\n`);
    const args = ['graph', file, '--plan', 'reshard', '--out', join(folder, 'own.svg')];
    const drawn = await runInProcess(...args);
    expect(drawn).toMatchObject({
      status: 0,
      err: expect.stringContaining('workload few, 3 requests') as string,
    });
    expect(readFileSync(join(folder, 'own.svg'), 'utf8')).toContain('busiest lane in use');
    const other = await runInProcess(...args, '--level', 'flow');
    expect(other.err).not.toContain('workload');
    const none = await runInProcess('graph', 'plans/clerk.plan', ...args.slice(2));
    expect(none).toMatchObject({ status: 0, err: expect.stringContaining('with --workload') as string });
    writeFileSync(file, `${stages}\nworkload gone { requests: "./gone.jsonl" }\n`);
    const gone = await runInProcess(...args);
    expect(gone).toMatchObject({
      status: 0,
      err: expect.stringContaining('workload gone is left out') as string,
    });
  });

  it('knows its levels and formats, and wants one plan, a workload that exists and a file it can write', async () => {
    const failing = async (...options: readonly string[]): Promise<{ status: number; err: string }> => {
      return runInProcess('graph', 'plans/clerk.plan', ...options);
    };
    expect((await failing('--level', 'wires', '--out', 'x.svg')).status).toBe(2);
    const several = await failing('--out', 'x.svg');
    expect(several.status).toBe(2);
    expect(several.err).toContain('reshard');
    const unknown = await failing('--plan', 'reshard', '--out', 'x.png');
    expect(unknown.status).toBe(2);
    expect(unknown.err).toContain('.svg, .dot');
    const missing = await failing('--plan', 'reshard', '--workload', 'none', '--out', join(folder, 'z.svg'));
    expect(missing.status).toBe(2);
    const nowhere = await failing('--plan', 'reshard', '--out', join(folder, 'no', 'such', 'x.svg'));
    expect(nowhere.status).toBe(3);
    expect(nowhere.err).toContain('cannot write');
  });
});
