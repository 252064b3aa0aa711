import { existsSync, readFileSync } from "node:fs";
import { contentKey, packageFile } from "../schema/index.ts";
import { native } from "../torch/index.ts";
import { comparisonInputs } from "./evaluating.ts";
import { lazyModel } from "./lazy-source.ts";
import { logProbInputs } from "./log-prob-evaluation.ts";
import { gatherReport, type ReportExtra, reportText, thisMachine, writeReport } from "./report/index.ts";
import { type Run, runPaths } from "./run.ts";
import { openReward } from "./scoring.ts";

const ownVersion = (): string =>
  (JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as { version: string }).version;

/** What the report says beside the ledger's own. */
async function extraOf(run: Run): Promise<ReportExtra> {
  const reward = await openReward(run);
  await reward.close();
  const target = await run.model(run.recipe.target);
  const sources: Record<string, string> = {};
  for (const recipe of run.recipe.sources)
    if ("model" in recipe) sources[recipe.name] = lazyModel(recipe.name, await run.model(recipe), recipe).identity;
  const comparison = await run.ledger.meta.get(comparisonInputs);
  const logProbs = await run.ledger.meta.get(logProbInputs);
  return {
    recipe: run.recipe,
    reward: reward.identity,
    identities: { target: lazyModel("target", target, run.recipe.target).identity, sources },
    ...(comparison === undefined ? {} : { comparison }),
    ...(logProbs === undefined || !run.recipe.evaluation.log_probs ? {} : { logProbs }),
    versions: { amalgam: ownVersion(), libtorch: native().torchVersion, node: process.versions.node },
    machine: thisMachine(),
  };
}

/** Under which name the ledger keeps what the report was made from. */
const reportInputs = "report/inputs";

/** Writes `report.html` into the run folder. Undefined when the page stands and would say the same, but for its times. */
export async function reportRun(run: Run): Promise<Record<string, number> | undefined> {
  const extra = await extraOf(run);
  const { madeAt: _, stages: __, ...content } = await gatherReport(run.ledger, run.folder, extra);
  const inputs = contentKey(content);
  if (existsSync(runPaths(run.folder).report) && (await run.ledger.meta.get(reportInputs)) === inputs) return undefined;
  await writeReport(run.ledger, run.folder, extra);
  await run.ledger.meta.set(reportInputs, inputs);
  return { pages: 1 };
}

/** What a person sees at the end of a run: contributions, rewards before and after, two examples, and where things lie. */
export async function runSummary(run: Run): Promise<string> {
  const data = await gatherReport(run.ledger, run.folder, await extraOf(run));
  const { fusedModel, report } = runPaths(run.folder);
  return `${reportText(data)}\nFused model: ${fusedModel}\nReport:      ${report}`;
}
