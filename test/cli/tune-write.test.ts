/** What `fulcrum tune --write` makes of a file. */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { duringWork, runInProcess } from './run-program.js';
import { openTuneFolder, PLAN } from './tune-plan.js';

const { folder, planFile, plansFound } = openTuneFolder();

describe('tune --write', () => {
  it('tries caps that are no multiple of the host tiers as plans can say them', async () => {
    const file = planFile();
    const caps = ['--strategy', 're-sharded', '--batch', '16', '--kv-cap', `${2 ** 23 + 1}B`];
    const [best] = await plansFound(...caps);
    expect(best!.hostKvBytes).toBe(2 ** 23);
    expect((await runInProcess('tune', file, ...caps, '--write')).status).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('tiers: gpu -> host up to 4 MiB');
    const odd = [...caps.slice(0, -1), `${2 ** 23 + 2}B`];
    expect((await runInProcess('tune', file, '--plan', 'start', ...odd, '--write')).status).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('tiers: gpu -> host up to 4194305 B');
  });

  it('keeps the caps of other tiers when it writes that of the host', async () => {
    const file = planFile();
    const withDisk = PLAN.replace(
      'tier host { capacity: 64 GiB }',
      'tier host { capacity: 64 GiB }\n    tier nvme { capacity: 1 TB, path: "/tmp/kv" }\n    link host <-> nvme { bandwidth: 3 GB/s }',
    ).replace('page: 32 tokens', 'page: 32 tokens, tiers: gpu -> host up to 8 MiB -> nvme up to 32 MiB');
    writeFileSync(file, withDisk);
    const options = ['--strategy', 're-sharded', '--batch', '16', '--kv-cap', '4MiB', '--write'];
    expect((await runInProcess('tune', file, ...options)).status).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('tiers: gpu -> host up to 2 MiB -> nvme up to 32 MiB');
  });

  it('writes the fastest into the file, again and again, and leaves the rest as it is', async () => {
    const file = planFile();
    for (const strategy of ['fused', 're-sharded']) {
      const run = await runInProcess(...['tune', file, '--strategy', strategy, '--top', '1', '--write']);
      expect(run.status).toBe(0);
      expect(run.err).toContain('wrote plan start_tuned');
      const text = readFileSync(file, 'utf8');
      expect(text.startsWith(PLAN.trimEnd())).toBe(true);
      expect(text.match(/plan start_tuned/g)).toHaveLength(1);
      expect(text).toContain('kv { page: 32 tokens }\n  stage');
      expect(text).toContain(
        strategy === 'fused' ? 'stage serve: prefill + decode on node.gpu' : 'stage decode',
      );
      expect((await runInProcess('check', file)).status).toBe(0);
      // What kind of plan it is `explain` says by the same word.
      const explained = await runInProcess('explain', file, '--plan', 'start_tuned');
      expect(explained.status).toBe(0);
      expect(explained.out).toContain(
        strategy === 'fused' ? '\n    serve: fused: ' : '\n    prefill -> decode: re-sharded: ',
      );
    }
  });

  it('keeps to the residence of a plan whose one stage has no use for it', async () => {
    const file = planFile();
    const text = PLAN.replace('plan start for small on machine {', '$&\n  residence: switch');
    for (const strategy of ['re-sharded', 'fused']) {
      writeFileSync(file, text);
      const run = await runInProcess(...['tune', file, '--strategy', strategy, '--top', '1', '--write']);
      expect(run.err).toContain('wrote plan start_tuned');
      expect(readFileSync(file, 'utf8').match(/residence: switch/g)).toHaveLength(2);
    }
  });

  it('replaces no plan of that name that somebody wrote', async () => {
    const file = planFile();
    const write = async (): Promise<string> => {
      const args = ['--plan', 'start', '--strategy', 'fused', '--batch', '16', '--write'];
      const run = await runInProcess('tune', file, ...args);
      expect(run.status).toBe(0);
      return run.err;
    };
    const own = `${PLAN}\nplan start_tuned from start { memory_use: 80% }\n`;
    writeFileSync(file, own);
    expect(await write()).toContain('wrote plan start_tuned_2 to');
    const added = readFileSync(file, 'utf8');
    expect(added.startsWith(own)).toBe(true);
    // What it wrote itself it replaces, until somebody takes the mark away.
    expect(await write()).toContain('start_tuned there is none that tune wrote, and stays as it is');
    expect(readFileSync(file, 'utf8')).toBe(added);
    writeFileSync(file, added.replace(/^\/\/ Written by .*\n/m, ''));
    expect(await write()).toContain('wrote plan start_tuned_3');
    expect((await runInProcess('check', file)).status).toBe(0);
  });

  it.each(['\n', '\r\n'])('writes as fmt lays out, with the line ends of the file: %j', async (lineEnd) => {
    const group = 'group_of_a_name_that_makes_lines_long';
    const before = PLAN.replace(
      'kv { page: 32 tokens }',
      'kv {\n    // Few.\n    page: 32 tokens\n  }',
    ).replace(/\bnode\b/g, group);
    const [file, plain] = [join(folder, 'format.plan'), join(folder, 'plain.plan')];
    const asFmtHasIt = async (text: string): Promise<boolean> => {
      writeFileSync(plain, text.replaceAll(lineEnd, '\n'));
      return (await runInProcess('fmt', '--check', plain)).status === 0;
    };
    writeFileSync(plain, before);
    expect((await runInProcess('fmt', plain)).status).toBe(0);
    writeFileSync(file, readFileSync(plain, 'utf8').replaceAll('\n', lineEnd));
    // Added first, and then replaced.
    for (let time = 0; time < 2; time++) {
      const run = await runInProcess('tune', file, '--strategy', 'fused', '--plan', 'start', '--write');
      expect(run.status).toBe(0);
      const text = readFileSync(file, 'utf8');
      expect(text).toContain('plan start_tuned');
      expect(new Set(text.match(/\r?\n/g))).toEqual(new Set([lineEnd]));
      expect(await asFmtHasIt(text)).toBe(true);
    }
  });

  it('writes what it found of a plan that other files have a part in, or nothing', async () => {
    planFile();
    const file = join(folder, 'imports.plan');
    const write = async (names: string, plan: string): Promise<{ err: string; added: string }> => {
      const before = `import { ${names} } from "./machine.plan"\n${plan}\n`;
      writeFileSync(file, before);
      const { err } = await runInProcess(
        ...['tune', file, '--workload', 'short', '--strategy', 'fused', '--batch', '16', '--write'],
      );
      return { err, added: readFileSync(file, 'utf8').slice(before.length) };
    };
    const own = 'plan mine from start { memory_use: 80% }';
    const { added } = await write('start, short, small as model_here, machine as box', own);
    expect(added).toContain('plan mine_tuned for model_here on box {');
    expect(added).toContain('memory_use: 80%\n  kv { page: 32 tokens }');
    expect((await runInProcess('check', file)).status).toBe(0);
    const refused = await write('start, short', own);
    expect(refused).toMatchObject({ added: '' });
    expect(refused.err).toContain('nothing is written: mine takes from other files');
    expect(refused.err).toContain('plan mine_tuned for small on machine {');
    // The file's own topology of that name is another.
    const slower = /topology machine [^]*?\n}\n/.exec(PLAN)![0].replace('12 GB/s', '1 GB/s');
    const clash = await write('start, short, small', `import { l4 } from "std/devices"\n${slower}${own}`);
    expect(clash).toMatchObject({ added: '' });
    expect(clash.err).toMatch(/nothing is written: mine takes from other files .* \(topology\): import/);
  });

  it('names the devices of a plan by ranges on every level, as many as it takes', async () => {
    const file = join(folder, 'ranges.plan');
    const write = async (...stages: readonly string[]): Promise<{ err: string; text: string }> => {
      const wide = PLAN.replace('gpu[2]', 'gpu[3]').replace(/ {2}stage .*\n/, `  ${stages.join('\n  ')}\n`);
      writeFileSync(file, wide);
      const { err } = await runInProcess('tune', file, '--strategy', 'fused', '--batch', '16', '--write');
      return { err, text: readFileSync(file, 'utf8').slice(wide.trimEnd().length) };
    };
    for (const [devices, mesh] of [
      ['node[0..1].gpu[0]', 'tp: 2'],
      ['node[1].gpu[0]', 'tp: 1'],
      ['node.gpu[1..2]', 'tp: 4'],
      ['node[1].gpu[1..2]', 'tp: 2'],
      ['node[0].gpu', 'pp: 3'],
    ] as const) {
      const { err, text } = await write(`stage serve: prefill + decode on ${devices} { mesh (${mesh}) }`);
      expect(err).toContain('wrote plan start_tuned');
      // What takes in all that there are has no range.
      expect(text).toContain(` on ${devices.replace('node[0..1]', 'node')} {`);
    }
    for (const [prefill, decode, both] of [
      ['node[0].gpu[0]', 'node[1].gpu[2]', 'node[0].gpu[0], node[1].gpu[2]'],
      ['node[0].gpu[1..2]', 'node[1].gpu', 'node[0].gpu[1..2], node[1].gpu'],
    ] as const) {
      const { err, text } = await write(
        `stage prefill on ${prefill} { mesh (dp: fill) }`,
        `stage decode on ${decode} { mesh (dp: fill) }`,
      );
      expect(err).toContain('wrote plan start_tuned');
      expect(text).toContain(`stage serve: prefill + decode on ${both} {`);
    }
  });

  it('writes into the file as it is after the search, unless the plan would be another there', async () => {
    const file = planFile();
    const args = ['tune', file, '--plan', 'start', '--strategy', 'fused', '--top', '9999', '--write'];
    const afterwards = async (text: string): Promise<{ err: string; text: string }> => {
      const { err } = await duringWork(() => writeFileSync(file, text), ...args);
      return { err, text: readFileSync(file, 'utf8') };
    };
    // Everything stands one line further down then, overhead as well.
    const timed = PLAN.replace('link node <->', 'overhead { step: 1 us }\n  link node <->');
    writeFileSync(file, timed);
    const commented = await afterwards(`// Worked on meanwhile.\n${timed}`);
    expect(commented.err).toContain('wrote plan start_tuned');
    expect(commented.text).toContain('// Worked on meanwhile.');
    expect(commented.text).toContain('plan start_tuned');
    for (const changed of [PLAN.replace('layers: 4', 'layers: 8'), PLAN.replace('plan start', 'plan {')]) {
      writeFileSync(file, PLAN);
      const { err, text } = await afterwards(changed);
      expect(err).toContain('has changed since, and in it the plan would be another');
      expect(text).toBe(changed);
    }
    writeFileSync(file, PLAN);
    const { status, err } = await duringWork(() => rmSync(file), ...args);
    expect(status).toBe(3);
    expect(err).toContain('machine.plan is gone');
  });

  it.skipIf(process.getuid?.() === 0)(
    'writes into no file that nobody may write, and shows the plan',
    async () => {
      const file = planFile();
      const args = ['tune', file, '--plan', 'start', '--strategy', 'fused', '--top', '9999', '--write'];
      const late = await duringWork(() => chmodSync(file, 0o400), ...args);
      expect(late).toMatchObject({ status: 3, out: expect.stringContaining('1.00x') as string });
      expect(late.err).toMatch(
        /error\[FC0940\]: nothing is written: cannot write .*: permission denied\nplan start_tuned for small/,
      );
      const early = await runInProcess(...args);
      expect(early).toMatchObject({ status: 3, out: '' });
      expect(early.err).toContain('error[FC0940]: nothing is written: cannot write');
      rmSync(file);
    },
  );
});
