import { createRequire } from "node:module";
import { EnvironmentError, TorchError } from "../schema/index.ts";
import { buildAddon } from "./build.ts";
import type { DType } from "./dtype.ts";
import { locateTorch, type TorchInstallation } from "./locate.ts";
import type { TensorMemory } from "./memory.ts";
import type { Tensor } from "./tensor.ts";

/** A random generator of libtorch; made by `generator(seed)`. */
export interface Generator {
  readonly generator: unique symbol;
}

export interface GroupOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly rank: number;
  readonly size: number;
  readonly hostsStore: boolean;
  readonly timeoutMs: number;
}

type Closure = (grads: (Tensor | null)[], saved: Tensor[]) => (Tensor | null)[];

/** The whole of the addon. */
export interface Native {
  readonly torchVersion: string;
  readonly Tensor: { readonly prototype: Record<string, unknown> };
  op(name: string): (...args: unknown[]) => unknown;
  schemas(): string[];
  fromBytes(data: NodeJS.TypedArray, shape: readonly number[], dtype: DType): Tensor;
  isTensor(value: unknown): boolean;
  setErrorClass(errorClass: new (message: string) => Error): void;
  openScope(): void;
  closeScope(keep: readonly Tensor[]): void;
  liveTensors(): number;
  trimMemory(): void;
  releasePages(view: Tensor): void;
  tensorMemory(): TensorMemory;
  freeDeviceMemory(device: string): number;
  setThreads(count: number): void;
  threads(): number;
  manualSeed(seed: number): void;
  randomState(device: string): Tensor;
  setRandomState(state: Tensor, device: string): void;
  generator(seed: number): Generator;
  attach(
    outputs: readonly Tensor[],
    inputs: readonly (Tensor | null)[],
    saved: readonly Tensor[],
    backward: Closure,
  ): void;
  backward(roots: readonly Tensor[], gradients: readonly (Tensor | null)[], retainGraph?: boolean): void;
  gradients(roots: readonly Tensor[], inputs: readonly Tensor[], seeds: readonly (Tensor | null)[]): (Tensor | null)[];
  /**
   * Attention over bundles on the processor: q [T, heads, dim], k and v [T, groups, dim] -> output [T, heads * dim] and
   * log-sum-exp [T, heads]. `segments` has three numbers for each segment of the T tokens: its first token, its length, and the
   * segment that is its prompt (-1: it is a prompt itself). A window of 0 is none.
   */
  attendBundles(q: Tensor, k: Tensor, v: Tensor, segments: Int32Array, scale: number, window: number): [Tensor, Tensor];
  /** The gradients of q, k and v. */
  attendBundlesBackward(
    gradOut: Tensor,
    out: Tensor,
    lse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segments: Int32Array,
    scale: number,
    window: number,
  ): [Tensor, Tensor, Tensor];
  /**
   * Attention over a cache of pages on the processor. Stores k and v [T, groups, dim] in the places `slots` [T] (32 times the page,
   * and the place in it) of `keys` [pages, groups, dim, 32] and `values` [pages, groups, 32, depth], then attends q [T, heads, dim] ->
   * [T, heads * dim]. `queries` has a token and its position for each query; `blocks` first query, number of queries, first step and
   * number of steps of queries that are computed together; `steps` says which queries of a block, [from, to), see a page, and the
   * position of its first key; those of a query in the order of its text. A window or cap of 0 is none.
   */
  attendPages(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keys: Tensor,
    values: Tensor,
    slots: Int32Array,
    queries: Int32Array,
    blocks: Int32Array,
    steps: Int32Array,
    scale: number,
    window: number,
    cap: number,
  ): Tensor;
  /**
   * c [m, n] = plus + a [m, k] b [k, n] on the processor in fp32 or float64. `plus` is null, c itself or another matrix; its rows and
   * those of c are each in one piece.
   */
  addProduct(c: Tensor, a: Tensor, b: Tensor, plus: Tensor | null): void;
  /** On the processor: x [..., n] by its root mean square, times weight [n]; and 1 / rms of each row, in fp32 (float64 for float64). */
  rmsNorm(x: Tensor, weight: Tensor, epsilon: number): [Tensor, Tensor];
  /** The gradients of x and, if wanted, of the weight. */
  rmsNormBackward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    scales: Tensor,
    withWeight: boolean,
  ): [Tensor, Tensor | null];
  /** On the processor: numbers d and half + d of x [T, heads, dim] turned as one, by the angles of cosines and sines [T, ..., half]. */
  rotatePairs(x: Tensor, cosines: Tensor, sines: Tensor, direction: 1 | -1): Tensor;
  /** On the processor: act(gate) * up, the activation being SiLU or GELU by tanh. */
  gate(gate: Tensor, up: Tensor, isSilu: boolean): Tensor;
  /** The gradients of gate and up. */
  gateBackward(grad: Tensor, gate: Tensor, up: Tensor, isSilu: boolean): [Tensor, Tensor];
  /**
   * On the processor, for each row of logits [rows, vocabulary]: log p(target), the largest logit beside log sum e^(logit - largest)
   * [rows, 2], and log sum p^2.
   */
  logProbs(logits: Tensor, targets: Tensor): [Tensor, Tensor, Tensor];
  /** The gradient of the logits takes their place. They are capped at `cap` already; 0 is no cap. */
  logProbsGradient(logits: Tensor, targets: Tensor, norms: Tensor, grad: Tensor, cap: number): void;
  /** Records the calls of operators on this thread. */
  startProfile(): void;
  /** Name, shapes, start and end in microseconds of each call that was recorded, one after another. */
  stopProfile(): (string | number)[];
  setGradEnabled(enabled: boolean): boolean;
  joinGroup(options: GroupOptions): void;
  leaveGroup(name: string): void;
}

let loaded: Native | undefined;
let methods: readonly [string, (self: Tensor, ...args: never[]) => unknown][] = [];
let notify: (line: string) => void = (line) => {
  process.stderr.write(`amalgam: ${line}\n`);
};

/** Where the lines go that tell of slow first-time work (download, compilation); standard error unless told. */
export function onSetup(listener: (line: string) => void): void {
  notify = listener;
}

/** Functions that become methods of every tensor once the addon is loaded. */
export function installMethods(table: typeof methods): void {
  methods = [...methods, ...table];
  if (loaded) addMethods(loaded);
}

function addMethods(native: Native): void {
  for (const [name, run] of methods) {
    if (Object.hasOwn(native.Tensor.prototype, name)) continue;
    const method = function (this: Tensor, ...args: never[]) {
      return run(this, ...args);
    };
    Object.defineProperty(native.Tensor.prototype, name, { value: method, configurable: true });
  }
}

function loadAddon(path: string, torch: TorchInstallation): Native {
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (error) {
    throw new EnvironmentError(`the addon can't be loaded with torch ${torch.version}: ${(error as Error).message}`, {
      file: path,
      hint: `Is ${torch.root} complete, and built for this machine? Deleting the file has it compiled anew.`,
      cause: error,
    });
  }
}

/**
 * The addon, located, compiled and loaded on first use.
 *
 * @throws EnvironmentError when libtorch or a compiler is missing.
 */
export function native(): Native {
  if (loaded) return loaded;
  const torch = locateTorch(notify);
  // Read by the OpenMP runtime when it is loaded. Threads that spin long at barriers lose more than tenfold as soon as
  // another process wants the same cores; some microseconds cost nobody anything and spare most wake-ups.
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= "3000";
  process.env.OMP_WAIT_POLICY ??= "passive";
  const addon = loadAddon(buildAddon(torch, notify), torch);
  addon.setErrorClass(TorchError);
  loaded = addon;
  addMethods(addon);
  return addon;
}

/** An operator of libtorch by its qualified name, of the function type that its schemas give; looked up when first called. */
export function op<F>(name: string): F {
  let run: ((...args: unknown[]) => unknown) | undefined;
  const call = (...args: unknown[]) => {
    run ??= native().op(name);
    return run(...args);
  };
  return call as F;
}
