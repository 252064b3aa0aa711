import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { cacheFolder, contentKey, type Precision } from "../schema/index.ts";
import { type DType, native, noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import { hasOneDnn, oneDnnLinear } from "./onednn.ts";

/** Rates of a linear layer's three products on the processor, forward and both gradients, in GFLOP/s. */
export interface MachineRates {
  /** fp32 by the BLAS that libtorch is built with (MKL on x86). */
  readonly blas: number;
  /** fp32 by oneDNN, null where libtorch has none. */
  readonly onednn: number | null;
  /** fp32 by the kernel of the addon. */
  readonly kernel: number;
  readonly bf16: number;
  /** How many times as fast as the faster of the others oneDNN is with rows of both factors in one piece; null where libtorch has none. */
  readonly onednnInRows: number | null;
  /** How many times as fast as the faster library the kernel is with 5 rows in fp32, and weights that come from memory. */
  readonly fewRows: number;
}

const ratesSchema = z.object({
  blas: z.number().positive(),
  onednn: z.number().positive().nullable(),
  kernel: z.number().positive(),
  bf16: z.number().positive(),
  onednnInRows: z.number().positive().nullable(),
  fewRows: z.number().positive(),
});

/** Another precision has to pay for its rounding, another way of computing for being the less usual one. */
const leastGain = { bf16: 1.5, onednn: 1.1, kernel: 1.02, onednnInRows: 1.02, fewRows: 1.05 };

type Product = (a: Tensor, b: Tensor) => Tensor;

const blasProduct: Product = (a, b) => a.mm(b);
const oneDnnProduct: Product = (a, b) => oneDnnLinear(a, b.t());
function kernelProduct(a: Tensor, b: Tensor): Tensor {
  const result = ops.empty([a.shape[0]!, b.shape[1]!]);
  native().addProduct(result, a, b, null);
  return result;
}

/**
 * Milliseconds that each of the calls takes at best. They take turns, so that a drift of the machine meets them all, until nothing has
 * become faster for some rounds; one that is far too slow ends the search.
 */
function bestTimes(calls: readonly (() => unknown)[]): number[] {
  const [mostRounds, patience, gain, tooSlow] = [24, 6, 0.99, 500];
  const best = calls.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0, idle = 0; round < mostRounds && idle < patience; round++) {
    if (round > 0 && Math.max(...best) > tooSlow) break;
    idle += 1;
    for (const [k, call] of calls.entries()) {
      const start = performance.now();
      scope(() => void call());
      const time = performance.now() - start;
      if (time < gain * best[k]!) idle = 0;
      best[k] = Math.min(best[k]!, time);
    }
  }
  return best;
}

const passes = 3;

/**
 * Best rates of x [2048, 576] times w^T [576, 1536], of its gradient of x and of that of w, in GFLOP/s: three for each way to multiply.
 */
function passRates(dtype: DType, ways: readonly Product[]): number[][] {
  const [rows, inner, columns] = [2048, 576, 1536];
  return noGrad(() =>
    scope(() => {
      const x = ops.randn([rows, inner]).to(dtype);
      const w = ops.randn([columns, inner]).to(dtype);
      const grad = ops.randn([rows, columns]).to(dtype);
      const calls = ways.flatMap((multiply) => [
        () => multiply(x, w.t()),
        () => multiply(grad, w),
        () => multiply(grad.t(), x),
      ]);
      const rates = bestTimes(calls).map((milliseconds) => (2 * rows * inner * columns) / milliseconds / 1e6);
      return ways.map((_, way) => rates.slice(way * passes, (way + 1) * passes));
    }),
  );
}

/** The rate of as many operations at each of the rates. */
const together = (rates: readonly number[]): number => rates.length / rates.reduce((sum, rate) => sum + 1 / rate, 0);

/** Weights of a step of decoding: together more than a processor's caches hold. */
const coldWeights = 24;

function fewRowsGain(library: Product): number {
  return noGrad(() =>
    scope(() => {
      const x = ops.randn([5, 576]);
      const weights = Array.from({ length: coldWeights }, () => ops.randn([1536, 576]));
      const ways = [library, kernelProduct].map((multiply) => () => {
        for (const weight of weights) scope(() => void multiply(x, weight.t()));
      });
      const [byLibrary, byKernel] = bestTimes(ways);
      return byLibrary! / byKernel!;
    }),
  );
}

/** Asked for at every product: what was found out in this process is remembered, for the cache folder that it is kept in. */
let known: { readonly folder: string; readonly rates: MachineRates } | undefined;

/**
 * Times matrix products in fp32, by each way to compute them, and in bf16 on this machine. Measured once: the figures are cached by
 * processor, the instructions it is held to, libtorch version and threads, so that every process of a run decides the same.
 */
export function machineRates(): MachineRates {
  const folder = cacheFolder();
  if (known?.folder !== folder) known = { folder, rates: findRates(folder) };
  return known.rates;
}

function findRates(folder: string): MachineRates {
  const held = ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"].map(
    (name) => process.env[name],
  );
  const processor = [cpus()[0]?.model ?? "", cpus().length, ...held.map((isa) => isa ?? "")];
  const key = contentKey([...processor, native().torchVersion, native().threads(), ...Object.keys(ratesSchema.shape)]);
  const file = join(folder, `rates-${key}.json`);
  return storedRates(file) ?? measureRates(file);
}

function storedRates(file: string): MachineRates | undefined {
  try {
    return ratesSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    // Not measured yet, or by something that wrote another form.
    return undefined;
  }
}

function measureRates(file: string): MachineRates {
  const [byBlas, byKernel, byOneDnn] = passRates("float32", [
    blasProduct,
    kernelProduct,
    ...(hasOneDnn() ? [oneDnnProduct] : []),
  ]);
  const [byBf16] = passRates("bfloat16", [blasProduct]);
  const [blas, onednn] = [together(byBlas!), byOneDnn === undefined ? null : together(byOneDnn)];
  const rates: MachineRates = {
    blas,
    onednn,
    kernel: together(byKernel!),
    bf16: together(byBf16!),
    onednnInRows: byOneDnn === undefined ? null : byOneDnn[1]! / Math.max(byBlas![1]!, byKernel![1]!),
    fewRows: fewRowsGain(fasterLibrary({ blas, onednn }) === "onednn" ? oneDnnProduct : blasProduct),
  };
  return kept(rates, file);
}

/** Keeps what was measured, unless another process has done so meanwhile: then its figures count here, too. */
function kept(rates: MachineRates, file: string): MachineRates {
  const own = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(own, JSON.stringify(rates));
    const others = isLinked(own, file) ? rates : storedRates(file);
    // What is there can't be read, or the disk knows no links.
    if (others === undefined) renameSync(own, file);
    else rmSync(own);
    return others ?? rates;
  } catch {
    // Without a cache it is measured again by the next process.
    return rates;
  }
}

/** Gives a file a second name, unless there is one of that name. */
function isLinked(file: string, name: string): boolean {
  try {
    linkSync(file, name);
    return true;
  } catch {
    return false;
  }
}

/** The library for fp32 products: oneDNN where it is clearly the faster, as on AMD's processors with AVX-512. */
export const fasterLibrary = ({ blas, onednn }: Pick<MachineRates, "blas" | "onednn">): "blas" | "onednn" =>
  onednn !== null && onednn >= leastGain.onednn * blas ? "onednn" : "blas";

/** Whether the kernel of the addon is faster than either library in fp32. */
export const kernelIsFaster = ({ blas, onednn, kernel }: Pick<MachineRates, "blas" | "onednn" | "kernel">): boolean =>
  kernel >= leastGain.kernel * Math.max(blas, onednn ?? 0);

/** Whether oneDNN is, where rows of both factors lie in one piece each: there is nothing to turn around for it. */
export const oneDnnIsFasterInRows = ({ onednnInRows }: MachineRates): boolean =>
  (onednnInRows ?? 0) >= leastGain.onednnInRows;

/** Whether the kernel is for a few rows, with a weight that is read as it lies. */
export const kernelIsFasterForFew = ({ fewRows }: MachineRates): boolean => fewRows >= leastGain.fewRows;

/** The rate of large fp32 products, by what computes them, in GFLOP/s. */
export const fp32Rate = (rates: MachineRates): number => {
  if (kernelIsFaster(rates)) return rates.kernel;
  return fasterLibrary(rates) === "onednn" ? rates.onednn! : rates.blas;
};

/** The precision that pays on the processor: bf16 is several times as fast where it has instructions for it, and many times slower where not. */
export const fasterPrecision = (rates: MachineRates): "fp32" | "bf16" =>
  rates.bf16 >= leastGain.bf16 * fp32Rate(rates) ? "bf16" : "fp32";

/** The precision to compute in: as asked, or for `auto` what the machine is fastest in. CUDA devices are taken to have bf16. */
export function resolvePrecision(asked: Precision, device: string): "fp32" | "bf16" {
  if (asked !== "auto") return asked;
  return device === "cpu" ? fasterPrecision(machineRates()) : "bf16";
}
