import { execFileSync } from 'node:child_process';
import {
  constants,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refuseUnwritableMetrics, writeMetricsFile } from '../../../runtime/metrics/metrics-file.js';
import { serveMetrics } from '../../../runtime/metrics/metrics-server.js';

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'fulcrum-metrics-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ANY = { host: '127.0.0.1', port: 0 };
const metrics = { contentType: 'text/plain; version=0.0.4', text: () => Promise.resolve('up 1\n') };

describe('a metrics file', () => {
  it('takes the place of an older one and leaves no draft behind', () => {
    const path = join(folder, 'm.prom');
    writeFileSync(path, 'old, and longer');
    refuseUnwritableMetrics(path);
    expect(readFileSync(path, 'utf8')).toBe('old, and longer');
    writeMetricsFile(path, 'new\n');
    expect(readFileSync(path, 'utf8')).toBe('new\n');
    expect(readdirSync(folder)).toEqual(['m.prom']);
  });

  it('is the one that a link leads to, and the link stays', () => {
    const [real, link, linked] = ['real.prom', 'link.prom', 'linked.prom'].map((name) => join(folder, name));
    writeFileSync(real!, 'old');
    symlinkSync('real.prom', link!);
    symlinkSync('link.prom', linked!);
    refuseUnwritableMetrics(linked!);
    writeMetricsFile(linked!, 'new\n');
    expect(readFileSync(real!, 'utf8')).toBe('new\n');
    for (const path of [link!, linked!]) expect(lstatSync(path).isSymbolicLink()).toBe(true);
    rmSync(real!);
    refuseUnwritableMetrics(linked!);
    writeMetricsFile(linked!, 'newer\n');
    expect(readFileSync(real!, 'utf8')).toBe('newer\n');
    expect(lstatSync(linked!).isSymbolicLink()).toBe(true);
    for (const path of [real!, link!, linked!]) rmSync(path);
  });

  it.skipIf(process.platform === 'win32')('is no pipe: that stays one, and takes the text', async () => {
    const path = join(folder, 'm.fifo');
    execFileSync('mkfifo', [path]);
    const reader = await open(path, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      refuseUnwritableMetrics(path);
      writeMetricsFile(path, 'up 1\n');
      expect(lstatSync(path).isFIFO()).toBe(true);
      const read = await reader.read(Buffer.alloc(100), 0, 100, null);
      expect(read.buffer.toString('utf8', 0, read.bytesRead)).toBe('up 1\n');
    } finally {
      await reader.close();
      rmSync(path);
    }
  });

  it.skipIf(process.platform === 'win32')(
    'is no pipe that nobody reads: that is refused, not waited for',
    () => {
      const path = join(folder, 'm.fifo');
      execFileSync('mkfifo', [path]);
      const refused = expect.objectContaining({
        code: 'FC0940',
        message: expect.stringContaining('nobody reads'),
      });
      expect(() => writeMetricsFile(path, 'up 1\n')).toThrow(refused);
      rmSync(path);
    },
  );

  it.skipIf(process.platform !== 'linux')('goes on in a file that is open, such as a log', async () => {
    const path = join(folder, 'log.txt');
    const log = await open(path, 'a');
    try {
      await log.write('before\n');
      writeMetricsFile(`/proc/self/fd/${log.fd}`, 'up 1\n');
      await log.write('behind\n');
      expect(readFileSync(path, 'utf8')).toBe('before\nup 1\nbehind\n');
    } finally {
      await log.close();
      rmSync(path);
    }
  });

  it('is refused before and at the time where it cannot be', () => {
    const refused = expect.objectContaining({ code: 'FC0940' });
    for (const path of [join(folder, 'none', 'm.prom'), folder]) {
      expect(() => refuseUnwritableMetrics(path)).toThrow(refused);
      expect(() => writeMetricsFile(path, 'x')).toThrow(refused);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith('.new'))).toEqual([]);
  });
});

describe('a metrics server', () => {
  it('answers at /metrics alone, and only reads', async () => {
    const server = await serveMetrics(metrics, ANY);
    try {
      const found = await fetch(server.url);
      expect(found.status).toBe(200);
      expect(found.headers.get('content-type')).toBe(metrics.contentType);
      expect(await found.text()).toBe('up 1\n');
      expect((await fetch(server.url, { method: 'HEAD' })).status).toBe(200);
      expect((await fetch(server.url, { method: 'POST' })).status).toBe(405);
      expect((await fetch(new URL('/', server.url))).status).toBe(404);
    } finally {
      await server.close();
    }
  });

  it('says a failure to gather metrics, and goes on', async () => {
    let broken = true;
    const text = () => (broken ? Promise.reject(new Error('no figures')) : metrics.text());
    const server = await serveMetrics({ ...metrics, text }, ANY);
    try {
      const failed = await fetch(server.url);
      expect([failed.status, await failed.text()]).toEqual([500, 'Error: no figures\n']);
      broken = false;
      expect((await fetch(server.url)).status).toBe(200);
    } finally {
      await server.close();
    }
  });

  it('refuses a port that is taken, and gives its own back with connections open', async () => {
    const first = await serveMetrics(metrics, ANY);
    const port = Number(new URL(first.url).port);
    await expect(serveMetrics(metrics, { ...ANY, port })).rejects.toMatchObject({
      code: 'FC0941',
      details: { help: expect.stringContaining('--metrics-port') as unknown },
    });
    const idle = connect(port, ANY.host);
    await new Promise((resolve) => idle.once('connect', resolve));
    const dropped = new Promise((resolve) => idle.once('close', resolve).once('error', () => undefined));
    await first.close();
    await dropped;
    const second = await serveMetrics(metrics, { ...ANY, port });
    expect(new URL(second.url).port).toBe(String(port));
    await second.close();
  });

  it('refuses an address that is not of this machine', async () => {
    for (const host of ['203.0.113.1', 'nosuch.invalid'])
      await expect(serveMetrics(metrics, { host, port: 0 })).rejects.toMatchObject({
        code: 'FC0941',
        details: { help: 'choose an address of this machine with --metrics-host' },
      });
  });
});
