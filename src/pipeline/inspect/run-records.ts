import { type Candidate, flagsOf, type LeftOut, leftOutReasons } from "../../preferences/index.ts";
import type { Recipe } from "../../schema/index.ts";
import type { JudgedResponse, LedgerReader, StoredPrompt, StoredSelection } from "../../store/index.ts";
import { measured, votingOf } from "../measures.ts";
import { type Role, ranked, type Shown, type ShownResponse } from "./record.ts";

/** Prompts whose responses are read at once. */
const together = 32;

/**
 * The reward whose scores are shown: the one that has given the most; with it, the others that the ledger has. (A run that was
 * scored anew keeps the scores of before.)
 */
export async function rewardShown(
  reader: LedgerReader,
): Promise<{ readonly reward: string | undefined; readonly others: readonly string[] }> {
  const done = new Map<string, number>();
  for (const { reward, done: scores } of await reader.scoreStatus()) done.set(reward, (done.get(reward) ?? 0) + scores);
  const [first, ...others] = [...done].sort((a, b) => b[1] - a[1]).map(([reward]) => reward);
  return { reward: first, others };
}

/** These prompts of a run with all their responses, in their order, read as they are asked for. */
export async function* runRecords(
  reader: LedgerReader,
  reward: string | undefined,
  prompts: readonly StoredPrompt[],
  recipe?: Recipe,
): AsyncGenerator<Shown> {
  const stages = [...new Set((await reader.drawStatus()).map(({ stage }) => stage))];
  const selections = new Map<string, StoredSelection>();
  for (const split of ["sft", "wrpo"] as const)
    for (const selection of await reader.selections.list(split)) selections.set(selection.promptId, selection);
  for (let start = 0; start < prompts.length; start += together) {
    const some = prompts.slice(start, start + together);
    const ids = some.map(({ id }) => id);
    const found = new Map<string, Found[]>();
    for (const stage of stages)
      for (const [id, responses] of await reader.scores.ofPrompts(stage, reward, ids))
        found.set(id, [...(found.get(id) ?? []), ...responses.map((response) => ({ stage, response }))]);
    for (const prompt of some) {
      const responses = withVoteParts(prompt.id, found.get(prompt.id) ?? [], recipe);
      yield shownPrompt(prompt, responses, selections.get(prompt.id));
    }
  }
}

interface Found {
  readonly stage: string;
  readonly response: JudgedResponse;
}

/** Where a recipe selects by votes: the responses with the share of votes that each wins, as a figure beside its parts. */
function withVoteParts(promptId: string, found: readonly Found[], recipe: Recipe | undefined): readonly Found[] {
  if (recipe?.selection.combine !== "vote") return found;
  const named = recipe.selection.sources;
  const takesPart = ({ stage, response }: Found) =>
    response.value !== undefined && (stage === "target" || named === undefined || named.includes(response.source));
  const of = (wanted: string) =>
    found.filter((one) => one.stage === wanted && takesPart(one)).map(({ response }) => response as Candidate);
  const { sources, target } = measured(
    { promptId, sources: of("sources"), target: of("target") },
    { voting: votingOf(recipe) },
  );
  const shares = { sources, target } as Readonly<Record<string, readonly Candidate[]>>;
  return found.map(({ stage, response }) => {
    const voted = shares[stage]?.find(({ key, source }) => key === response.key && source === response.source);
    if (voted === undefined) return { stage, response };
    return {
      stage,
      response: { ...response, parts: [...(response.parts ?? []), { name: "votes", value: voted.value, weight: 0 }] },
    };
  });
}

const splitWords = { sft: "for supervised tuning", wrpo: "for preferences", evaluation: "held out" } as const;

function shownPrompt(
  { id, split, domain, messages }: StoredPrompt,
  responses: readonly Found[],
  selection: StoredSelection | undefined,
): Shown {
  const prompt = messages.map(({ content }) => content).join("\n");
  const roles = rolesOf(selection);
  const shown = responses.map(({ stage, response }): ShownResponse => {
    const { key, source, index, text, finish, responseTokens, value, parts } = response;
    return {
      // In an evaluation every model is drawn under its own label.
      source: stage.startsWith("evaluation/") ? stage.slice("evaluation/".length) : source,
      index,
      text,
      finish,
      tokens: responseTokens,
      ...(value === undefined ? {} : { reward: value }),
      parts: parts ?? [],
      roles: roles.flatMap(({ of, key: chosen, role }) => (of === stage && chosen === key ? [role] : [])),
      flags: flagsOf({ text, finish, prompt }),
    };
  });
  const leftOut = selection?.leftOut;
  return {
    id,
    place: splitWords[split],
    ...(domain === undefined ? {} : { domain }),
    messages,
    responses: ranked(shown),
    ...(leftOut === undefined ? {} : { leftOut: leftOutReasons[leftOut as LeftOut] ?? leftOut }),
  };
}

function rolesOf(selection: StoredSelection | undefined) {
  if (selection === undefined) return [];
  const { sourceChosen, furtherSources = [], targetChosen, rejected, sourceRejected } = selection;
  const all: readonly (readonly [of: string, role: Role, key: string | undefined])[] = [
    ["sources", "y_ws", sourceChosen],
    ...furtherSources.map((key) => ["sources", "y_ws", key] as const),
    ["target", "y_wt", targetChosen],
    // Whose it is, the recipe's rule decides.
    ["target", "y_l", rejected],
    ["sources", "y_l", rejected],
    ["sources", "y_ls", sourceRejected],
  ];
  return all.flatMap(([of, role, key]) => (key === undefined ? [] : [{ of, role, key }]));
}
