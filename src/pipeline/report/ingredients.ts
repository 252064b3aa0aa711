import { cpus, totalmem, type } from "node:os";
import type { ModelRecipe, Recipe, RecordedRecipe, RewardRecipe } from "../../schema/index.ts";
import { modelName } from "../model-name.ts";

/** A model of the recipe with what identifies it. */
export interface Ingredient {
  readonly name: string;
  /** As the recipe names it: folder, file, hub id, package, or model and address of an endpoint. */
  readonly reference: string;
  /** Digest of the weights and tokenizer, or of the endpoint's address and model; null where nobody has read it yet. */
  readonly identity: string | null;
}

/** What is fused from what, and what judges it. */
export interface Ingredients {
  readonly target: Ingredient;
  readonly sources: readonly Ingredient[];
  readonly rewards: readonly { readonly name: string; readonly reference: string; readonly weight: number }[];
  readonly rewardIdentity: string;
}

export function ingredientsOf(
  { target, sources, rewards }: Recipe,
  rewardIdentity: string,
  identities: { readonly target?: string; readonly sources?: Readonly<Record<string, string>> },
): Ingredients {
  const known: Readonly<Record<string, string>> = identities.sources ?? {};
  return {
    target: { name: "target", reference: modelName(target), identity: identities.target ?? null },
    sources: sources.map((source) => ({
      name: source.name,
      reference: referenceOf(source),
      identity: Object.hasOwn(known, source.name) ? known[source.name]! : null,
    })),
    rewards: rewards.map(rewardLine),
    rewardIdentity,
  };
}

function rewardLine(reward: RewardRecipe): Ingredients["rewards"][number] {
  const { gate, clip, otherwise = 0 } = reward;
  const parts = [
    reward.kind === "checks"
      ? checksWords(reward.checks)
      : reward.kind === "code"
        ? "code run against tests"
        : `${reward.kind}: ${referenceOf(reward)}`,
    ...(clip === undefined ? [] : [`clipped to ${clip[0]} ... ${clip[1]}`]),
    ...(gate === undefined ? [] : [`a gate: the reward is ${otherwise} where it is below ${gate}`]),
  ];
  return {
    name: ("name" in reward ? reward.name : undefined) ?? reward.kind,
    reference: parts.join("; "),
    weight: gate === undefined ? reward.weight : 0,
  };
}

const checksWords = (checks: Extract<RewardRecipe, { kind: "checks" }>["checks"]): string =>
  checks === undefined ? "verifiable checks of the prompts" : `checks: ${checks.map(({ id }) => id).join(", ")}`;

const referenceOf = (
  entry:
    | ModelRecipe
    | { readonly endpoint: { readonly url: string; readonly model?: string | undefined } }
    | { readonly recorded: RecordedRecipe },
): string =>
  "recorded" in entry
    ? `recorded responses: ${entry.recorded.file}`
    : "endpoint" in entry
      ? `${entry.endpoint.model === undefined ? "" : `${entry.endpoint.model} at `}${withoutCredentials(entry.endpoint.url)}`
      : modelName(entry);

/** The text with user, password, query and fragment of every web address in it replaced by `...`: a report is passed around. */
export function withoutCredentials(text: string): string {
  return text.replace(/\bhttps?:\/\/[^\s"'<>]+/gi, (address) =>
    address.replace(/^(https?:\/\/)[^/?#]*@/i, "$1...@").replace(/[?#].*$/s, "?..."),
  );
}

/** This machine in words: system, processor, cores, memory. */
export function thisMachine(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = cores[0]?.model.replace(/\s+/g, " ").trim() || process.arch;
  return `${type()} ${process.arch}, ${model}, ${cores.length} cores, ${memory} GiB memory`;
}
