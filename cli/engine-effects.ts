/** Effects of an engine that are simulated: as the command line switches them, and as they are told. */
import { ENGINE_EFFECTS, FULCRUM_ENGINE, type EngineModel } from '../compiler/cost/engine-model.js';

type Effect = keyof EngineModel;

/** What a command line adds to the engine of a plan, and leaves out. */
export interface EngineSwitches {
  readonly with?: readonly string[];
  readonly without?: readonly string[];
}

/** Effects by the names that they have on the command line. */
const EFFECTS: ReadonlyMap<string, Effect> = new Map(
  Object.entries(ENGINE_EFFECTS).map(([name, effect]) => [name.replaceAll('_', '-'), effect]),
);

export const EFFECT_NAMES: readonly string[] = [...EFFECTS.keys()];

/** The engine with what the command line adds and leaves out. */
export function switched(engine: EngineModel, { with: added, without }: EngineSwitches): EngineModel {
  const set = (names: readonly string[] | undefined, value: boolean): Partial<EngineModel> =>
    Object.fromEntries((names ?? []).map((name) => [EFFECTS.get(name)!, value]));
  return { ...engine, ...set(added, true), ...set(without, false) };
}

/** What is not as in Fulcrum's own engine, whoever said so. */
export function describeEffects(engine: EngineModel): readonly string[] {
  const unusual = [...EFFECTS].filter(([, effect]) => engine[effect] !== FULCRUM_ENGINE[effect]);
  return [true, false].flatMap((value) => {
    const names = unusual.filter(([, effect]) => engine[effect] === value).map(([name]) => name);
    return names.length === 0 ? [] : [`${value ? 'with' : 'without'} ${names.join(', ')}`];
  });
}

/** The effects that are the same in all of them. */
export function effectsInCommon([first, ...others]: readonly EngineModel[]): Partial<EngineModel> {
  return Object.fromEntries(
    Object.values(ENGINE_EFFECTS).flatMap((effect) =>
      first !== undefined && others.every((other) => other[effect] === first[effect])
        ? [[effect, first[effect]]]
        : [],
    ),
  );
}
