import { stringify } from "yaml";
import type { Run } from "./run.ts";

const sourceLine = (source: Run["recipe"]["sources"][number]) =>
  "model" in source ? `- ${source.name}: ${source.model}` : `- ${source.name}: ${source.endpoint.model} at an endpoint`;

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
      ? "Fused by Weighted-Reward Preference Optimization (WRPO): trained on quadruples of a prompt, the best response of all sources, and the best and the worst of the tuned target's own."
      : "The target of a fusion, tuned on the best response of all sources to each prompt: the reference and starting point of WRPO.",
    "",
    `Target: ${recipe.target.model} (SHA-256 ${files.digest}).`,
    "",
    "Sources:",
    ...recipe.sources.map(sourceLine),
    "",
    `Rewards: ${recipe.rewards.map((reward) => (reward.kind === "checks" ? "verifiable checks" : `judge ${reward.name}`)).join(", ")}.`,
    `Supervised tuning: ${await selected("sft")} prompts.`,
    ...(stage === "wrpo"
      ? [
          `WRPO: ${await selected("wrpo")} prompts, beta ${recipe.wrpo.beta}, alpha 0 to ${recipe.wrpo.alpha} (${recipe.wrpo.alpha_schedule}).`,
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
