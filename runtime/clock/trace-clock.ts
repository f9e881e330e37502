/** How what happens on the clock appears in a timeline: on the lanes and under the names that a run on devices has. */
import { residencesOf, transitionBetween } from '../../compiler/ir/residences.js';
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import type { RuntimeGraph, RuntimeStage, RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import { createPromptTree } from '../engine/prompt-tree.js';
import { countWork, labelOf } from '../engine/trace-work.js';
import type { StepLabel } from '../exec/pipeline.js';
import type { SchedulerState } from '../scheduler/scheduler.js';
import type { ActionOf, TransitionMode } from '../scheduler/types.js';
import { deviceLane, DISK, HOST } from '../trace/tracer.js';
import type { Slowdown } from './compute.js';
import type { CarriedPages } from './pages.js';
import type { TpGroup } from './stage-clock.js';
import type { InnerSlice, Timeline } from './timeline.js';
import { opsOf, type WeightWait } from './transitions.js';
import type { PortionSpan } from './weights.js';

interface Span {
  readonly start: number;
  readonly end: number;
}

/** How the time of a pass went by, in seconds on the clock. */
export interface PassedTime extends Span {
  /** When each rank was through, where some may have been before the end; in tp order. */
  readonly ends: readonly number[] | undefined;
  /** Seconds of handing on to the next pipeline stage, with waits for links. */
  readonly send: number;
  readonly waits: readonly WeightWait[];
  /**
   * Factors by which its kernels, its exchanges and what else the host does took longer than on devices and links
   * alone.
   */
  readonly slowdown: Slowdown & { readonly exchanges: number };
}

/** A step that has passed a tp group: that of a replica of `stage` at a place in its pipeline. */
interface TracedPass {
  readonly stage: string;
  readonly replica: number;
  readonly pp: number;
  readonly group: TpGroup;
  readonly size: StepSize;
  readonly label: StepLabel;
  readonly time: PassedTime;
}

/** Told by the clock executor of what it does; each function adds to the timeline. */
export interface ClockTrace {
  /** `beginning`: tokens of the prompt as far as others may have them too. */
  readonly arrive: (
    request: number,
    promptTokens: number,
    maxNewTokens: number,
    beginning: readonly number[] | undefined,
  ) => void;
  /** A request is done, with so many tokens of output. */
  readonly leave: (request: number, time: number, tokens: number) => void;
  readonly reject: (request: number, time: number) => void;
  /** The values of counters from a time on. */
  readonly count: (time: number, state: SchedulerState) => void;
  /**
   * The label of a step; `prefill` of its rows are no decode rows, `requests` are those whose path leads through it,
   * `reused` the tokens found before its rows.
   */
  readonly label: (
    action: ActionOf<'step'>,
    prefill: number,
    requests: readonly number[],
    reused: number,
  ) => StepLabel;
  /** The host prepares a step. */
  readonly encode: (action: ActionOf<'step'>, span: Span) => void;
  /** A step passes a tp group. */
  readonly pass: (pass: TracedPass) => void;
  /** A device is done with its part of a page move. */
  readonly pages: (
    action: ActionOf<'page_out' | 'page_in'>,
    device: number,
    span: Span,
    bytes: number,
  ) => void;
  /** Pages on their way over the link of a device. */
  readonly carried: (carried: CarriedPages) => void;
  /**
   * Pages move between the host tier and the disk tier. `span`: from when it is asked for; `carried`: when it goes over
   * the link of the disk.
   */
  readonly spill: (action: ActionOf<'spill' | 'fetch'>, span: Span, carried: Span, bytes: number) => void;
  /** What a device brings near for a transition, on its way over its link. */
  readonly staged: (transition: RuntimeTransition, device: number, span: Span, bytes: number) => void;
  /** Weights are brought near ahead of a transition. `span`: from its announcement to its beginning. */
  readonly prefetch: (transition: RuntimeTransition, span: Span) => void;
  /** `span`: from the transition's beginning to the end of the device's moves. */
  readonly weights: (
    transition: RuntimeTransition,
    device: number,
    span: Span,
    portions: readonly PortionSpan[],
  ) => void;
  /** A change of stage, from its beginning until all weights are there. */
  readonly transition: (from: string, to: string, mode: TransitionMode, span: Span, bytes: number) => void;
}

/** Adds to a timeline what the clock executor does with a graph. */
export function createClockTrace(graph: RuntimeGraph, timeline: Timeline): ClockTrace {
  const paths = new Map(graph.devices.map(({ id, path }) => [id, path]));
  const stages = new Map(graph.stages.map((stage) => [stage.name, stage]));
  const { add, keeps } = timeline;
  const exchanges = new Map(
    graph.stages.flatMap(({ programs }) =>
      programs.map((program) => [program, program.ops.filter(({ op }) => op !== 'kernel').length] as const),
    ),
  );
  const at = (time: number): Span => ({ start: time, end: time });
  const { origin } = graph.flow;
  const residences = residencesOf(graph);
  const prompts = createPromptTree();
  /** What devices have brought near since they last began a transition that had been announced. */
  const staged = new Map<number, (Span & { readonly bytes: number })[]>();
  return {
    arrive(request, promptTokens, maxNewTokens, beginning) {
      const flows = [{ phase: 'start', request }] as const;
      const like = beginning && prompts.add(request, beginning);
      const args = { request, promptTokens, maxNewTokens, ...like, origin };
      add({ lane: HOST.requests, name: 'arrive', ...at(0), args, flows });
    },
    leave(request, time, tokens) {
      const flows = [{ phase: 'end', request }] as const;
      add({ lane: HOST.requests, name: 'finish', ...at(time), args: { request, tokens, origin }, flows });
    },
    reject: (request, time) =>
      add({ lane: HOST.requests, name: 'reject', ...at(time), args: { request, origin } }),
    count: (time, state) =>
      countWork({ counter: (name, values) => timeline.count(time, name, values) }, { state: () => state }),
    label: (action, prefill, requests, reused) =>
      labelOf(action, stages.get(action.stage)!, prefill, requests, reused),
    encode: ({ id: step, stage }, span) =>
      add({ lane: HOST.encode, name: 'encode', ...span, args: { step, origin: stages.get(stage)!.origin } }),
    pass({ stage, replica, pp, group, size, label, time }) {
      const { mesh, programs } = stages.get(stage)!;
      const program = programs[pp]!;
      const choosing = group.cost.choosing(size) * time.slowdown.host;
      if (choosing > 0) {
        const args = { rows: size.samples, origin: stages.get(stage)!.origin };
        add({ lane: HOST.sample, name: 'sample', start: time.end - choosing, end: time.end, args });
      }
      for (const [tp, device] of group.devices.entries()) {
        const lane = deviceLane(paths.get(device)!, 'queue');
        if (!keeps(lane)) continue;
        const rank = (replica * mesh.pp + pp) * mesh.tp + tp;
        const flows = label.requests.map((request) => ({ phase: 'through' as const, request }));
        const end = time.ends?.[tp] ?? time.end;
        add({
          lane,
          name: label.name,
          start: time.start,
          end,
          args: { ...label.args, rank, pp, tp },
          within: () => partsOf(program, group, device, size, { ...time, end }),
          // Kernels stand between exchanges.
          withinCount: 2 * exchanges.get(program)! + 1,
          ...(pp === 0 && tp === 0 && flows.length > 0 ? { flows } : {}),
        });
      }
    },
    pages({ kind, sequence, pool, pages }, device, span, bytes) {
      const { origin } = graph.stages.find((stage) => stage.pool === pool)!;
      const args = { sequence, pool, pages: pages.length, origin, bytes };
      add({ lane: deviceLane(paths.get(device)!, 'copy'), name: kind, ...span, args });
    },
    carried({ pool, direction, device, start, end, pages, bytes }) {
      const { origin } = graph.stages.find((stage) => stage.pool === pool)!;
      const lane = deviceLane(paths.get(device)!, 'link');
      add({ lane, name: `KV ${direction}`, start, end, args: { pool, pages, origin, bytes } });
    },
    spill({ kind, sequence, hostPages }, span, carried, bytes) {
      const args = { sequence, pages: hostPages.length, origin: graph.diskTier!.origin };
      const [lane, way] = kind === 'spill' ? [DISK.write, 'to'] : [DISK.read, 'from'];
      add({ lane, name: kind, ...span, args });
      add({ lane: DISK.link, name: `KV ${way} disk`, ...carried, args: { ...args, bytes } });
    },
    staged({ from, to, origin }, device, span, bytes) {
      const lane = deviceLane(paths.get(device)!, 'link');
      add({ lane, name: `weights ahead ${from} -> ${to}`, ...span, args: { origin, bytes } });
      const near = staged.get(device) ?? [];
      staged.set(device, near);
      near.push({ ...span, bytes });
    },
    prefetch({ from, to, origin, devices }, span) {
      for (const { device } of devices) {
        const lane = deviceLane(paths.get(device)!, 'weights');
        const near = (staged.get(device) ?? []).filter(
          ({ start, end }) => start >= span.start && end <= span.end,
        );
        staged.delete(device);
        const bytes = near.reduce((sum, each) => sum + each.bytes, 0);
        add({ lane, name: `prefetch ${from} -> ${to}`, ...span, args: { origin, bytes } });
      }
    },
    weights({ from, to, origin }, device, span, portions) {
      const lane = deviceLane(paths.get(device)!, 'weights');
      const bytes = portions.reduce((sum, portion) => sum + portion.bytes, 0);
      add({ lane, name: `${from} -> ${to}`, ...span, args: { origin, bytes } });
      for (const { layer, start, end, bytes: moved } of portions) {
        const name = layer === undefined ? 'outside layers' : `layers.${layer}`;
        add({ lane, name, start, end, args: { origin, bytes: moved } });
      }
    },
    transition(from, to, mode, span, bytes) {
      const cause = transitionBetween(graph, residences, from, to)?.origin;
      add({
        lane: HOST.transitions,
        name: `${from} -> ${to}`,
        ...span,
        args: { mode, bytes, origin: cause },
      });
    },
  };
}

/**
 * Kernels, exchanges and waits of a pass on a device, one after the other: kernels end where the device is through with
 * them, and what follows comes once all devices are. What is handed on comes last, and behind the time by which page moves
 * have made the pass late.
 */
function partsOf(
  program: RuntimeStage['programs'][number],
  { cost, kinds }: TpGroup,
  device: number,
  size: StepSize,
  { start, end, send, waits, slowdown }: PassedTime,
): readonly InnerSlice[] {
  const parts: InnerSlice[] = [];
  let at = start;
  const push = (name: string, seconds: number, op: number, ownSeconds = seconds): void => {
    const until = (part: number): number => Math.min(end, at + Math.max(0, part));
    parts.push({ name, start: at, end: until(ownSeconds), args: { op, origin: program.ops[op]!.origin } });
    at = until(seconds);
  };
  const cuts = opsOf(waits);
  const together = cost.outline(size, cuts);
  const { cost: ofKind } = kinds.find(({ devices }) => devices.includes(device))!;
  const own = ofKind === cost ? together : ofKind.outline(size, cuts);
  let waited = 0;
  for (const [index, { what, op, seconds, submit }] of together.entries()) {
    const wait = waits[waited];
    if (wait?.op === op) {
      push('wait for weights', wait.end - wait.start, op);
      waited++;
    }
    const described = program.ops[op]!;
    const name =
      described.op === 'collective'
        ? `${described.kind} ${described.axis}`
        : what === 'sample'
          ? 'read samples'
          : what;
    if (what === 'send') {
      at = Math.max(at, end - send);
      push(name, send, op);
    } else if (what === 'collective') push(name, seconds * slowdown.exchanges, op);
    else {
      const kernels = (pure: number): number => pure * slowdown.kernels + submit * slowdown.host;
      push(name, kernels(seconds), op, kernels(own[index]!.seconds));
    }
  }
  return parts;
}
