/** What is wrong with the place of metrics is found before a device is opened. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'fulcrum-metrics-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...options: readonly string[]) {
  return runInProcess(
    ...['run', 'plans/clerk.plan', '--plan', 'single', '--out', join(folder, 'out.jsonl')],
    ...['--requests', 'plans/models/clerk/data/records.jsonl', ...options],
  );
}

describe('fulcrum run --metrics', () => {
  it('refuses a port that is taken, with its code', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const refused = await run('--metrics-port', String(port));
    other.close();
    expect(refused.status).toBe(3);
    expect(refused.err).toMatch(/error\[FC0941\]: .*address already in use/);
    expect(refused.err).toMatch('--metrics-port');
    expect(existsSync(join(folder, 'out.jsonl'))).toBe(false);
  });

  it('refuses a file that cannot be written', async () => {
    const refused = await run('--metrics', join(folder, 'none', 'm.prom'));
    expect(refused.status).toBe(3);
    expect(refused.err).toMatch(/error\[FC0940\]: .*no such file or directory/);
  });

  it('refuses an address without a port', async () => {
    const refused = await run('--metrics-host', '::1');
    expect(refused).toMatchObject({ status: 2, out: '' });
    expect(refused.err).toBe('error: --metrics-host is about the port that --metrics-port names\n');
  });

  it.each(['65536', '-1', '80.5', 'http'])('takes %s for no port', async (port) => {
    const refused = await run(`--metrics-port=${port}`);
    expect(refused.status).toBe(2);
    expect(refused.err).toMatch('a port from 0 to 65535');
  });
});
