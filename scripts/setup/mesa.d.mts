/** What the machine description of machine.mjs has of use here. */
export interface Machine {
  readonly ids: readonly string[];
  readonly codename: string;
  readonly mesaCandidate: string | undefined;
  readonly sources: readonly { readonly deb822: boolean; readonly text: string }[];
}

export declare const NO_MATCHING_SOURCE: 'no-matching-source';
export declare function installSteps(
  machine: Machine,
  elevate: string,
): readonly string[] | typeof NO_MATCHING_SOURCE;
