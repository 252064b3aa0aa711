import { join } from "node:path";

/** What stands where in the output folder. */
export const outputPaths = (output: string) => ({
  settings: join(output, "settings.yaml"),
  rows: join(output, "rows.jsonl"),
  ledger: join(output, "ledger"),
  reference: join(output, "ledger", "reference.json"),
  checkpoints: join(output, "checkpoints"),
  metrics: join(output, "metrics", "train.jsonl"),
  profile: join(output, "profiles", "train.json"),
  report: join(output, "report.json"),
  model: join(output, "model"),
});
