/**
 * Sizes that an axis of a mesh can have: they divide what the other axes leave of the stage's devices, and the model
 * can be split that many ways. Worked out from trees, as far as the numbers stand in them.
 */
import type {
  Expr,
  ModelDecl,
  PathExpr,
  PlanDecl,
  StageDecl,
  TopologyDecl,
  TopologyMember,
} from '../../grammar/syntax.js';
import type { GrammarPosition } from './position.js';
import { findGlobal, stagesOf, subjectOf } from './resolve.js';
import type { Workspace } from './workspace.js';

/** Without knowing devices or model: what people write. */
const USUAL = [1, 2, 4, 8, 16];

/** Valid sizes for the axis at a position inside `mesh (`, smallest first. */
export function validSizes(
  workspace: Workspace,
  path: string,
  plan: PlanDecl,
  position: GrammarPosition,
): readonly number[] {
  const axis = position.before.at(-2) ?? '';
  const number = numberReader(workspace, path);
  const stage = plan.members.findLast(
    (member): member is StageDecl => member.kind === 'stage' && member.span.start <= position.typingStart,
  );
  const devices = stage && deviceCount(workspace, path, plan, stage);
  if (devices === undefined) return USUAL;
  // What stands behind the offset takes devices as well.
  const taken = position.beside
    .filter(([name, colon]) => colon === ':' && name !== axis)
    .reduce((product, [, , size = '']) => product * (/^\d+$/.test(size) ? Number(size) : 1), 1);
  if (devices % taken !== 0) return [];
  const room = devices / taken;
  const model = subjectOf(workspace, path, plan, 'model');
  const dims =
    model &&
    readDims(model.node as ModelDecl, model.path === path ? number : numberReader(workspace, model.path));
  return Array.from({ length: room }, (_, index) => index + 1).filter(
    (size) => room % size === 0 && (dims === undefined || fitsModel(axis, size, dims)),
  );
}

type Dims = Readonly<Partial<Record<'heads' | 'kv_heads' | 'ffn' | 'layers', number>>>;

function fitsModel(
  axis: string,
  size: number,
  { heads, kv_heads: kvHeads = heads, ffn, layers }: Dims,
): boolean {
  if (axis === 'pp') return layers === undefined || size <= layers;
  if (axis !== 'tp') return true;
  return [heads, kvHeads, ffn].every((dim) => dim === undefined || dim % size === 0);
}

function readDims(model: ModelDecl, number: NumberReader): Dims {
  const dims: Record<string, number> = {};
  for (const member of model.members) {
    if (member.kind !== 'property') continue;
    const value = number(member.value);
    if (value !== undefined) dims[member.name.text] = value;
  }
  return dims;
}

type NumberReader = (expr: Expr) => number | undefined;

/** The number of a literal or of a param's default. */
function numberReader(workspace: Workspace, path: string): NumberReader {
  return (expr) => {
    if (expr.kind === 'number') return expr.value;
    if (expr.kind !== 'path' || expr.segments.length !== 1) return undefined;
    const found = findGlobal(workspace, path, expr.segments[0]!.name.text);
    return found?.node.kind === 'param' && found.node.value.kind === 'number'
      ? found.node.value.value
      : undefined;
  };
}

/** How many devices a stage stands on. */
function deviceCount(
  workspace: Workspace,
  path: string,
  plan: PlanDecl,
  stage: StageDecl,
): number | undefined {
  const on = stage.on ?? likeOf(workspace, path, plan, stage)?.on;
  const topology = subjectOf(workspace, path, plan, 'topology');
  if (on === undefined || topology === undefined) return undefined;
  const [declared, written] = [numberReader(workspace, topology.path), numberReader(workspace, path)];
  return on.reduce<number | undefined>((sum, range) => {
    if (range.kind !== 'path' || sum === undefined) return undefined;
    const count = countPath(range, topology.node as TopologyDecl, declared, written);
    return count === undefined ? undefined : sum + count;
  }, 0);
}

function likeOf(workspace: Workspace, path: string, plan: PlanDecl, stage: StageDecl): StageDecl | undefined {
  const name = stage.like?.text ?? stage.name.text;
  const found = stagesOf(workspace, path, plan).find(({ node }) => node !== stage && node.name.text === name);
  return found?.node.kind === 'stage' ? found.node : undefined;
}

function countPath(
  { segments }: PathExpr,
  topology: TopologyDecl,
  declared: NumberReader,
  written: NumberReader,
): number | undefined {
  let members: readonly TopologyMember[] = topology.members;
  let product = 1;
  for (const { name, index } of segments) {
    const place = members.find(
      (member): member is Extract<TopologyMember, { kind: 'devices' | 'group' }> =>
        (member.kind === 'devices' || member.kind === 'group') && member.name.text === name.text,
    );
    if (place === undefined) return undefined;
    const all = place.count === undefined ? 1 : declared(place.count);
    const first = index && written(index.first);
    const last = index?.last ? written(index.last) : first;
    const count =
      index === undefined ? all : first === undefined || last === undefined ? undefined : last - first + 1;
    if (count === undefined || count < 1) return undefined;
    product *= count;
    if (place.kind === 'group') members = place.members;
  }
  return product;
}
