/** What is found out about the files of a batch before it begins. */
import { once } from 'node:events';
import { existsSync, linkSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkBatchFiles } from '../../../runtime/jobs/batch-files.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-batch-files-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const requestsPath = join(scratch, 'requests.jsonl');
const resultsPath = join(scratch, 'results.jsonl');
writeFileSync(requestsPath, '{"custom_id": "a"}\n');

const failure = (code: string, message: string): unknown =>
  expect.objectContaining({ code, message: expect.stringContaining(message) as string });

describe('the files of a batch', () => {
  it('are looked at and left as they are', () => {
    const reportPaths = ['trace.json', 'metrics.prom'].map((name) => join(scratch, name));
    const summaryPath = join(scratch, 'summary.json');
    expect(checkBatchFiles({ requestsPath, resultsPath, reportPaths, summaryPath })).toBe(1);
    expect(readdirSync(scratch)).toEqual(['requests.jsonl']);
  });

  it.each([
    ['the requests', requestsPath],
    ['the results', resultsPath],
    ['the journal of the results', `${resultsPath}.journal`],
  ])('are refused where a report would take the place of %s', (what, path) => {
    const refused = failure('FC0940', `it is the file of ${what}`);
    expect(() => checkBatchFiles({ requestsPath, resultsPath, reportPaths: [path] })).toThrow(refused);
    expect(() => checkBatchFiles({ requestsPath, resultsPath, summaryPath: path })).toThrow(refused);
  });

  it('are refused where anything would take the place of the plan', () => {
    const planPath = join(scratch, 'a.plan');
    const journalled = join(scratch, 'b');
    for (const path of [planPath, `${journalled}.journal`]) writeFileSync(path, '');
    const files = { planPath, requestsPath, resultsPath };
    const refused = failure('FC0940', 'it is the file of the plan');
    for (const own of [
      ...[{ resultsPath: planPath }, { reportPaths: [planPath] }, { summaryPath: planPath }],
      { planPath: `${journalled}.journal`, resultsPath: journalled },
    ])
      expect(() => checkBatchFiles({ ...files, ...own })).toThrow(refused);
  });

  it('are refused where two reports have one file, or two names of one', () => {
    const trace = join(scratch, 'trace.json');
    const files = { requestsPath, resultsPath, reportPaths: [trace, join(scratch, 'metrics.prom')] };
    const refused = failure('FC0940', 'it is the file of another report');
    expect(() => checkBatchFiles({ ...files, summaryPath: trace })).toThrow(refused);
    const link = join(scratch, 'link.json');
    linkSync(requestsPath, link);
    expect(() => checkBatchFiles({ ...files, summaryPath: link })).toThrow(
      failure('FC0940', 'it is the file of the requests'),
    );
  });

  it.skipIf(!existsSync('/dev/null'))('may be a device more than once', () => {
    const nowhere = '/dev/null';
    const files = { requestsPath, resultsPath: nowhere, reportPaths: [nowhere], summaryPath: nowhere };
    expect(checkBatchFiles(files)).toBe(1);
  });

  it('are refused where the results would go to a socket', async () => {
    const socket = join(scratch, 'socket');
    const server = createServer().listen(socket);
    await once(server, 'listening');
    expect(() => checkBatchFiles({ requestsPath, resultsPath: socket })).toThrow(
      failure('FC0918', 'it is a socket'),
    );
    server.close();
  });

  it('are refused where the summary cannot be written, or the journal would be the requests', () => {
    const summaryPath = join(scratch, 'no', 'summary.json');
    expect(() => checkBatchFiles({ requestsPath, resultsPath, summaryPath })).toThrow(
      failure('FC0918', `cannot write the summary to ${summaryPath}: there is no directory`),
    );
    const named = join(scratch, 'batch.journal');
    writeFileSync(named, '{"custom_id": "a"}\n');
    expect(() => checkBatchFiles({ requestsPath: named, resultsPath: join(scratch, 'batch') })).toThrow(
      failure('FC0918', 'would overwrite the requests'),
    );
  });
});
