/** A device that stops working in the middle of a batch: what was answered stays, the run says what happened. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { openDevices } from '../../runtime/device/dawn.js';
import type { Device } from '../../runtime/device/device.js';
import { openEngine } from '../../runtime/engine/open.js';
import { RuntimeFailure } from '../../runtime/failure.js';
import { runBatch } from '../../runtime/jobs/run-batch.js';
import { loadTokenizer } from '../../runtime/tokenizer/tokenizer.js';
import { makePlan } from '../compiler/support/make-plan.js';
import { CLERK } from './support/clerk.js';
import { shapeOf } from './support/shape.js';

/** The device until `isLost`, then one whose every read fails and whose loss has been announced. */
function failing(device: Device, isLost: () => boolean): Device {
  let announce: (reason: string) => void;
  const lost = new Promise<string>((resolve) => (announce = resolve));
  return {
    ...device,
    lost,
    get memory() {
      return device.memory;
    },
    read(ranges) {
      if (!isLost()) return device.read(ranges);
      announce('the driver stopped answering');
      return Promise.reject(new RuntimeFailure('FC0902', `${device.label} was lost`));
    },
  };
}

describe('a lost device', () => {
  const root = mkdtempSync(join(tmpdir(), 'fulcrum-lost-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('ends the run with FC0902 and keeps the answers already written', async () => {
    const requests = join(root, 'requests.jsonl');
    const results = join(root, 'results.jsonl');
    const lines = readFileSync(`${CLERK}/data/records.jsonl`, 'utf8').split('\n').slice(0, 12);
    writeFileSync(requests, lines.join('\n'));
    const shape = shapeOf(CLERK);
    // Two decode at a time, so that some requests finish long before others start.
    const stages = [{ name: 'serve', mesh: { pp: 2 }, microbatchTokens: 64, batchRequests: 2 }];
    const { runtime } = compilePlan(makePlan({ shape, stages }));
    let answered = 0;
    const engine = await openEngine(runtime, {
      modelDirectory: CLERK,
      open: async (count, labels) => {
        const devices = await openDevices(count, { labels });
        return devices.map((device, i) => (i === 1 ? failing(device, () => answered >= 3) : device));
      },
    });
    const summary = await runBatch({
      requestsPath: requests,
      resultsPath: results,
      engine,
      tokenizer: loadTokenizer(CLERK),
      model: { name: 'clerk', context: shape.context, vocab: shape.vocab },
      onProgress: (progress) => (answered = progress.answered),
    });
    await engine.dispose();
    expect(summary.failure?.code).toBe('FC0902');
    expect(summary.answered).toBeGreaterThanOrEqual(3);
    expect(summary.unfinished).toBe(12 - summary.answered);
    const written = readFileSync(results, 'utf8').trim().split('\n');
    expect(written).toHaveLength(summary.answered);
    for (const line of written) expect(JSON.parse(line)).toMatchObject({ error: null });
  });
});
