import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

/** What a figure depends on, in words. */
export function machine() {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    loadAverage: loadavg()[0],
    node: process.version,
    date: new Date().toISOString(),
    waitPolicy: process.env.OMP_WAIT_POLICY ?? "each side's own",
    spinCount: process.env.GOMP_SPINCOUNT ?? "each side's own",
  };
}
