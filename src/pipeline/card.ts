import { stringify } from "yaml";
import { objectiveOf } from "../objectives/index.ts";
import {
  type ObjectiveFields,
  objectiveFields,
  pairModifiers,
  type SelectionRecipe,
  type WrpoRecipe,
} from "../schema/index.ts";
import { modelName } from "./model-name.ts";
import type { Run } from "./run.ts";
import { withoutKeys } from "./without-keys.ts";

function sourceLine(source: Run["recipe"]["sources"][number]): string {
  const { name } = source;
  if ("recorded" in source) return `- ${name}: recorded responses`;
  return "model" in source ? `- ${name}: ${modelName(source)}` : `- ${name}: ${source.endpoint.model} at an endpoint`;
}

/** An objective with its settings, as `dpo, beta 0.01`. */
function objectiveWords(recipe: Pick<WrpoRecipe, "objective" | keyof ObjectiveFields>): string {
  const settings = Object.keys(objectiveFields).flatMap((field) => {
    const value = recipe[field as keyof ObjectiveFields];
    const plain = { ...pairModifiers, label_smoothing: 0, source_weights: "equal" };
    const unused = field === "divergence_alpha" && recipe.divergence !== "alpha";
    if (value === undefined || field === "alpha_schedule" || unused) return [];
    if (value === plain[field as keyof typeof plain]) return [];
    const linear = field === "alpha" && recipe.alpha_schedule === "linear";
    return [`${field} ${linear ? `0 to ${value}` : value}`];
  });
  return [recipe.objective, ...settings].join(", ");
}

const rejectedWords = {
  target: "the worst of the target's own",
  same_source: "the worst of the source that gave the preferred one",
  sources: "the worst of all sources",
} as const;

/** What each response is that is learnt from. */
function roleWords({ selection }: Run["recipe"]) {
  const source = preferredWords(selection);
  return {
    source_chosen: source,
    target_chosen: selection.rows === "pairs" ? source : "the best of the target's own",
    rejected: rejectedWords[selection.rejected_from],
    source_rejected: "the worst of the source that gave the best",
  } as const;
}

function preferredWords({
  source_responses: count,
  source_responses_of: of,
  source_rank: rank,
  sources,
}: SelectionRecipe): string {
  const all = sources === undefined ? "all sources" : sources.join(", ");
  const from = rank === 1 ? "" : `, from place ${rank} on`;
  if (count === 1 && rank === 1) return `the best response of ${all}`;
  return of === "any_source"
    ? `the ${count} best responses of ${all}${from}`
    : `the best response of each of the ${count} best sources${sources === undefined ? "" : ` of ${all}`}${from}`;
}

/** The model card of a folder that a run has made: from what and how. */
export async function modelCard(run: Run, stage: "sft" | "wrpo"): Promise<string> {
  const { recipe, ledger } = run;
  const selected = async (split: "sft" | "wrpo") =>
    (await ledger.selections.list(split)).filter((row) => row.leftOut === undefined).length;
  const files = await run.model(recipe.target);
  const { objective, parts } = recipe.wrpo;
  const count = recipe.selection.source_responses;
  const { roles } = objectiveOf(recipe.wrpo, count);
  const words = roleWords(recipe);
  const responses = [...new Set(roles)].map((role) => words[role]).join(", ");
  const objectives = parts?.map((part) => `${part.weight} x ${objectiveWords(part)}`) ?? [objectiveWords(recipe.wrpo)];
  const lines = [
    "---",
    "library_name: transformers",
    `tags: [amalgam, model-fusion, ${stage === "wrpo" ? objective : "sft"}]`,
    "---",
    "",
    `# ${recipe.name}-${stage === "wrpo" ? "fused" : "sft"}`,
    "",
    stage === "wrpo"
      ? `Fused by ${objective === "wrpo" ? "Weighted-Reward Preference Optimization (WRPO)" : objective}: trained, for each prompt, on ${responses}.`
      : "The target of a fusion, tuned on the best response of all sources to each prompt: the reference and starting point of WRPO.",
    "",
    `Target: ${modelName(recipe.target)} (SHA-256 ${files.digest}).`,
    "",
    "Sources:",
    ...recipe.sources.map(sourceLine),
    "",
    `Rewards: ${recipe.rewards.map((reward) => ("name" in reward ? `${reward.kind} ${reward.name}` : reward.kind)).join(", ")}.`,
    recipe.sft.enabled
      ? `Supervised tuning: ${await selected("sft")} prompts.`
      : "Supervised tuning: none; the preference training started from the target as it is.",
    ...(stage === "wrpo" ? [`Preference training: ${await selected("wrpo")} prompts, ${objectives.join("; ")}.`] : []),
    ...(recipe[stage].lora === undefined
      ? []
      : ["Trained by adapters, which are merged into the weights; `adapter/` has them apart, as PEFT writes them."]),
    "",
    "The licences of the target and of the sources hold for this model and for what was learnt from their responses.",
    "",
    "## Recipe",
    "",
    "```yaml",
    stringify(withoutKeys(recipe)).trimEnd(),
    "```",
    "",
  ];
  return lines.join("\n");
}
