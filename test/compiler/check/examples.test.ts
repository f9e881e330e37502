import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fileHost } from '../../../runtime/file-host.js';
import { checkFile } from '../../../compiler/check/check-file.js';
import { checkText } from './memory-host.js';

const read = (name: string): string =>
  readFileSync(new URL(`../../../plans/${name}.plan`, import.meta.url), 'utf8');

describe('example plans check without a finding', () => {
  for (const name of ['clerk', 'seesaw-70b', 'pod'])
    it(name, () => {
      expect(checkText(read(name)).diagnostics).toEqual([]);
    });
});

describe('plans/seesaw checks without a finding', () => {
  it.each(['a10', 'l4', 'a100'])('%s', (name) => {
    const { diagnostics, plans } = checkFile(fileHost(), `plans/seesaw/${name}.plan`);
    expect(diagnostics).toEqual([]);
    expect(plans.map((plan) => plan.name)).toEqual(['m15b', 'm34b', 'm70b']);
  });

  it('workloads', () => {
    const { diagnostics, workloads } = checkFile(fileHost(), 'plans/seesaw/workloads.plan');
    expect(diagnostics).toEqual([]);
    expect(workloads.map((workload) => workload.name)).toEqual(['arxiv', 'sharegpt']);
  });
});
