/**
 * Verifies one program of a runtime graph: operands and parameters against the kernel table, values written before
 * they are read, no two living values in one slot, and every wait that data, buffer reuse or exchange order demands
 * implied by `after`.
 */
import {
  KERNELS,
  kernelOperands,
  type KernelFacts,
  type KernelSpec,
  type OperandSpec,
} from './kernel-table.js';
import { isQuantised, vectorType, type WeightType } from '../model/weight-types.js';
import { EXCHANGE, opAccess, pagesOf, resourceName, type OpAccess } from './op-access.js';
import { activationStride } from './device-layout.js';
import type { KvPool, RuntimeStage, RuntimeWeight } from './runtime-graph.js';
import type { AllGatherOp, KernelOp, Operand, Program, RuntimeOp } from './runtime-program.js';

/** Problems of a program; each names the op. */
export function verifyProgram(
  stage: RuntimeStage,
  program: Program,
  pool: KvPool | undefined,
): readonly string[] {
  const problems: string[] = [];
  const held = holdingsOf(stage, program, pool);
  program.ops.forEach((op, index) => {
    const complain = (what: string): void => void problems.push(`op ${index} (${opName(op)}): ${what}`);
    if (op.id !== index) complain(`has id ${op.id}`);
    if (op.after.some((wait) => wait < 0 || wait >= index)) complain('waits for an op that is not before it');
    if (op.op === 'kernel') verifyKernel(stage, program, held, op, complain);
    else if (!program.values[op.op === 'sample' ? op.logits : op.value]) complain('names no value');
    if (op.op === 'collective') {
      if (stage.mesh.tp === 1) complain('a collective over one rank');
      if (op.kind === 'all_gather') verifyGather(stage, program, op, complain);
    }
    if (op.op === 'sample') {
      const cols = program.values[op.logits]?.cols;
      if (cols !== op.vocabPerRank) complain(`${cols} logits for ${op.vocabPerRank} vocabulary entries`);
      const all = op.split === 'tp' ? op.vocabPerRank * stage.mesh.tp : op.vocabPerRank;
      if (all < op.vocab) complain(`${all} columns for a vocabulary of ${op.vocab}`);
    }
  });
  if (problems.length > 0) return problems;
  const touched = program.ops.map(opAccess);
  return [...verifySlots(stage, program, touched), ...verifyOrder(program, touched)];
}

/** Equal parts, side by side. */
function verifyGather(
  { mesh }: RuntimeStage,
  { values }: Program,
  op: AllGatherOp,
  complain: (what: string) => void,
): void {
  const [part, whole] = [values[op.value], values[op.out]];
  if (!whole) return complain('gathers into no value');
  if (part && part.rows !== whole.rows) complain(`gathers ${part.rows} into ${whole.rows}`);
  if (part && part.cols * mesh.tp !== whole.cols)
    complain(`${mesh.tp} times ${part.cols} columns do not make ${whole.cols}`);
}

/** What the ranks of a program have, sorted once for all its ops. */
interface ProgramHoldings {
  /** By id, of every shard. */
  readonly weights: readonly ReadonlyMap<string, RuntimeWeight>[];
  /** One of its ranks in the pool. */
  readonly rank: KvPool['ranks'][number] | undefined;
}

function holdingsOf(
  { shards, ranks }: RuntimeStage,
  { pp }: Program,
  pool: KvPool | undefined,
): ProgramHoldings {
  const devices = new Set(ranks.filter((rank) => rank.pp === pp).map(({ device }) => device));
  return {
    weights: shards
      .filter((shard) => shard.pp === pp)
      .map(({ weights }) => new Map(weights.map((weight) => [weight.id, weight]))),
    rank: pool?.ranks.find(({ device }) => devices.has(device)),
  };
}

function opName(op: RuntimeOp): string {
  return op.op === 'kernel' ? op.kernel : op.op;
}

function verifyKernel(
  stage: RuntimeStage,
  program: Program,
  held: ProgramHoldings,
  op: KernelOp,
  complain: (what: string) => void,
): void {
  const spec = KERNELS[op.kernel];
  const misused = misusedParams(spec, op.params);
  if (misused !== undefined) return complain(misused);
  if (op.dtype && isQuantised(op.dtype) && op.kernel !== 'matmul' && op.kernel !== 'embed') {
    return complain(`takes no ${op.dtype}`);
  }
  const expected = kernelOperands(op.kernel, op.params);
  if (expected.length !== op.operands.length) {
    return complain(`has ${op.operands.length} operands, not ${expected.length}`);
  }
  const cols: Record<string, number> = {};
  const weights: Record<string, readonly [number, number]> = {};
  let broken = false;
  for (let index = 0; index < expected.length; index++) {
    const why = checkOperand(program, held, op, expected[index]!, op.operands[index]!, cols, weights);
    if (why === undefined) continue;
    broken = true;
    complain(`operand ${index} ${why}`);
  }
  if (broken) return;
  const facts: KernelFacts = { cols, weights, params: op.params, tp: stage.mesh.tp };
  for (const [what, left, right] of spec.equal(facts)) {
    if (left !== right) complain(`${what}: ${left}, not ${right}`);
  }
}

/** What is wrong about the parameters of a kernel, or undefined. */
function misusedParams(spec: KernelSpec, params: KernelOp['params']): string | undefined {
  // Most have what they should: that is seen before anything is listed.
  const isMissing = (name: string): boolean => typeof params[name] !== 'number';
  if (spec.params.some(isMissing)) return `lacks ${spec.params.filter(isMissing).join(', ')}`;
  const given = Object.keys(params);
  if (given.length === spec.params.length) return undefined;
  const meaningless = given.filter(
    (name) => !spec.params.includes(name) && spec.optional?.includes(name) !== true,
  );
  return meaningless.length > 0 ? `has ${meaningless.join(', ')}, which mean nothing to it` : undefined;
}

/** Element type that a weight operand must have. */
function weightOperandType({ kernel, dtype }: KernelOp, name: string): WeightType | undefined {
  if (kernel === 'rope_append') return 'f32';
  return name === 'bias' && dtype ? vectorType(dtype) : dtype;
}

/** Why an operand is wrong, or undefined; notes its shape. */
function checkOperand(
  program: Program,
  held: ProgramHoldings,
  op: KernelOp,
  spec: OperandSpec,
  operand: Operand,
  cols: Record<string, number>,
  weights: Record<string, readonly [number, number]>,
): string | undefined {
  if (spec.kind === 'value') {
    if (!('value' in operand)) return 'is no value';
    const value = program.values[operand.value];
    if (!value) return 'names no value';
    cols[spec.name] = value.cols;
    if (spec.rows && value.rows !== spec.rows) return `has ${value.rows} rows`;
    const gathers = op.kernel === 'gather_rows' && spec.name === 'x';
    return !gathers && value.rows !== op.rows ? `has ${value.rows} rows, the kernel ${op.rows}` : undefined;
  }
  if (spec.kind === 'weight') {
    if (!('weight' in operand)) return 'is no weight';
    const first = held.weights[0]?.get(operand.weight);
    if (!first) return `names no weight (${operand.weight})`;
    for (const weights of held.weights) {
      const weight = weights.get(operand.weight);
      if (weight?.rows !== first.rows || weight.cols !== first.cols)
        return 'has another shape on another rank';
    }
    const dtype = weightOperandType(op, spec.name);
    if (first.dtype !== dtype) return `is ${first.dtype}, not ${dtype}`;
    weights[spec.name] = [first.rows, first.cols];
    return undefined;
  }
  if (spec.kind === 'step') {
    return 'step' in operand && operand.step === spec.region ? undefined : `is not step.${spec.region}`;
  }
  if (spec.kind === 'rope') return 'constant' in operand ? undefined : 'is not the rope constant';
  if (!('kv' in operand)) return 'is not kv';
  const { rank } = held;
  const group = rank?.groups[operand.kv];
  if (!rank || !group) return `names no layer group (${operand.kv})`;
  if (op.params['groupLayers'] !== group[1] - group[0]) return 'does not know its layer group';
  if (group[0] + op.params['layer']! !== op.layer) return 'reads the pages of another layer';
  return op.params['kvHeads'] === rank.heads[1] - rank.heads[0]
    ? undefined
    : 'has other heads than the pages';
}

/** `touched`: what each op reads and writes. */
function verifySlots(stage: RuntimeStage, program: Program, touched: readonly OpAccess[]): string[] {
  const problems: string[] = [];
  const rows = { tokens: stage.maxTokens, samples: stage.maxSequences };
  const spans = program.values.map(() => ({ first: Infinity, last: -1 }));
  touched.forEach(({ reads, writes }, index) => {
    const use = (value: number): void => {
      const span = spans[value]!;
      span.first = Math.min(span.first, index);
      span.last = index;
    };
    for (const value of reads)
      if (spans[value]!.first === Infinity)
        problems.push(`op ${index} reads value ${value} before it is written`);
    reads.forEach(use);
    writes.forEach(use);
  });
  const inSlot = new Map<number, number[]>();
  program.values.forEach((value, index) => {
    if (value.id !== index) problems.push(`value ${index} has id ${value.id}`);
    const slot = program.slots[value.slot];
    if (!slot) problems.push(`value ${value.name} has no slot`);
    else if (slot.bytes < rows[value.rows] * activationStride(value.cols) * 4) {
      problems.push(`slot ${value.slot} is too small for ${value.name}`);
    }
    const values = inSlot.get(value.slot);
    if (values) values.push(index);
    else inSlot.set(value.slot, [index]);
  });
  for (const [slot, values] of inSlot) {
    // In the order in which they begin, one that lives longest of those before is met by whoever meets any of them.
    values.sort((a, b) => spans[a]!.first - spans[b]!.first || a - b);
    let longest = values[0]!;
    for (const value of values.slice(1)) {
      if (spans[value]!.first <= spans[longest]!.last) {
        const [a, b] = [longest, value].sort((one, other) => one - other);
        const names = `${program.values[a!]!.name} and ${program.values[b!]!.name}`;
        problems.push(`${names} live in slot ${slot} at the same time`);
      }
      if (spans[value]!.last > spans[longest]!.last) longest = value;
    }
  }
  return problems;
}

/** Every pair of ops that touch one resource, one of them writing, must be ordered by `after`. */
function verifyOrder(program: Program, touched: readonly OpAccess[]): string[] {
  const problems: string[] = [];
  // One bit for every op that is known to come before: sets of numbers would take a thousand times the memory.
  const before: Uint32Array[] = [];
  /** Of every resource the last op that writes it, and those since that read it: those before it waits for itself. */
  const users = new Map<number, ResourceUser[]>();
  const { values } = program;
  program.ops.forEach((op, index) => {
    const mine = new Uint32Array((index >> 5) + 1);
    for (const wait of op.after) {
      const theirs = before[wait]!;
      for (let word = 0; word < theirs.length; word++) mine[word]! |= theirs[word]!;
      mine[wait >> 5]! |= 1 << (wait & 31);
    }
    before.push(mine);
    const touch = (resource: number, writes: boolean): void => {
      const earlier = users.get(resource);
      if (earlier === undefined) {
        users.set(resource, [{ op: index, writes }]);
        return;
      }
      for (const user of earlier) {
        if (!writes && !user.writes) continue;
        if (user.op !== index && (mine[user.op >> 5]! & (1 << (user.op & 31))) === 0)
          problems.push(`op ${index} does not wait for op ${user.op}, which uses ${resourceName(resource)}`);
      }
      if (writes) users.set(resource, [{ op: index, writes }]);
      else if (earlier.at(-1)!.op !== index) earlier.push({ op: index, writes });
    };
    const access = touched[index]!;
    const slotOf = (value: number): number => values[value]!.slot;
    // What an op reads and writes is looked at once, as written.
    for (const value of access.reads)
      if (!access.writes.some((written) => slotOf(written) === slotOf(value))) touch(slotOf(value), false);
    for (const value of access.writes) touch(slotOf(value), true);
    if (access.readsKv || access.writesKv)
      touch(pagesOf('layer' in op ? op.layer : undefined), access.writesKv);
    if (access.communicates) touch(EXCHANGE, true);
  });
  return problems;
}

interface ResourceUser {
  readonly op: number;
  readonly writes: boolean;
}
