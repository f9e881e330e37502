/** What is said of links that a simulation used. */
import { describe, expect, it } from 'vitest';
import { simulationReport } from '../../cli/simulation-report.js';
import { compilePlan } from '../../compiler/compile.js';
import type { LaneUse } from '../../runtime/clock/lanes.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { makePlan } from '../compiler/support/make-plan.js';

const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
const simulation = simulate(compilePlan(plan).runtime, plan, [{ promptTokens: 9, outputTokens: 5 }]);

const linkUse = (links: readonly LaneUse[]) =>
  simulationReport({ plan: 'p', simulation: { ...simulation, makespan: 1, links } }).linkUse;

const lane = (
  link: string,
  [from, to]: readonly [string, string],
  place: string,
  direction: LaneUse['direction'],
  bytes: number,
): LaneUse => ({ link, from, to, place, direction, bytes, busy: bytes / 1000 });

describe('links in use', () => {
  it('are told by both ends, whichever of them has the lane', () => {
    expect(
      linkUse([
        lane('node[*]: gpu <-> host', ['gpu', 'host'], 'node[0].gpu[0]', 'out', 300),
        lane('node[*]: gpu <-> host', ['gpu', 'host'], 'node[1].gpu[0]', 'out', 100),
        lane('node[*]: gpu <-> host', ['host', 'gpu'], 'node[0].gpu[0]', 'in', 50),
        lane('host <-> nvme', ['host', 'nvme'], 'nvme', 'in', 200),
        lane('nvme <-> host', ['nvme', 'host'], 'nvme', 'out', 70),
        lane('gpu memory', ['gpu', 'gpu'], 'gpu[0]', 'within', 30),
      ]),
    ).toEqual([
      { link: 'node[*]: gpu <-> host, gpu to host', bytes: 400, busiest: 0.3 },
      { link: 'node[*]: gpu <-> host, host to gpu', bytes: 50, busiest: 0.05 },
      { link: 'host <-> nvme, host to nvme', bytes: 200, busiest: 0.2 },
      { link: 'nvme <-> host, nvme to host', bytes: 70, busiest: 0.07 },
      { link: 'gpu memory', bytes: 30, busiest: 0.03 },
    ]);
  });

  it('count once what leaves one end and reaches the other', () => {
    expect(
      linkUse([
        lane('gpu <-> gpu', ['gpu', 'gpu'], 'gpu[0]', 'out', 60),
        lane('gpu <-> gpu', ['gpu', 'gpu'], 'gpu[1]', 'out', 30),
        lane('gpu <-> gpu', ['gpu', 'gpu'], 'gpu[2]', 'in', 90),
        lane('gpu <-> nvme', ['gpu', 'nvme'], 'gpu[0]', 'out', 40),
        lane('gpu <-> nvme', ['gpu', 'nvme'], 'nvme', 'in', 40),
      ]),
    ).toEqual([
      { link: 'gpu <-> gpu', bytes: 90, busiest: 0.09 },
      { link: 'gpu <-> nvme, gpu to nvme', bytes: 40, busiest: 0.04 },
    ]);
  });
});
