/** How benchmarks are run; none is run here. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../architecture/source-files.js';

const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Readonly<Record<string, string>>;
};
const names = Object.keys(scripts).flatMap((script) => /^bench:(.*)$/.exec(script)?.[1] ?? []);

describe('npm run bench', () => {
  it('has a script for each benchmark, which says how it is called', () => {
    const files = readdirSync(join(ROOT, 'bench')).filter((file) => file.endsWith('.ts'));
    const called = files.filter((file) =>
      readFileSync(join(ROOT, 'bench', file), 'utf8').includes(` *   npm run bench:${file.slice(0, -3)}`),
    );
    expect(called.map((file) => file.slice(0, -3)).toSorted()).toEqual(names.toSorted());
    for (const name of names) expect(scripts[`bench:${name}`]).toBe(`node scripts/bench.mjs ${name}`);
  });

  it.each(['--help', '-h'])('prints what a benchmark takes with %s, and runs nothing', (help) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['scripts/bench.mjs', 'seesaw', '--short', help],
      { cwd: ROOT, encoding: 'utf8', timeout: 20_000 },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^What re-sharding gains on .*\n\n {2}npm run bench:seesaw -- \[--requests N\] /s);
    expect(stdout).not.toMatch(/import |\*/);
  });
});
