import { spawn } from "node:child_process";

/**
 * Runs one side of a comparison as its own process and gives its report (see `worker.mjs` and `peers/common.py`).
 * Throws with the end of its output when it fails or reports nothing.
 */
export async function runWorker(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let errors = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    errors += data;
  });
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const last = out.trimEnd().split("\n").at(-1) ?? "";
  if (code !== 0 || !last.startsWith("{")) {
    const tail = (text) => text.trimEnd().split("\n").slice(-15).join("\n");
    throw new Error(`${command} ${args.join(" ")} ended with ${code}\n${tail(out)}\n${tail(errors)}`);
  }
  return JSON.parse(last);
}

/**
 * The sides in turns, round after round, so that a drift of the machine meets all of them: their samples and the highest
 * of their peaks.
 */
export async function inTurns(sides, rounds, onRound) {
  const results = sides.map(({ name }) => ({ name, samples: [], peakBytes: 0, reports: [] }));
  for (let round = 0; round < rounds; round++)
    for (const [at, { command, args }] of sides.entries()) {
      const report = await runWorker(command, args);
      const result = results[at];
      result.samples.push(...report.samples);
      result.peakBytes = Math.max(result.peakBytes, report.peakBytes);
      result.reports.push(report);
      onRound(result.name, report);
    }
  return results;
}
