/** `fulcrum tune` end to end. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { duringWork, runInProcess } from './run-program.js';
import { openTuneFolder, PLAN, type Document } from './tune-plan.js';

const { folder, planFile, plansFound } = openTuneFolder();

describe('tune', () => {
  it('ranks what it simulated and says how many could not win', async () => {
    const run = await runInProcess('tune', planFile(), '--top', '2');
    expect(run.status).toBe(0);
    expect(run.err).toMatch(/small on 4 devices, workload short: 40 requests, \d+ plans/);
    expect(run.out).toMatch(/strategy +meshes/);
    expect(run.out).toMatch(/ 1\.00x$/m);
    expect(run.out).toMatch(
      /^\d+ plans over all meshes: .*; microbatch 128, 256, 512, 1024, 2048, 4096, 8192; batch 16, 32, 64; host KV/m,
    );
    expect(run.out).toMatch(/[\d,]+ cannot win by their bound, /);
  });

  it('tries the strategies and sizes it is told to', async () => {
    const run = await runInProcess(
      ...['tune', planFile(), '--strategy', 'fused', '--batch', '8,16', '--top', '99', '--json'],
    );
    const { plans, version } = JSON.parse(run.out) as Document & { version: number };
    expect(version).toBe(2);
    expect(new Set(plans.map(({ strategy }) => strategy))).toEqual(new Set(['fused']));
    // Meshes over four devices for four layers and four kv heads, with two batches and seven microbatches each.
    expect(plans).toHaveLength(2 * 7 * 6);
  });

  it('looks at the plan that it is told to alone', async () => {
    const file = join(folder, 'others.plan');
    writeFileSync(
      file,
      `${PLAN}plan wrong for small on machine { stage serve: prefill + decode on node.gpu { mesh (tp: 3) } }`,
    );
    const args = ['tune', file, '--strategy', 'fused', '--batch', '16', '--microbatch', '512'];
    const named = await runInProcess(...args, '--plan', 'start');
    expect(named).toMatchObject({ status: 0 });
    expect(named.err).not.toContain('tp: 3');
    expect(await runInProcess(...args, '--plan', 'wrong')).toMatchObject({ status: 1 });
    const all = await runInProcess(...args);
    expect(all.status).toBe(1);
    expect(all.err).toContain('tp: 3');
    const unknown = await runInProcess(
      ...['tune', 'plans/clerk.plan', '--plan', 'nobody', '--strategy', 'fused'],
    );
    expect(unknown.status).toBe(2);
    expect(unknown.err).toContain('declares no plan called `nobody`\n  help: it has ');
  });

  it('takes strategies with commas or one by one, before the file as well as behind it', async () => {
    const strategies = async (...args: readonly string[]): Promise<unknown> => {
      const run = await runInProcess('tune', ...args, '--batch', '8', '--microbatch', '64', '--json');
      return (JSON.parse(run.out) as { searched: { strategies: unknown } }).searched.strategies;
    };
    const file = planFile();
    expect(await strategies('--strategy', 'fused', file)).toEqual(['fused']);
    const both = ['fused', 're-sharded'];
    expect(await strategies('--strategy', 'fused,re-sharded', file)).toEqual(both);
    expect(await strategies('--strategy', 'fused', '--strategy', 're-sharded', file)).toEqual(both);
  });

  it('tries a size that is named twice once', async () => {
    const file = planFile();
    const candidates = async (...sizes: readonly string[]): Promise<unknown> => {
      const run = await runInProcess('tune', file, '--strategy', 'fused', ...sizes, '--json');
      return (JSON.parse(run.out) as { counts: { candidates: number } }).counts.candidates;
    };
    const once = ['--batch', '8,16', '--microbatch', '64'];
    const twice = ['--batch', '8,16,8', '--batch', '16', '--microbatch', '64,64'];
    expect(await candidates(...twice)).toBe(await candidates(...once));
    expect(await candidates(...once, '--strategy', 'fused')).toBe(await candidates(...once));
  });

  it('says what estimates left out where they decided, and what they may leave out', async () => {
    const workload = join(folder, 'many.jsonl');
    writeFileSync(workload, '{"prompt_tokens": 10, "output_tokens": 3}\n'.repeat(400));
    const args = ['tune', planFile(), '--workload', workload, '--microbatch', '256,512'];
    const told = async (...more: readonly string[]): Promise<string | undefined> =>
      (await runInProcess(...args, ...more)).out
        .split('\n')
        .find((line) => line.startsWith('estimates chose'));
    expect(await told()).toContain('what they left out is at most 1 % quicker by them');
    expect(await told('--tolerance', '12.5%')).toContain('at most 12.5 % quicker');
    expect(await told('--tolerance', '0')).toContain('what they left out is no quicker by them');
    expect(await told('--exhaustive')).toBeUndefined();
    const { searched } = JSON.parse((await runInProcess(...args, '--tolerance', '2 %', '--json')).out) as {
      searched: { tolerance: number; byEstimate: boolean };
    };
    expect(searched).toMatchObject({ tolerance: 0.02, byEstimate: true });
  });

  it('says what bounds left out where that may be better by what is tolerated', async () => {
    const args = ['tune', planFile(), '--exhaustive'];
    const search = async (...more: readonly string[]) => {
      const run = await runInProcess(...args, ...more, '--json');
      return JSON.parse(run.out) as {
        plans: { makespan: number }[];
        searched: { tolerance?: number };
        leastLeftOut?: number;
      };
    };
    const [every, some] = [await search(), await search('--tolerance', '20%')];
    expect(every.searched).not.toHaveProperty('tolerance');
    expect(every).not.toHaveProperty('leastLeftOut');
    expect(some.searched.tolerance).toBe(0.2);
    const found = some.plans[0]!.makespan;
    expect(some.leastLeftOut! / found).toBeGreaterThanOrEqual(0.8);
    expect(every.plans[0]!.makespan).toBeGreaterThanOrEqual(Math.min(found, some.leastLeftOut!) * (1 - 1e-9));
    const { out } = await runInProcess(...args, '--tolerance', '20%');
    expect(out).toMatch(
      /^by proven bounds, what they left out is (no|at most [\d.]+ %) quicker \(see --tolerance\)$/m,
    );
  });

  it('says how many answers the context cuts short', async () => {
    const workload = join(folder, 'long.jsonl');
    const lines = [600, 10, 10].map((tokens) => `{"prompt_tokens": 10, "output_tokens": ${tokens}}\n`);
    writeFileSync(workload, lines.join(''));
    const args = ['tune', planFile(), '--workload', workload, '--strategy', 'fused'];
    expect((await runInProcess(...args)).out).toMatch(/^1 answer cut short by the context of the model/m);
    const { searched } = JSON.parse((await runInProcess(...args, '--json')).out) as {
      searched: { cut: number };
    };
    expect(searched.cut).toBe(1);
  });

  it('goes by bounds alone where requests are few, however long the answers that the context cuts short', async () => {
    const workload = join(folder, 'longest.jsonl');
    writeFileSync(workload, '{"prompt_tokens": 10, "output_tokens": 9000000}\n');
    const { out } = await runInProcess('tune', planFile(), '--workload', workload, '--strategy', 'fused');
    expect(out).toMatch(/^1 answer cut short/m);
    expect(out).not.toContain('estimates chose what to simulate');
  });

  it('looks for the least time between tokens above a floor, and for the whole front', async () => {
    const front = await plansFound('--front', '--batch', '4,16');
    const best = front.filter(({ pareto }) => pareto);
    expect(front.filter(({ wanted }) => wanted)).toEqual(best);
    expect(best.length).toBeGreaterThan(1);
    // Along the front throughput is paid for with time between tokens.
    best.reduce((faster, slower) => {
      expect(slower.requestsPerSecond).toBeLessThanOrEqual(faster.requestsPerSecond);
      expect(slower.betweenTokens).toBeLessThan(faster.betweenTokens);
      return slower;
    });
    const floor = best.at(-2)!.requestsPerSecond;
    const [soonest] = await plansFound('--floor', String(floor * 0.999), '--batch', '4,16');
    expect(soonest!.betweenTokens).toBe(best.at(-2)!.betweenTokens);
  });

  it('says what no plan is faster than where none is as fast as asked', async () => {
    const sizes = ['--strategy', 'fused,disaggregated', '--batch', '4,16'];
    const most = (await plansFound(...sizes))[0]!.requestsPerSecond;
    const args = ['tune', planFile(), ...sizes, '--floor', '1e6'];
    const { status, out } = await runInProcess(...args);
    expect(status).toBe(1);
    expect(out).toMatch(
      /^no plan that fits is as fast as asked: by their bounds none is faster than \d.* requests\/s$/m,
    );
    const { searched } = JSON.parse((await runInProcess(...args, '--json')).out) as {
      searched: { mostPromised: number };
    };
    expect(searched.mostPromised).toBeGreaterThanOrEqual(most);
    expect(searched.mostPromised).toBeLessThan(2 * most);
  });

  it('shows what less time between tokens costs, by estimates', async () => {
    const sizes = ['tune', planFile(), '--batch', '4,64'];
    const { out } = await runInProcess(...sizes);
    expect(out).toMatch(/\nestimated, not simulated, .*:\n~ +[a-z-]+ .* ~\d.* ms .*x\n/);
    const shown = JSON.parse((await runInProcess(...sizes, '--json')).out) as Document;
    const [best] = shown.plans;
    expect(shown.tradeOffs.length).toBeGreaterThan(0);
    for (const { requestsPerSecond, betweenTokens } of shown.tradeOffs) {
      expect(requestsPerSecond).toBeLessThan(best!.requestsPerSecond);
      expect(betweenTokens).toBeLessThanOrEqual(best!.betweenTokens * 0.75);
    }
    const front = JSON.parse((await runInProcess(...sizes, '--front', '--json')).out) as Document;
    expect(front.tradeOffs).toEqual([]);
  });

  it('tries caps of KV in the host tier, and writes the one that wins', async () => {
    const caps = ['--strategy', 're-sharded', '--kv-cap', '8MiB,1GiB'];
    const plans = await plansFound(...caps, '--top', '99');
    expect(new Set(plans.map(({ hostKvBytes }) => hostKvBytes))).toEqual(new Set([2 ** 23, 2 ** 30]));
    const file = planFile();
    expect((await runInProcess('tune', file, ...caps, '--write')).status).toBe(0);
    expect(readFileSync(file, 'utf8')).toMatch(
      /kv \{ page: 32 tokens, dtype: f16, tiers: gpu -> host up to (4|512) MiB \}/,
    );
    const simulated = await runInProcess('simulate', file, '--plan', 'start_tuned', '--json');
    expect(simulated.status).toBe(0);
  });

  it('says in its document what was searched for', async () => {
    const file = planFile();
    writeFileSync(
      file,
      PLAN.replace('node[2] {', 'overhead { step: 10 us, copy_engines: true }\n  node[2] {'),
    );
    const run = await runInProcess('tune', file, '--strategy', 'fused', '--batch', '4', '--json');
    const { plan, workload, engine } = JSON.parse(run.out) as Record<string, unknown>;
    expect({ plan, workload }).toEqual({ plan: 'start', workload: { name: 'short', requests: 40 } });
    expect(engine).toEqual({
      hostOverhead: true,
      smallGemmLoss: true,
      virtualEngines: false,
      copyEngines: true,
      fullReload: false,
      hostPerReplica: false,
    });
  });

  it('says of caps beyond that of the plan that they are not tried', async () => {
    const file = planFile();
    const tiers = (text: string): string => PLAN.replace('32 tokens }', `32 tokens, tiers: ${text} }`);
    writeFileSync(file, tiers('gpu -> host up to 64 MB'));
    const caps = ['--batch', '4', '--kv-cap', '1GB,8MB,2GB'];
    const note =
      /^plan start keeps at most (.*) of KV in the host tier: that is tried in place of 1 GB, 2 GB$/m;
    const run = await runInProcess('tune', file, ...caps);
    const own = note.exec(run.err)?.[1];
    expect(run.out).toContain(`; host KV ${own}, 8 MB\n`);
    const { searched } = JSON.parse((await runInProcess('tune', file, ...caps, '--json')).out) as {
      readonly searched: { readonly sizes: { readonly hostKvBytes: readonly number[] } };
    };
    expect(searched.sizes.hostKvBytes).toEqual([expect.any(Number), 8e6]);
    // A fused plan takes the largest alone.
    const fused = await runInProcess('tune', file, ...caps, '--strategy', 'fused');
    expect(fused.out).toContain(`; host KV ${own}\n`);
    expect((await runInProcess('tune', file, '--batch', '4', '--kv-cap', '8MB')).err).not.toMatch(note);
    writeFileSync(file, tiers('gpu'));
    const bare = await runInProcess('tune', file, ...caps, '--strategy', 'fused');
    expect(bare.err).toContain('plan start keeps no KV in a host tier: --kv-cap changes nothing');
    expect(bare.out).not.toContain('host KV 1');
  });

  it('says where a plan that it left out is better, and writes none over it', async () => {
    const file = join(folder, 'left-out.plan');
    const text = `import { l4 } from "std/devices"
topology m {
  gpu[4]: l4
  tier host { capacity: 160 GiB }
  link gpu <-> gpu { bandwidth: 4.2 GB/s, latency: 20 us }
  link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
}
model m13b {
  family: llama
  layers: 40, hidden: 5120, heads: 40, kv_heads: 40, ffn: 13824, vocab: 32000, context: 4096
  weights: f16
}
workload w { requests: 40, prompt: 2000 tokens, output: 150 tokens }
plan mine for m13b on m {
  memory_use: 80%
  stage prefill on gpu { mesh (pp: fill), microbatch: 1024 tokens }
  stage decode on gpu { mesh (tp: fill), batch: 256 requests }
  kv { page: 32 tokens, tiers: gpu -> host up to 100 GiB }
  flow requests -> prefill -> decode -> results
}
`;
    writeFileSync(file, text);
    const { status, out, err } = await runInProcess('tune', file, '--write');
    expect(status).toBe(0);
    expect(out).toMatch(
      /^plan mine as it is, left out by estimates, is better: .* requests\/s, 1\.00\dx of the best/m,
    );
    expect(err).toContain('plan mine is better than all that was found');
    const tolerated = await runInProcess('tune', file, '--exhaustive', '--tolerance', '5%', '--write');
    expect(tolerated.out).toMatch(/^plan mine as it is, left out by what was tolerated, is better: /m);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('says where a plan that it does not try is better as it is', async () => {
    const text = `import { l4 } from "std/devices"
topology machine {
  gpu[2]: l4
  tier host { capacity: 64 GiB }
  link gpu <-> gpu { bandwidth: 400 GB/s, latency: 1 us }
  link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
}
model one {
  family: llama
  layers: 4, hidden: 1024, heads: 8, kv_heads: 1, ffn: 4096, vocab: 1000, context: 512
  weights: f32
}
workload short { requests: 4, prompt: 20 tokens, output: 100 tokens }
plan odd for one on machine {
  stage serve: prefill + decode on gpu { mesh (tp: 2), replicate kv_heads by 2, batch: 16 requests }
}
plan usual from odd { stage serve: prefill + decode on gpu { mesh (dp: 2), replicate kv_heads by 1 } }
`;
    const file = join(folder, 'odd.plan');
    writeFileSync(file, text);
    const tuned = (...args: readonly string[]) => runInProcess('tune', file, ...args);
    const said =
      /^plan odd as it is, laid out as none of those tried, is better: .* requests\/s, 1\.\d\dx of the best/m;
    expect((await tuned('--plan', 'odd')).out).toMatch(said);
    const { searched, plans } = JSON.parse((await tuned('--plan', 'odd', '--json')).out) as Document & {
      readonly searched: { readonly own?: { readonly plan: string; readonly requestsPerSecond: number } };
    };
    expect(searched.own?.plan).toBe('odd');
    expect(searched.own!.requestsPerSecond).toBeGreaterThan(plans[0]!.requestsPerSecond);
    expect((await tuned('--plan', 'usual')).out).not.toContain('as it is');
    expect((await tuned('--plan', 'odd', '--write')).err).toContain(
      'plan odd is better than all that was found',
    );
    expect(readFileSync(file, 'utf8')).toBe(text);
    // Lengths from a file may go on past the context, where every plan ends.
    const lengths = join(folder, 'long.jsonl');
    writeFileSync(lengths, '{"prompt_tokens": 20, "output_tokens": 600}\n'.repeat(4));
    expect((await tuned('--plan', 'odd', '--workload', lengths)).out).toMatch(said);
  });

  it('says why it finds nothing', async () => {
    const lengths = join(folder, 'lengths.jsonl');
    const request = (prompt: number): string => JSON.stringify({ prompt_tokens: prompt, output_tokens: 8 });
    writeFileSync(lengths, [10, 9000, 20, 8000, 30].map(request).join('\n'));
    const file = planFile();
    const long = await runInProcess('tune', file, '--workload', lengths);
    expect(long.status).toBe(1);
    expect(long.out).toContain('no plan fits: 2 requests can never fit; request 2 of the workload has 9,000');
    // What never begins has no answer that could be cut.
    expect(long.out).not.toContain('cut short');
    const json = await runInProcess('tune', file, '--workload', lengths, '--json');
    const { searched } = JSON.parse(json.out) as { searched: { unheld: unknown; cut: number } };
    expect(searched.unheld).toMatchObject({ requests: 2, place: 1, longest: { promptTokens: 9000 } });
    expect(searched.cut).toBe(0);
    writeFileSync(file, PLAN.replace('on node.gpu { mesh (tp: 4)', 'on node[0].gpu[0] { mesh (tp: 1)'));
    const none = await runInProcess('tune', file, '--strategy', 'disaggregated');
    expect(none.status).toBe(1);
    expect(none.out).toMatch(
      /^there is no such plan: .* nothing disaggregated\n0 plans over all meshes: .*\n$/,
    );
  });

  it('shows the best so far when it is interrupted, and writes nothing', async () => {
    const file = planFile();
    const before = process.listenerCount('SIGINT');
    const run = await duringWork(
      () => process.emit('SIGINT'),
      ...['tune', file, '--plan', 'start', '--top', '9999', '--write'],
    );
    expect(run.status).toBe(130);
    expect(run.out).toMatch(/not looked at/);
    const isAny = /\d simulated to the end/.test(run.out);
    expect(run.out).toMatch(isAny ? /^interrupted: these are the best so far$/m : /^interrupted$/m);
    expect(run.err).toContain(`nothing is written to ${file}: the search was interrupted`);
    expect(readFileSync(file, 'utf8')).toBe(PLAN);
    expect(process.listenerCount('SIGINT')).toBe(before);
  });

  it.each([
    [['plans/clerk.plan'], 2, 'several plans'],
    [['plans/clerk.plan', '--plan', 'reshard'], 2, 'no workload'],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--batch', 'many'], 2, 'whole number'],
    [['plans/seesaw-70b.plan', '--batch', '1e300'], 2, 'whole number'],
    [['plans/seesaw-70b.plan', '--microbatch', '64,1e300'], 2, 'whole number'],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--strategy', 'magic'], 2, 'magic'],
    [
      ['plans/seesaw-70b.plan', '--strategy', 'fused,magic'],
      2,
      "'magic' is none of the choices fused, re-sh",
    ],
    [['plans/seesaw-70b.plan', '--strategy', 'fused,'], 2, "'' is none of the choices fused, re-sharded"],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--kv-cap', '400'], 2, 'sizes such as 400GiB'],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--floor', '0'], 2, 'a number above 0'],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--floor', '1', '--front'], 2, 'cannot be used with'],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--tolerance', '100%'], 2, 'a part such as 1%'],
    [['plans/seesaw-70b.plan', '--plan', 'seesaw', '--tolerance', '-1'], 2, 'a part such as 1%'],
    [['plans/seesaw-70b.plan', '--tolerance', '2%', '--front'], 2, 'cannot be used with'],
  ])('refuses %j', async (args, status, message) => {
    const run = await runInProcess('tune', ...args);
    expect(run).toMatchObject({ status, out: '' });
    expect(run.err).toContain(message);
  });
});
