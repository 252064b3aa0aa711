import { stringify } from "yaml";
import type { Run } from "./run.ts";

const sourceLine = (source: Run["recipe"]["sources"][number]) =>
  "model" in source ? `- ${source.name}: ${source.model}` : `- ${source.name}: ${source.endpoint.model} at an endpoint`;

const alphaWords = ({ alpha, alpha_schedule }: Run["recipe"]["wrpo"]) =>
  alpha_schedule === "linear" ? `0 to ${alpha}` : `${alpha} throughout`;

/** The model card of a folder that a run has made: from what and how. */
export async function modelCard(run: Run, stage: "sft" | "wrpo"): Promise<string> {
  const { recipe, ledger } = run;
  const selected = async (split: "sft" | "wrpo") =>
    (await ledger.selections.list(split)).filter((row) => row.leftOut === undefined).length;
  const files = await run.model(recipe.target);
  const lines = [
    "---",
    "library_name: transformers",
    `tags: [amalgam, model-fusion, ${stage === "wrpo" ? recipe.wrpo.objective : "sft"}]`,
    "---",
    "",
    `# ${recipe.name}-${stage === "wrpo" ? "fused" : "sft"}`,
    "",
    stage === "wrpo"
      ? `Fused by ${recipe.wrpo.objective === "wrpo" ? "Weighted-Reward Preference Optimization (WRPO)" : recipe.wrpo.objective.toUpperCase()}: trained on quadruples of a prompt, the best response of all sources, and the best and the worst of the tuned target's own.`
      : "The target of a fusion, tuned on the best response of all sources to each prompt: the reference and starting point of WRPO.",
    "",
    `Target: ${recipe.target.model} (SHA-256 ${files.digest}).`,
    "",
    "Sources:",
    ...recipe.sources.map(sourceLine),
    "",
    `Rewards: ${recipe.rewards.map((reward) => ("name" in reward ? `${reward.kind} ${reward.name}` : reward.kind)).join(", ")}.`,
    `Supervised tuning: ${await selected("sft")} prompts.`,
    ...(stage === "wrpo"
      ? [
          `${recipe.wrpo.objective.toUpperCase()}: ${await selected("wrpo")} prompts, beta ${recipe.wrpo.beta}${recipe.wrpo.objective === "wrpo" ? `, alpha ${alphaWords(recipe.wrpo)}` : ""}.`,
        ]
      : []),
    "",
    "The licences of the target and of the sources hold for this model and for what was learnt from their responses.",
    "",
    "## Recipe",
    "",
    "```yaml",
    stringify(recipe).trimEnd(),
    "```",
    "",
  ];
  return lines.join("\n");
}
