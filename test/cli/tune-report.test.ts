/** What the tuner found, as text and as values. */
import { describe, expect, it } from 'vitest';
import { formatDuration } from '../../cli/format.js';
import { tunedReport, type Searched } from '../../cli/tune-report.js';
import { describeTuned } from '../../cli/tune-text.js';
import { findCandidates } from '../../compiler/planner/candidates.js';
import { tune } from '../../runtime/tune/tune.js';
import { makePlan } from '../compiler/support/make-plan.js';

const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
const requests = Array.from({ length: 8 }, () => ({ promptTokens: 30, outputTokens: 10 }));
const sizes = { microbatchTokens: [64], batchRequests: [4] };

const searched: Searched = {
  goal: { kind: 'throughput' },
  top: 1,
  sizes,
  strategies: ['fused'],
  byEstimate: false,
  tolerance: 0.02,
  interrupted: false,
  cut: 0,
};

describe('the report of a search', () => {
  const result = tune(findCandidates(plan, ['fused'], sizes), requests, { keep: 3 });
  const wanted = (of: Partial<Searched>): readonly boolean[] =>
    tunedReport(result, { ...searched, ...of }).plans.map((each) => each.wanted);

  it('tells what was asked for from what was simulated to the end beside it', () => {
    const all = result.ranked.map(() => true);
    expect(all.length).toBeGreaterThanOrEqual(3);
    expect(wanted({})).toEqual(all.map((_, place) => place < 1));
    expect(wanted({ top: 2 })).toEqual(all.map((_, place) => place < 2));
    expect(wanted({ top: 99 })).toEqual(all);
    expect(wanted({ interrupted: true })).toEqual(all.map(() => false));
    const { plans } = tunedReport(result, { ...searched, goal: { kind: 'front' } });
    expect(plans.map((each) => each.wanted)).toEqual(plans.map(({ pareto }) => pareto));
  });

  it('gives no rank to rows below the line', () => {
    const [, first, line, second, third] = describeTuned(result, searched, 3).split('\n');
    expect(first).toMatch(/ 1\.00x$/);
    expect(line).toMatch(/^simulated to the end as well; /);
    for (const row of [second, third]) expect(row).toMatch(/ fused .* [mu]s .* 0$/);
    expect(describeTuned(result, { ...searched, top: 3 }, 3)).not.toContain('as well');
  });

  it('says why it shows no plans by estimates where these are rough', () => {
    const rough = /less time between tokens are not shown by estimates, .* --front simulates them/;
    expect(describeTuned(result, { ...searched, roughly: true }, 1)).toMatch(rough);
    expect(describeTuned(result, searched, 1)).not.toMatch(rough);
  });

  it('shows times of any length in three digits', () => {
    const [, first] = describeTuned(result, searched, 1).split('\n');
    const { simulation } = result.ranked[0]!;
    // Short ones, which had nothing left of them in tenths.
    expect(simulation.makespan).toBeLessThan(0.1);
    expect(first).toContain(` ${formatDuration(simulation.makespan)} `);
    expect(first).toContain(` ${formatDuration(simulation.latency.betweenTokens)} `);
    const own = { plan: 'p', requestsPerSecond: 2, betweenTokens: 0.0125 };
    const saying = (betweenTokens: number): string =>
      describeTuned(result, { ...searched, own: { ...own, betweenTokens } }, 1);
    expect(saying(0.01253)).toContain(', 12.5 ms between tokens');
    expect(saying(0.00123)).toContain(', 1.23 ms between tokens');
  });

  it('counts of equals the first alone among those that no other beats', () => {
    const [best] = result.ranked;
    const twice = { ...result, ranked: [best!, best!] };
    expect(tunedReport(twice, searched).plans.map(({ pareto }) => pareto)).toEqual([true, false]);
  });

  it('shows of a front what is on it alone', () => {
    const front = { ...searched, goal: { kind: 'front' } } as const;
    const { plans } = tunedReport(result, front);
    const on = plans.filter(({ pareto }) => pareto);
    expect(on.length).toBeLessThan(plans.length);
    const rows = describeTuned(result, front, Infinity)
      .split('\n')
      .filter((line) => / fused .* [mu]s /.test(line));
    expect(rows).toHaveLength(on.length);
    for (const row of rows) expect(row).toMatch(/^\* .*x$/);
    const steps =
      /^a front in steps by estimates: 5 % less .*, 1 % less .*; --exhaustive finds every plan on it$/m;
    expect(describeTuned(result, front, Infinity)).not.toMatch(steps);
    const some = { ...result, counts: { ...result.counts, outestimated: 1 } };
    expect(describeTuned(some, { ...front, byEstimate: true }, Infinity)).toMatch(steps);
  });

  it('shows what there is beside the best by estimates, and as such', () => {
    const { candidate, simulation } = result.ranked[1]!;
    const seconds = result.ranked[0]!.simulation.makespan * 2;
    const tradeOff = { candidate, seconds, betweenTokens: 0.0125, isSimulated: false };
    const { tradeOffs, plans } = tunedReport(result, searched, [tradeOff]);
    expect(tradeOffs).toEqual([
      {
        strategy: 'fused',
        label: plans[1]!.label,
        stages: plans[1]!.stages,
        hostKvBytes: plans[1]!.hostKvBytes,
        requestsPerSecond: simulation.requests.finished / tradeOff.seconds,
        tokensPerSecond: plans[0]!.tokensPerSecond / 2,
        makespan: tradeOff.seconds,
        betweenTokens: 0.0125,
      },
    ]);
    const lines = describeTuned(result, searched, 1, [tradeOff]).split('\n');
    expect(lines[2]).toMatch(/^estimated, not simulated, .*:$/);
    expect(lines[3]).toMatch(/^~ {2}fused .* ~12\.5 ms .* ~0\.50x$/);
    expect(lines[4]).toMatch(/^\* /);
    expect(describeTuned(result, searched, 1)).not.toContain('estimated');
    // However many were asked for.
    expect(describeTuned(result, { ...searched, top: 99 }, 99, [tradeOff]).match(/^~/gm)).toHaveLength(1);
  });

  it('shows those that were simulated among these, and not once more', () => {
    const { candidate, simulation } = result.ranked[2]!;
    const { makespan: seconds, latency } = simulation;
    const { betweenTokens } = latency;
    const tradeOff = { candidate, seconds, betweenTokens, isSimulated: true };
    expect(tunedReport(result, searched, [tradeOff]).tradeOffs).toEqual([]);
    const shown = describeTuned(result, searched, 1, [tradeOff]);
    expect(shown).not.toContain('estimated');
    const [, , line, row, note] = shown.split('\n');
    expect(line).toMatch(/^simulated to the end as well; /);
    expect(row).toContain(` ${formatDuration(seconds)} `);
    expect(note).toMatch(/^\* /);
  });

  it('counts one as one', () => {
    const { simulated: _simulated, ...others } = result.counts;
    const counts = {
      ...others,
      unfit: 1,
      needless: 1,
      outbid: 1,
      outbidCompiled: 2,
      givenUp: 1,
      simulated: 1,
    };
    expect(describeTuned({ ...result, counts }, { ...searched, tolerance: 0 }, 1)).toContain(
      [
        '1 does not fit',
        '1 has a batch that is never reached',
        '1 cannot win by its bound',
        '2 cannot win by their bound once compiled',
        '1 fell behind in its simulation',
      ].join(', '),
    );
  });

  it('says what bounds may have missed where that was tolerated', () => {
    const { makespan } = result.ranked[0]!.simulation;
    const told = (of: Partial<Searched>, outbid = 1, simulated = result.counts.simulated): string => {
      const counts = { ...result.counts, outbid, outbidCompiled: 0, givenUp: 0, simulated };
      return describeTuned({ ...result, counts, leastLeftOut: 0.985 * makespan }, { ...searched, ...of }, 3);
    };
    expect(told({})).toContain(
      'by proven bounds, what they left out is at most 1.5 % quicker (see --tolerance)',
    );
    expect(told({ interrupted: true })).toContain('what they left out is at most 2 % quicker');
    expect(told({ goal: { kind: 'latency', floor: 1 } })).toContain(
      'what they left out and is as fast as asked has at most 2 % less time between tokens (see --tolerance)',
    );
    expect(told({})).toContain('1 cannot win by more than is tolerated by its bound');
    expect(told({ tolerance: 0 })).toContain('1 cannot win by its bound');
    expect(told({}, 0)).not.toContain('by proven bounds');
    expect(told({}, 1, 0)).not.toContain('by proven bounds');
    expect(told({ tolerance: 0 })).not.toContain('by proven bounds');
  });

  it('says what estimates may have missed, what was cut short and that it was interrupted', () => {
    const rest = (of: Partial<Searched>, counts = result.counts): readonly string[] =>
      describeTuned({ ...result, counts }, { ...searched, ...of }, 3)
        .split('\n')
        .slice(-1);
    const chose =
      'estimates chose what to simulate: what they left out is at most 2 % quicker by them (see --tolerance); --exhaustive goes by proven bounds alone';
    const counts = { ...result.counts, outestimated: 0, givenUp: 0, simulated: 1 };
    expect(rest({ byEstimate: true }, { ...counts, outestimated: 1 })).toEqual([chose]);
    expect(rest({ byEstimate: true }, { ...counts, givenUp: 1, simulated: 0 })).toEqual([chose]);
    // Bounds alone decided, or nothing has been simulated by then.
    expect(rest({ byEstimate: true }, counts)).not.toEqual([chose]);
    expect(rest({ byEstimate: true }, { ...counts, simulated: 0, outestimated: 9 })).not.toEqual([chose]);
    const exact = { byEstimate: true, tolerance: 0 };
    expect(rest(exact, { ...counts, outestimated: 1 })).toEqual([
      'estimates chose what to simulate: what they left out is no quicker by them; --exhaustive goes by proven bounds alone',
    ]);
    const proven = (leastLeftOut: number, of: Partial<Searched> = {}): string => {
      const left = { ...result, counts: { ...counts, outestimated: 1 }, leastLeftOut };
      return describeTuned(left, { ...searched, byEstimate: true, ...of }, 3);
    };
    const { makespan } = result.ranked[0]!.simulation;
    expect(proven(makespan * 0.749)).toContain(
      ' (see --tolerance) and at most 26 % by proven bounds; --exhaustive goes by these alone',
    );
    expect(proven(makespan * 1.1)).toContain(' and no quicker by proven bounds;');
    // Of what nobody looked at no bound is known, and time between tokens has another.
    expect(proven(makespan, { interrupted: true })).not.toContain(' by proven bounds;');
    expect(proven(makespan, { goal: { kind: 'latency', floor: 1 } })).not.toContain(' by proven bounds;');
    const left = { ...result, leastLeftOut: 1.25 };
    expect(tunedReport(left, searched)).toMatchObject({ leastLeftOut: 1.25 });
    expect(tunedReport(left, { ...searched, interrupted: true })).not.toHaveProperty('leastLeftOut');
    const latency = { byEstimate: true, goal: { kind: 'latency', floor: 1 } } as const;
    expect(rest(latency, { ...counts, outestimated: 1 })[0]).toContain(
      'promises at most 2 % less time between tokens',
    );
    expect(rest({}, { ...counts, outestimated: 1 })).not.toEqual([chose]);
    expect(rest({ cut: 3 })).toEqual(['3 answers cut short by the context of the model, with every plan']);
    expect(rest({ interrupted: true })).toEqual(['interrupted: these are the best so far']);
    expect(rest({ interrupted: true }, { ...result.counts, simulated: 0 })).toEqual(['interrupted']);
  });
});
