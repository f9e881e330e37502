/**
 * The syntax tree of a plan file: what was written, before any name is looked up.
 *
 * Every node carries a half-open span of UTF-16 offsets into its file. A tree is always produced, also for a file
 * with errors: what could not be parsed becomes an `unknown` item or an `error` expression, and everything around
 * it stands.
 */

/** Half-open range of UTF-16 offsets in one file. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Name {
  readonly text: string;
  readonly span: Span;
}

// ---------------------------------------------------------------- expressions

export type Expr =
  | NumberExpr
  | QuantityExpr
  | StringExpr
  | BoolExpr
  | PathExpr
  | ListExpr
  | RecordExpr
  | MeshExpr
  | CallExpr
  | UnaryExpr
  | BinaryExpr
  | ChainExpr
  | ErrorExpr;

export interface NumberExpr {
  readonly kind: 'number';
  readonly value: number;
  readonly span: Span;
}

/** `24 GiB`, `300 GB/s`, `16 tokens`, `20%`: `unit.text` is exactly as written (`GB/s`, `%`). */
export interface QuantityExpr {
  readonly kind: 'quantity';
  readonly value: number;
  readonly unit: Name;
  readonly span: Span;
}

export interface StringExpr {
  readonly kind: 'string';
  readonly value: string;
  readonly span: Span;
}

export interface BoolExpr {
  readonly kind: 'bool';
  readonly value: boolean;
  readonly span: Span;
}

/** `gpu`, `gpu[0..3]`, `node[0..7].gpu`, `host.used`, `fill`, `auto`, `f16`. */
export interface PathExpr {
  readonly kind: 'path';
  readonly segments: readonly PathSegment[];
  readonly span: Span;
}

export interface PathSegment {
  readonly name: Name;
  /** `[i]` has `first` only; `[a..b]` is inclusive on both ends. */
  readonly index?: { readonly first: Expr; readonly last?: Expr; readonly span: Span };
}

export interface ListExpr {
  readonly kind: 'list';
  readonly items: readonly Expr[];
  readonly span: Span;
}

/** `{ f16: 121 TFLOPS, 8: 1.8 GB/s }`: keys are names or integers, kept as written. */
export interface RecordExpr {
  readonly kind: 'record';
  readonly entries: readonly { readonly key: Name; readonly value: Expr }[];
  readonly span: Span;
}

/** `(pp: 2, tp: 4)`: axis sizes. */
export interface MeshExpr {
  readonly kind: 'mesh';
  readonly entries: readonly { readonly axis: Name; readonly size: Expr }[];
  readonly span: Span;
}

/** `peak(decode, gpu)`, `bytes(prefill -> decode, per: token)`, `random(7)`. */
export interface CallExpr {
  readonly kind: 'call';
  readonly callee: Name;
  readonly args: readonly { readonly name?: Name; readonly value: Expr }[];
  readonly span: Span;
}

export interface UnaryExpr {
  readonly kind: 'unary';
  readonly op: '-' | 'not';
  readonly operand: Expr;
  readonly span: Span;
}

export type BinaryOperator = '+' | '-' | '*' | '/' | '<' | '<=' | '>' | '>=' | '==' | '!=' | 'and' | 'or';

export interface BinaryExpr {
  readonly kind: 'binary';
  readonly op: BinaryOperator;
  readonly left: Expr;
  readonly right: Expr;
  readonly span: Span;
}

/** `gpu -> host up to 400 GiB -> nvme`: links of a tier chain or of a flow edge inside a call. */
export interface ChainExpr {
  readonly kind: 'chain';
  readonly links: readonly { readonly target: PathExpr; readonly upTo?: Expr }[];
  readonly span: Span;
}

/** Stands where an expression was expected and none could be read. */
export interface ErrorExpr {
  readonly kind: 'error';
  readonly span: Span;
}

// ---------------------------------------------------------------- shared members

/** `name: value`. */
export interface Property {
  readonly kind: 'property';
  readonly name: Name;
  readonly value: Expr;
  readonly doc?: string;
  readonly span: Span;
}

/** An item whose leading word is no keyword of its place; its tail and balanced block are skipped. */
export interface UnknownItem {
  readonly kind: 'unknown';
  readonly keyword: Name;
  readonly span: Span;
}

interface Declaration {
  readonly name: Name;
  /** Text of the `///` lines above, without the slashes. */
  readonly doc?: string;
  readonly span: Span;
}

// ---------------------------------------------------------------- top-level items

export interface SourceFile {
  readonly kind: 'file';
  readonly path: string;
  readonly text: string;
  readonly items: readonly Item[];
  readonly span: Span;
}

export type Item =
  | LanguageDecl
  | ImportDecl
  | ParamDecl
  | DeviceDecl
  | TopologyDecl
  | ModelDecl
  | WorkloadDecl
  | PlanDecl
  | UnknownItem;

/** `language 1`. */
export interface LanguageDecl {
  readonly kind: 'language';
  readonly edition: NumberExpr | ErrorExpr;
  readonly span: Span;
}

/** `import { a, b as c } from "std/aws"`. */
export interface ImportDecl {
  readonly kind: 'import';
  readonly names: readonly { readonly name: Name; readonly alias?: Name }[];
  readonly from: StringExpr | ErrorExpr;
  readonly span: Span;
}

/** `param decode_tp: int = 4 in [1, 2, 4]`. */
export interface ParamDecl extends Declaration {
  readonly kind: 'param';
  readonly type: Name;
  readonly value: Expr;
  readonly domain?: ListExpr;
}

export interface DeviceDecl extends Declaration {
  readonly kind: 'device';
  readonly members: readonly (Property | UnknownItem)[];
}

export interface ModelDecl extends Declaration {
  readonly kind: 'model';
  readonly members: readonly (Property | UnknownItem)[];
}

export interface WorkloadDecl extends Declaration {
  readonly kind: 'workload';
  readonly members: readonly (Property | UnknownItem)[];
}

export interface TopologyDecl extends Declaration {
  readonly kind: 'topology';
  readonly members: readonly TopologyMember[];
}

export type TopologyMember =
  DeviceArray | GroupDecl | TierDecl | LinkDecl | OverheadDecl | Property | UnknownItem;

/** `gpu[8]: l4`; a single device is `gpu: l4`. */
export interface DeviceArray extends Declaration {
  readonly kind: 'devices';
  readonly count?: Expr;
  readonly device: PathExpr | ErrorExpr;
}

/** `node[16] { ... }`. */
export interface GroupDecl extends Declaration {
  readonly kind: 'group';
  readonly count?: Expr;
  readonly members: readonly TopologyMember[];
}

/** `tier host { capacity: 640 GiB }`. */
export interface TierDecl extends Declaration {
  readonly kind: 'tier';
  readonly members: readonly (Property | UnknownItem)[];
}

/** `link gpu <-> host { ... }`. */
export interface LinkDecl {
  readonly kind: 'link';
  readonly from: PathExpr | ErrorExpr;
  readonly to: PathExpr | ErrorExpr;
  readonly members: readonly (Property | UnknownItem)[];
  readonly doc?: string;
  readonly span: Span;
}

/** `overhead { step: 5 ms }`. */
export interface OverheadDecl {
  readonly kind: 'overhead';
  readonly members: readonly (Property | UnknownItem)[];
  readonly span: Span;
}

// ---------------------------------------------------------------- plans

export interface PlanDecl extends Declaration {
  readonly kind: 'plan';
  readonly model?: Name;
  readonly topology?: Name;
  /** `plan b from a`: b inherits all of a, then its own members merge over it. */
  readonly base?: Name;
  readonly members: readonly PlanMember[];
}

export type PlanMember = StageDecl | KvDecl | FlowDecl | ExpectDecl | Property | UnknownItem;

/** `stage serve: prefill + decode on gpu like other { ... }`. */
export interface StageDecl extends Declaration {
  readonly kind: 'stage';
  /** One that is missing has an empty name. */
  readonly phases: readonly Name[];
  /** The ranges of devices that it stands on, at least one. */
  readonly on?: readonly (PathExpr | ErrorExpr)[];
  readonly like?: Name;
  readonly members: readonly StageMember[];
}

export type StageMember =
  MeshMember | ShardMember | ReplicateMember | SplitMember | OverrideMember | Property | UnknownItem;

/** `mesh (pp: 8)` or `mesh auto`. */
export interface MeshMember {
  readonly kind: 'mesh_member';
  readonly mesh: MeshExpr | 'auto' | ErrorExpr;
  readonly span: Span;
}

/** `shard heads, ffn on tp`. */
export interface ShardMember {
  readonly kind: 'shard';
  readonly dims: readonly Name[];
  readonly axis: Name;
  readonly span: Span;
}

/** `replicate vocab`, `replicate kv_heads by 2`. */
export interface ReplicateMember {
  readonly kind: 'replicate';
  readonly dims: readonly Name[];
  readonly by?: Expr;
  readonly span: Span;
}

/** `split layers on pp [10, 10, 30, 30]`. */
export interface SplitMember {
  readonly kind: 'split';
  readonly dim: Name;
  readonly axis: Name;
  readonly sizes: ListExpr | ErrorExpr;
  readonly span: Span;
}

/** `override layers[0..1].mlp { replicate ffn }`. */
export interface OverrideMember {
  readonly kind: 'override';
  readonly target: PathExpr | ErrorExpr;
  readonly members: readonly StageMember[];
  readonly span: Span;
}

/** `kv { page: 16 tokens, tiers: gpu -> host }`. */
export interface KvDecl {
  readonly kind: 'kv';
  readonly members: readonly (Property | UnknownItem)[];
  readonly span: Span;
}

/** `flow requests -> prefill -> decode -> results { to decode when host.full }`. */
export interface FlowDecl {
  readonly kind: 'flow';
  readonly path: readonly Name[];
  readonly rules: readonly (FlowRule | UnknownItem)[];
  readonly span: Span;
}

export interface FlowRule {
  readonly kind: 'rule';
  readonly to: Name;
  readonly when: Expr;
  readonly span: Span;
}

export interface ExpectDecl {
  readonly kind: 'expect';
  readonly items: readonly (Expectation | UnknownItem)[];
  readonly span: Span;
}

/** `peak(decode, gpu) <= 22 GB`, `transitions <= 4 for arxiv`, `never all_gather of kv in decode`. */
export type Expectation =
  | { readonly kind: 'bound'; readonly condition: Expr; readonly workload?: Name; readonly span: Span }
  | {
      readonly kind: 'never';
      readonly op: Name;
      readonly of?: Name;
      readonly stage?: Name;
      readonly span: Span;
    };
