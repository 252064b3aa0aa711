import { openModel } from "amalgam/models";

/** The model of a worker, of the runner's folder. */
export const openWorkerModel = (folder, precision) =>
  openModel({ model: folder, precision, device: "cpu" }, { baseFolder: process.cwd(), offline: true });

/** A worker's result: one JSON line, the last of its standard output. Memory is the process's own peak. */
export function report(result) {
  console.log(JSON.stringify({ ...result, peakBytes: process.resourceUsage().maxRSS * 1024 }));
}

/** Seconds that `action` takes, those of all processors together, and its result. */
export async function timed(action) {
  const start = performance.now();
  const begun = process.cpuUsage();
  const result = await action();
  const { user, system } = process.cpuUsage(begun);
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6, result };
}
