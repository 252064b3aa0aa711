import { relative } from "node:path";
import { placeWord } from "../../data/index.ts";
import { type Example, flagsOf, type PlacedExamples, readExamples, type TextRole } from "../../preferences/index.ts";
import type { DataError } from "../../schema/index.ts";
import { type Role, ranked, type Shown, type ShownResponse } from "./record.ts";

const roles: Readonly<Record<TextRole, Role>> = {
  source_chosen: "y_ws",
  target_chosen: "chosen",
  rejected: "rejected",
  source_rejected: "y_ls",
  completion: "answer",
};

/**
 * The prompts of a data file, or of a split of a data set's folder, with their responses. Rows that break the form go to `bad`. Throws
 * DataError where a file can't be read or there is no such split.
 */
export async function* fileRecords(
  path: string,
  bad: (error: DataError) => void,
  split?: string,
): AsyncGenerator<Shown> {
  for await (const row of readExamples(path, bad, split))
    for (const [at, example] of row.examples.entries())
      yield shownExample(row, placeWords(path, row), example, row.examples.length > 1 ? `#${at + 1}` : "");
}

/** Where a row stands: in a folder with the name of its file. */
export const placeWords = (path: string, { file, line }: { readonly file: string; readonly line: number }): string =>
  `${placeWord(file)} ${line}${file === path ? "" : ` of ${relative(path, file)}`}`;

function shownExample({ id, domain, scores }: PlacedExamples, place: string, example: Example, suffix: string): Shown {
  const { messages, fault, label } = example;
  const prompt = messages.map(({ content }) => content).join("\n");
  const response = (text: string, fields: Partial<ShownResponse>): ShownResponse => ({
    source: undefined,
    text,
    parts: [],
    roles: [],
    flags: flagsOf({ text, prompt }),
    ...fields,
  });
  const named = (Object.entries(example.texts) as [TextRole, readonly string[]][]).flatMap(([role, texts]) =>
    texts.map((text) => ({ text, role: roleOf(role, example), reward: rewardOf(role, scores) })),
  );
  // A row from which nothing is learnt has empty texts in the place of those that it lacks.
  const chosen = example.ranked !== undefined && fault !== undefined ? [] : named;
  const given = example.ranked ?? [];
  const taken = new Set<number>();
  const responses = chosen.map(({ text, role, reward }) => {
    const at = given.findIndex((one, index) => one.text === text && !taken.has(index));
    const of = given[at];
    if (of === undefined) return response(text, { roles: [role], ...(reward === undefined ? {} : { reward }) });
    taken.add(at);
    return response(text, { roles: [role], ...judged(of) });
  });
  const others = given.flatMap((one, at) => (taken.has(at) ? [] : [response(one.text, judged(one))]));
  const marked = label === undefined ? "" : label ? ", marked good" : ", marked bad";
  return {
    id: `${id}${suffix}`,
    place: `${place}${marked}`,
    ...(domain === undefined ? {} : { domain }),
    messages,
    responses: ranked([...responses, ...others]),
    ...(fault === undefined ? {} : { leftOut: fault }),
  };
}

/** Beside responses of sources, the chosen response is the target's own. */
function roleOf(role: TextRole, { texts }: Example): Role {
  if (texts.source_chosen === undefined) return roles[role];
  return role === "target_chosen" ? "y_wt" : role === "rejected" ? "y_l" : roles[role];
}

/** Who wrote a response and its reward, where the file has a number for one. */
const judged = ({ source, reward }: NonNullable<Example["ranked"]>[number]) => ({
  source,
  ...(Number.isFinite(reward) ? { reward } : {}),
});

/** The reward that the row gives a response; undefined where it gives none, or no number. */
function rewardOf(role: TextRole, { chosen, rejected }: PlacedExamples["scores"]): number | undefined {
  const given = role === "target_chosen" ? chosen : role === "rejected" ? rejected : undefined;
  return Number.isFinite(given) ? given : undefined;
}
