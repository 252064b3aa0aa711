import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { cacheFolder, contentKey, type Precision } from "../schema/index.ts";
import { type DType, native, noGrad, ops, scope } from "../torch/index.ts";

/** Rates of one matrix product, in GFLOP/s, and what follows from them. */
export interface MeasuredPrecision {
  readonly fp32: number;
  readonly bf16: number;
  readonly choice: "fp32" | "bf16";
}

const measuredSchema = z.object({
  fp32: z.number().positive(),
  bf16: z.number().positive(),
  choice: z.enum(["fp32", "bf16"]),
});

/** bf16 has to pay for its rounding. */
const leastGain = 1.5;

/** Best rate of [rows, inner] x [inner, columns] over some tries, in GFLOP/s. A try that is far too slow ends the search. */
function rate(dtype: DType, [rows, inner, columns]: readonly [number, number, number]): number {
  return noGrad(() =>
    scope(() => {
      const x = ops.randn([rows, inner]).to(dtype);
      const w = ops.randn([columns, inner]).to(dtype);
      let best = Number.POSITIVE_INFINITY;
      for (let attempt = 0; attempt < 12; attempt++) {
        const start = performance.now();
        scope(() => void ops.linear(x, w));
        best = Math.min(best, performance.now() - start);
        if (best > 500) break;
      }
      return (2 * rows * inner * columns) / best / 1e6;
    }),
  );
}

/**
 * Times one matrix product in fp32 and in bf16 on this machine; the verdict is cached by processor and libtorch version.
 * bf16 is four to five times as fast where the processor has instructions for it, and many times slower where not.
 */
export function measurePrecision(): MeasuredPrecision {
  const key = contentKey([cpus()[0]?.model ?? "", cpus().length, native().torchVersion, native().threads()]);
  const file = join(cacheFolder(), `precision-${key}.json`);
  try {
    return measuredSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    // Not measured yet, or by something that wrote another form.
  }
  const fp32 = rate("float32", [512, 576, 1536]);
  const bf16 = rate("bfloat16", [512, 576, 1536]);
  const measured: MeasuredPrecision = { fp32, bf16, choice: bf16 >= leastGain * fp32 ? "bf16" : "fp32" };
  try {
    mkdirSync(cacheFolder(), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(measured));
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // Without a cache it is measured again the next time.
  }
  return measured;
}

/** The precision to compute in: as asked, or for `auto` what the machine is fastest in. CUDA devices are taken to have bf16. */
export function resolvePrecision(asked: Precision, device: string): "fp32" | "bf16" {
  if (asked !== "auto") return asked;
  return device === "cpu" ? measurePrecision().choice : "bf16";
}
