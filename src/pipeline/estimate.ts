import { type DecoderConfig, formatBytes } from "../models/index.ts";
import { fp32Rate, machineRates, resolvePrecision } from "../nn/index.ts";
import { objectiveOf } from "../objectives/index.ts";
import { looksAtTarget, type ModelRecipe, type OptimisationRecipe, type Precision } from "../schema/index.ts";
import { availableMemory, parameterCount } from "../training/index.ts";
import { fits, largestNeed } from "./doctor/needs.ts";
import type { Run } from "./run.ts";
import { checkTrainings, comparedModels } from "./trainings.ts";

/** Shares of the machine's matrix rate that sampling and training reach, and tokens of a prompt: rules of thumb. */
const samplingShare = 0.3;
const trainingShare = 0.55;
const promptTokens = 90;
/** Many responses end before the token limit. */
const usedTokens = 0.8;

/**
 * Seconds that a whole run takes on this machine, from the models' sizes, the recipe's counts and the measured rate of
 * matrix products. Endpoints and judges are not counted. A guess for the person who waits, good to a factor of two.
 */
export async function estimateSeconds(run: Run): Promise<number> {
  const { recipe, ledger } = run;
  const measured = machineRates();
  const rates = { fp32: fp32Rate(measured), bf16: measured.bf16 };
  const rate = (precision: Precision, device: string) => rates[resolvePrecision(precision, device)] * 1e9;
  const sizeOf = async (model: ModelRecipe) =>
    parameterCount((await run.model(model)).decoderConfig satisfies DecoderConfig);
  const prompts = await ledger.prompts.list();
  const heldOut = prompts.filter(({ split }) => split === "evaluation").length;
  const tuned = prompts.filter(({ split }) => split === "sft").length;
  const preferred = prompts.length - heldOut - tuned;
  const answer = recipe.sampling.max_tokens * usedTokens;
  const drawing = async (model: ModelRecipe, asked: number, n: number, tokens: number) =>
    (2 * (await sizeOf(model)) * asked * (promptTokens + n * tokens)) /
    (rate(model.precision, model.device) * samplingShare);

  let seconds = 0;
  for (const source of recipe.sources)
    if ("model" in source)
      seconds += await drawing(
        source,
        tuned + preferred,
        recipe.sampling.n,
        (source.sampling.max_tokens ?? recipe.sampling.max_tokens) * usedTokens,
      );
  if (looksAtTarget(recipe.selection)) seconds += await drawing(recipe.target, preferred, recipe.sampling.n, answer);
  seconds +=
    comparedModels(recipe).length *
    (await drawing(
      recipe.target,
      heldOut,
      recipe.evaluation.k,
      (recipe.evaluation.sampling.max_tokens ?? recipe.sampling.max_tokens) * usedTokens,
    ));
  const size = await sizeOf(recipe.target);
  // A forward pass, and twice that for the gradients of activations and of weights; under adapters the latter are few.
  const learning = ({ lora }: OptimisationRecipe) => (lora === undefined ? 6 : 4) * size;
  const training = (rows: number, answers: number, part: OptimisationRecipe, passes: number) =>
    (learning(part) * rows * (promptTokens + answers * answer) * (part.epochs + passes)) /
    (rate(part.precision, recipe.target.device) * trainingShare);
  if (recipe.sft.enabled) seconds += training(tuned, 1, recipe.sft, 0);
  const { roles, needsReference, coupled, mismatched } = objectiveOf(recipe.wrpo, recipe.selection.source_responses);
  // The reference's log-probs are a forward pass: a third of a step.
  const moves = recipe.wrpo.reference_sync_steps === undefined ? 1 : recipe.wrpo.epochs;
  const reference = needsReference ? moves / 3 : 0;
  // So is the first of a coupled objective's two passes.
  const first = coupled ? recipe.wrpo.epochs / 3 : 0;
  const responses = roles.length * (mismatched ? 2 : 1);
  seconds += training(preferred, responses, recipe.wrpo, reference + first);
  return seconds;
}

/** A warning where a run may take more memory than is free: the system may end it without a word then. */
export async function memoryWarning({ recipe, model }: Run, free = availableMemory()): Promise<string | undefined> {
  const configs = new Map<ModelRecipe, DecoderConfig>();
  for (const named of [recipe.target, ...recipe.sources])
    if ("model" in named) configs.set(named, (await model(named)).decoderConfig);
  const target = configs.get(recipe.target);
  if (target !== undefined) checkTrainings(recipe, target);
  const need = largestNeed(recipe, (named) => configs.get(named), resolvePrecision);
  if (need === undefined || fits(need, free)) return undefined;
  return `${need.name} may take ${formatBytes(need.bytes)} of memory, and ${formatBytes(free)} are free: where it runs out, the system ends the run. ${need.cure} What is done until then is kept`;
}

/** The estimate in words. */
export function aboutMinutes(seconds: number): string {
  const minutes = Math.max(1, Math.round(seconds / 60));
  return minutes < 120
    ? `about ${minutes} minute${minutes === 1 ? "" : "s"}`
    : `about ${Math.round(minutes / 60)} hours`;
}
