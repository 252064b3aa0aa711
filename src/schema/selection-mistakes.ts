import { valueAt } from "./issue-words.ts";
import { didYouMean } from "./nearest.ts";
import { objectiveDefaults } from "./objectives.ts";
import type { Mistake } from "./recipe-issues.ts";

/** What of the selection contradicts itself, the sources or the training, in a recipe as written. */
export function selectionMistakes(root: unknown): Mistake[] {
  return [
    ...unknownSources(root),
    ...missingSources(root),
    ...sourceCounts(root),
    ...impossibleGaps(root),
    ...scaledVotes(root),
    ...pairsForOthers(root),
    ...singleResponses(root),
    ...nothingToTune(root),
  ];
}

const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const of = (root: unknown, field: string) => valueAt(root, ["selection", field]);

/** Sources of the selection that the recipe has not, or that stand twice. */
function unknownSources(root: unknown): Mistake[] {
  const names = asList(valueAt(root, ["sources"])).flatMap((source) => {
    const name = valueAt(source, ["name"]);
    return typeof name === "string" ? [name] : [];
  });
  const chosen = asList(of(root, "sources"));
  return chosen.flatMap((name, index): Mistake[] => {
    const path = ["selection", "sources", index];
    if (typeof name !== "string" || names.length === 0) return [];
    if (chosen.indexOf(name) < index) return [{ path, message: `${JSON.stringify(name)} stands twice` }];
    if (names.includes(name)) return [];
    const hint = `${didYouMean(name, names)}The sources are ${names.join(", ")}.`;
    return [{ path, message: `there is no source ${JSON.stringify(name)}`, hint }];
  });
}

/** More responses of the sources than there are. */
function missingSources(root: unknown): Mistake[] {
  const count = of(root, "source_responses") ?? 1;
  const rank = of(root, "source_rank") ?? 1;
  const named = of(root, "sources");
  const sources = asList(named ?? valueAt(root, ["sources"])).length;
  const each = of(root, "source_responses_of") === "any_source" ? (valueAt(root, ["sampling", "n"]) ?? 5) : 1;
  if (sources === 0 || typeof count !== "number" || typeof rank !== "number" || typeof each !== "number") return [];
  if (count + rank - 1 <= sources * each) return [];
  const field = count > 1 ? "source_responses" : "source_rank";
  const from = rank === 1 ? "" : `, from the place ${rank} on,`;
  const message = `no prompt can have ${count === 1 ? "a response" : `${count} responses`}${from} of ${sources === 1 ? "one source" : `${sources} sources`}`;
  const more = named === undefined ? "name more sources" : "name more sources in selection.sources";
  const hint =
    each === 1
      ? `Lower it, ${more}, or set selection.source_responses_of to any_source.`
      : `Lower it, raise sampling.n, or ${more}.`;
  return [{ path: ["selection", field], message, hint }];
}

/** The objective of a recipe with its parts, where it is a mixture, and where each stands. */
function objectives(root: unknown) {
  const parts = asList(valueAt(root, ["wrpo", "parts"])).map((_, index) => ["wrpo", "parts", index]);
  return [["wrpo"], ...parts].map((path) => ({ path, objective: valueAt(root, [...path, "objective"]) }));
}

/** Objectives that can't use as many responses of the sources as the selection keeps. */
function sourceCounts(root: unknown): Mistake[] {
  const count = of(root, "source_responses") ?? 1;
  return objectives(root).flatMap(({ path, objective }): Mistake[] => {
    const weights = valueAt(root, [...path, "source_weights"]);
    if (Array.isArray(weights) && weights.length !== count) {
      const message = `${weights.length} weights for ${count} responses of the sources`;
      const hint = "Give selection.source_responses as many, or leave the weights out: equal ones.";
      return [{ path: [...path, "source_weights"], message, hint }];
    }
    if (count === 1 || objective !== "wrpo_source_rejected") return [];
    const message = `wrpo_source_rejected has one response of the sources, and selection.source_responses is ${count}`;
    return [{ path: [...path, "objective"], message, hint: "Set selection.source_responses to 1, or take wrpo." }];
  });
}

function impossibleGaps(root: unknown): Mistake[] {
  const [least, most] = [of(root, "min_gap") ?? 0, of(root, "max_gap")];
  if (typeof least !== "number" || typeof most !== "number" || least <= most) return [];
  const message = `no gap is at least ${least} (min_gap) and at most ${most}`;
  return [{ path: ["selection", "max_gap"], message, hint: "Raise it, or lower selection.min_gap." }];
}

/** Standard scores of votes, which are within a prompt already. */
function scaledVotes(root: unknown): Mistake[] {
  if (of(root, "combine") !== "vote" || of(root, "normalise") !== "per_source") return [];
  const message = "votes are counted within each prompt, and per_source measures rewards over all prompts";
  return [{ path: ["selection", "normalise"], message, hint: "Leave it out, or set selection.combine to mean." }];
}

/** What pairs can't be used for. */
function pairsForOthers(root: unknown): Mistake[] {
  if (of(root, "rows") !== "pairs") return [];
  const path = ["selection", "rows"];
  const found: Mistake[] = objectives(root).flatMap(({ path: place, objective = "wrpo" }): Mistake[] => {
    const settings = (objectiveDefaults as Readonly<Record<string, object>>)[String(objective)];
    if (settings === undefined || !("alpha" in settings)) return [];
    const written = valueAt(root, [...place, "objective"]) !== undefined;
    const message = `${objective} compares a response of the target, too, and pairs have none`;
    const hint = "Set wrpo.objective to one on pairs, like dpo or simpo, or selection.rows to quadruples.";
    return [{ path: written ? [...place, "objective"] : path, message, hint }];
  });
  if ((of(root, "source_responses") ?? 1) !== 1)
    found.push({
      path: ["selection", "source_responses"],
      message: "a pair has one response of the sources",
      hint: "Leave it out, or set selection.rows to quadruples.",
    });
  return found;
}

/** A worse response of a source that gives one only. */
function singleResponses(root: unknown): Mistake[] {
  if (of(root, "rejected_from") !== "same_source" || valueAt(root, ["sampling", "n"]) !== 1) return [];
  const message = "no source has a second response to be worse than its best";
  const hint = "Set sampling.n to 2 or more, or selection.rejected_from to target or sources.";
  return [{ path: ["selection", "rejected_from"], message, hint }];
}

/** A supervised tuning without prompts. */
function nothingToTune(root: unknown): Mistake[] {
  if (of(root, "sft_share") !== 0 || valueAt(root, ["sft", "enabled"]) === false) return [];
  const message = "a share of 0 leaves no prompt for supervised tuning";
  const hint = "Set sft.enabled to false to go without that tuning, or take a share above 0.";
  return [{ path: ["selection", "sft_share"], message, hint }];
}
