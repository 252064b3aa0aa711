import { disposeModel, loadFiles, type ModelFiles } from "../models/index.ts";
import { resolvePrecision } from "../nn/index.ts";
import { contentKey } from "../schema/index.ts";
import type { Json } from "../store/index.ts";
import { withReference } from "../training/index.ts";
import { evaluatedFiles } from "./evaluating.ts";
import {
  type AskedModel,
  type AskedRole,
  askedRoles,
  logProbEvaluation,
  summariseLogProbs,
} from "./report/log-probs.ts";
import { checkInterrupted, type Run } from "./run.ts";
import { fittingRows, rowsOf } from "./tuning-rows.ts";

/** Under which name the ledger keeps the inputs of this run's log-probs. */
export const logProbInputs = "log-probs/inputs";

/** Tokens a forward pass where the recipe leaves them open: no gradients, so little memory. */
const openMicroBatchTokens = 4096;

/**
 * log pi(y|x) of y_ws, y_wt and y_l of every quadruple under each model of the run, from the untuned target to the fused one
 * (figure 1 of the paper), kept as reference log-probs are: under the model's digest, never computed twice. Their distributions
 * are kept in the ledger. Undefined when it has those of exactly these models and quadruples.
 */
export async function evaluateLogProbs(run: Run): Promise<Record<string, number> | undefined> {
  const { ledger, recipe } = run;
  const roles = askedRoles.filter((role) => role !== "target_chosen" || recipe.selection.rows === "quadruples");
  const { rows: texts, digest } = await rowsOf(run, "wrpo", (selection) => {
    const { sourceChosen, targetChosen, rejected } = selection;
    const keys = { source_chosen: sourceChosen, target_chosen: targetChosen, rejected };
    return roles.map((role) => keys[role]);
  });
  const files = await evaluatedFiles(run);
  const { max_length, max_prompt_length, overlong, tokenisation, precision } = recipe.wrpo;
  const compute = resolvePrecision(precision, recipe.target.device);
  const inputs = contentKey({
    models: files.map(([label, { digest: weights, tokenizer }]) => [label, weights, contentKey(tokenizer.files())]),
    ...{ digest, compute, limits: { max_length, max_prompt_length, overlong, tokenisation } },
  });
  const known = (await ledger.evaluations.get(logProbEvaluation, inputs)) !== undefined;
  if (known && (await ledger.meta.get(logProbInputs)) === inputs) return undefined;
  const models: AskedModel[] = [];
  for (const [label, of] of files) models.push(await askModel(run, label, of, { texts, roles, compute }));
  await ledger.evaluations.set(logProbEvaluation, inputs, summariseLogProbs(models) as unknown as Json);
  await ledger.meta.set(logProbInputs, inputs);
  return { log_probs: models.length * roles.length * texts.length };
}

interface Asked {
  readonly texts: Parameters<typeof fittingRows>[2];
  /** What the responses of a row are. */
  readonly roles: readonly AskedRole[];
  readonly compute: "fp32" | "bf16";
}

async function askModel(
  run: Run,
  label: string,
  files: ModelFiles,
  { texts, roles, compute }: Asked,
): Promise<AskedModel> {
  const { wrpo, target } = run.recipe;
  const { rows } = fittingRows(run, "log-probs", texts, files, wrpo);
  // In fp32, as a training holds them: the reference's own log-probs are found again.
  const model = loadFiles(files, { precision: "fp32", device: target.device });
  try {
    const asked = await withReference(model, rows, run.ledger.referenceLogps, {
      microBatchTokens: wrpo.micro_batch_tokens === "auto" ? openMicroBatchTokens : wrpo.micro_batch_tokens,
      dtype: compute === "bf16" ? "bfloat16" : "float32",
      signal: run.signal,
      progress: (done, total) =>
        run.listener.progress({ stage: "evaluate", label: `log-probs under ${label}`, done, total, unit: "rows" }),
    });
    if (asked === undefined) checkInterrupted(run);
    const of = (role: number) => asked!.map(({ reference, responses }) => reference[role]! / responses[role]!.length);
    return { label, values: Object.fromEntries(roles.map((role, at) => [role, of(at)])) };
  } finally {
    disposeModel(model);
  }
}
